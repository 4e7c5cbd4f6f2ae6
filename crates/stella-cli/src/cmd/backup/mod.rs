//! `backup ...`.

mod create;
mod keygen;
mod restore;
mod verify;

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use stella_server::backup::age::{Identity, read_identities};
use stella_server::backup::{BackupError, Verified};
use zeroize::Zeroizing;

use crate::context::Context;
use crate::error::CliError;
use crate::exit::Exit;
use crate::printer::Page;

super::verbs! {
    Create(create::Create),
    Verify(verify::Verify),
    Restore(restore::Restore),
    Keygen(keygen::Keygen),
}

/// A backup, and who opens it.
#[derive(clap::Args)]
struct Source {
    /// The backup
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Your identity file, as backup keygen or age-keygen makes it
    #[arg(long, short, value_name = "FILE", required = true)]
    identity: Vec<PathBuf>,
}

impl Source {
    fn identities(&self) -> Result<Vec<Identity>, CliError> {
        let mut all = Vec::new();
        for path in &self.identity {
            let mut text = Zeroizing::new(String::new());
            File::open(path)
                .and_then(|file| file.take(MAX_IDENTITIES).read_to_string(&mut text))
                .map_err(|e| CliError::file(path, &e))?;
            let read =
                read_identities(&text).map_err(|e| CliError::usage(format!("{}: {e}", path.display())))?;
            all.extend(read);
        }
        Ok(all)
    }

    fn open(&self, context: &Context) -> Result<Counted<File>, CliError> {
        let failed = |e: io::Error| CliError::file(&self.file, &e);
        let file = File::open(&self.file).map_err(failed)?;
        let size = file.metadata().map_err(failed)?.len();
        let bar = context.shows_progress().then(|| progress(Some(size), "reading"));
        Ok(Counted { file, bar })
    }
}

const MAX_IDENTITIES: u64 = 1 << 20;

/// Moves the bar as it is read.
struct Counted<R> {
    file: R,
    bar: Option<ProgressBar>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(into)?;
        if let Some(bar) = &self.bar {
            bar.inc(read as u64);
        }
        Ok(read)
    }
}

impl<R> Drop for Counted<R> {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

fn progress(size: Option<u64>, message: &'static str) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(size, ProgressDrawTarget::stderr());
    let template = match size {
        Some(_) => "{msg} {bar:30} {bytes}/{total_bytes} {eta}",
        None => "{msg} {bytes} ({bytes_per_sec})",
    };
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar.set_message(message);
    bar
}

fn error(file: &Path, e: BackupError) -> CliError {
    let mut text = format!("{}: {e}", file.display());
    let mut exit = Exit::Failed;
    let next = match &e {
        BackupError::Exists(_) => {
            text = e.to_string();
            exit = Exit::Usage;
            Some("name a home that is not there yet: --home DIR")
        }
        BackupError::Age(_) if e.code() == "backup.other-recipients" => {
            Some("give the identity of one of its recipients: --identity FILE")
        }
        BackupError::Age(_) | BackupError::Damaged(_) | BackupError::Foreign(_) => {
            Some("take another copy of it, or an older backup")
        }
        _ => None,
    };
    let told = CliError::new(exit, e.code(), text);
    match next {
        Some(next) => told.next(next),
        None => told,
    }
}

fn describe(page: &mut Page, verified: &Verified) {
    page.field("made", &verified.manifest.created_at);
    page.field("by", &verified.manifest.created_by);
    page.field("of", &verified.manifest.home);
    page.field("events", verified.events);
    page.field("attestations", verified.attestations);
    page.field("private keys", verified.keys);
    for note in &verified.manifest.notes {
        page.field("not in it", note);
    }
}
