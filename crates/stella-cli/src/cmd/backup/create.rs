//! `backup create`.

use std::fs::{self, OpenOptions};
use std::io::{self, BufWriter, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use serde::Serialize;
use stella_core::api::backup::CreateBackup;

use crate::api::Route;
use crate::cmd::files;
use crate::context::{Context, Outcome};
use crate::error::CliError;
use crate::exit::Exit;

/// Copy the whole home, keys included, into one encrypted file, also while a
/// server runs on it
#[derive(Args)]
pub struct Create {
    /// The file to make; never one that is there
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Who can open it: an age recipient, age1...
    #[arg(
        long,
        short,
        value_name = "RECIPIENT",
        required_unless_present = "recipients_file"
    )]
    recipient: Vec<String>,
    /// A file with recipients, one a line
    #[arg(long, short = 'R', value_name = "FILE")]
    recipients_file: Vec<PathBuf>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Made {
    file: String,
    bytes: u64,
    recipients: Vec<String>,
}

impl Create {
    pub async fn run(self, context: &Context) -> Outcome {
        let recipients = self.recipients()?;
        if fs::symlink_metadata(&self.out).is_ok() {
            return Err(exists(&self.out));
        }
        let api = context.patient_api(PATIENCE).await?;
        let bar = context.shows_progress().then(|| super::progress(None, "backup"));
        let folder = match self.out.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        let name = self
            .out
            .file_name()
            .ok_or_else(|| CliError::usage(format!("{} is not a file name", self.out.display())))?;
        let failed = |e: io::Error| CliError::file(&self.out, &e);
        let new = |path: &Path| {
            OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(path)
        };
        let (part, file) = files::beside(folder, name, new).map_err(failed)?;
        let part = Part(part);
        let mut file = BufWriter::new(file);
        let mut bytes = 0_u64;
        let request = CreateBackup {
            recipients: recipients.clone(),
        };
        let mut sink = |piece: &[u8]| {
            bytes += piece.len() as u64;
            if let Some(bar) = &bar {
                bar.set_position(bytes);
            }
            file.write_all(piece)
        };
        let sent = api.stream(&Route::to(&["backups"]), &request, &mut sink).await;
        if let Some(bar) = &bar {
            bar.finish_and_clear();
        }
        sent?;
        let file = file.into_inner().map_err(|e| failed(e.into_error()))?;
        file.sync_all().map_err(failed)?;
        // A link, because a rename would replace a file that came in between.
        fs::hard_link(&part.0, &self.out).map_err(|e| match e.kind() {
            io::ErrorKind::AlreadyExists => exists(&self.out),
            _ => failed(e),
        })?;
        drop(part);
        fs::File::open(folder)
            .and_then(|f| f.sync_all())
            .map_err(failed)?;
        let made = Made {
            file: self.out.display().to_string(),
            bytes,
            recipients,
        };
        context.printer.answer(&made, |page| {
            page.line(format!("made the backup {} ({} bytes)", made.file, made.bytes));
            for recipient in &made.recipients {
                page.field("  opened by", recipient);
            }
            page.next(format!(
                "{} backup verify {} --identity FILE",
                context.program, made.file
            ));
            page.brief(&made.file);
        })?;
        Ok(Exit::Done)
    }

    fn recipients(&self) -> Result<Vec<String>, CliError> {
        let mut all = self.recipient.clone();
        for path in &self.recipients_file {
            let text = files::read_text(path)?;
            let read = stella_server::backup::age::read_recipients(&text)
                .map_err(|e| CliError::usage(format!("{}: {e}", path.display())))?;
            all.extend(read.iter().map(ToString::to_string));
        }
        if all.is_empty() {
            return Err(CliError::usage("no recipient was named who can open it")
                .next("stella backup keygen --out backup-identity.txt"));
        }
        Ok(all)
    }
}

fn exists(path: &Path) -> CliError {
    CliError::usage(format!(
        "{} is there already, and no backup replaces another",
        path.display()
    ))
}

/// Not the backup yet; removed whatever happens.
struct Part(PathBuf);

impl Drop for Part {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// The first of it comes when the database was copied.
const PATIENCE: Duration = Duration::from_secs(3600);
