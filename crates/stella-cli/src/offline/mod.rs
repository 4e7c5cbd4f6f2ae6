//! Judging without an instance: files in, a verdict out. Nothing here asks a
//! network, a store, a home or a configuration.

mod state;

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use stella_core::api::proofs::ProofVerdict;
use stella_core::api::verify::{Times, VerdictReport};
use stella_core::bundle::trust::{LIMITS, Offline, Refused, SignedBundle, TrustRoot, refusal};
use stella_core::digest::Sha256;
use stella_core::time::Timestamp;
use stella_core::verify::ask::{BadQuestion, Moments, Wanted};
use stella_core::verify::proof::Asked;

use crate::context::Context;
use crate::error::CliError;

/// The files that say what is trusted.
pub struct Trust {
    pub bundle: PathBuf,
    pub root: PathBuf,
    pub state: Option<PathBuf>,
}

/// What is to be judged.
pub enum Evidence {
    /// One document, for what it says itself.
    Document(PathBuf),
    /// One artifact, and all the documents that may speak about it.
    About(Vec<PathBuf>),
}

pub fn judge(
    context: &Context,
    trust: &Trust,
    times: &Times,
    wanted: &Wanted,
    evidence: &Evidence,
) -> Result<VerdictReport, CliError> {
    let documents = match evidence {
        Evidence::Document(path) => vec![named(path)?],
        Evidence::About(paths) => paths.iter().map(|p| named(p)).collect::<Result<_, _>>()?,
    };
    let judged = by(context, trust, times, |offline| {
        match (evidence, &wanted.artifact, documents.as_slice()) {
            (Evidence::About(_), Some(artifact), _) => offline.artifact(artifact, &documents),
            (_, _, [(_, bytes)]) => offline.document(bytes, wanted),
            _ => offline.document(&[], wanted),
        }
    })?;
    Ok(judged.unwrap_or_else(|refused| refusal(&refused, subject(wanted), context.now())))
}

/// A proof bundle in a file, which must have the address if one is given.
pub fn judge_proof(
    context: &Context,
    trust: &Trust,
    times: &Times,
    wanted: Wanted,
    address: Option<Sha256>,
    file: &Path,
) -> Result<ProofVerdict, CliError> {
    let bytes = read(file)?;
    let about = subject(&wanted);
    let asked = Asked {
        address,
        name: wanted.name,
        digest: wanted.artifact.map(|a| a.digest),
    };
    let judged = by(context, trust, times, |offline| offline.proof(&bytes, &asked))?;
    Ok(judged.unwrap_or_else(|refused| ProofVerdict {
        id: None,
        report: refusal(&refused, about, context.now()),
    }))
}

/// What the trust bundle answers, or why it is not to be used.
fn by<T>(
    context: &Context,
    trust: &Trust,
    times: &Times,
    answer: impl FnOnce(Offline<'_>) -> T,
) -> Result<Result<T, Refused>, CliError> {
    let opened = open(context, trust, times)?;
    Ok(opened.and_then(|opened| Ok(answer(opened.offline()?))))
}

/// A trust bundle under a pinned root, and when it is asked.
pub struct Opened {
    signed: SignedBundle,
    moments: Moments,
    clock: Timestamp,
}

impl Opened {
    pub fn offline(&self) -> Result<Offline<'_>, Refused> {
        Offline::at(&self.signed, self.moments, self.clock)
    }
}

/// The inner error is about the bundle: it is not to be used.
pub fn open(context: &Context, trust: &Trust, times: &Times) -> Result<Result<Opened, Refused>, CliError> {
    let clock = context.now();
    let moments = Moments::parse(times, clock)?;
    if moments.as_of.is_some() {
        return Err(CliError::usage(
            "a trust bundle holds what is trusted at one moment: --as-of cannot be answered from it",
        )
        .next("ask the instance, or use the trust bundle that was exported then"));
    }
    let (root, bundle) = (read(&trust.root)?, read(&trust.bundle)?);
    let accepted = accept(&root, &bundle);
    let kept = match (&accepted, &trust.state) {
        (Ok(signed), Some(folder)) => state::keep(context, folder, signed)?,
        _ => Ok(()),
    };
    Ok(accepted.and_then(|signed| {
        kept?;
        Ok(Opened {
            signed,
            moments,
            clock,
        })
    }))
}

fn accept(root: &[u8], bundle: &[u8]) -> Result<SignedBundle, Refused> {
    SignedBundle::open(bundle, &TrustRoot::parse(root)?)
}

/// What the verdict would have been about.
fn subject(wanted: &Wanted) -> String {
    match (&wanted.name, &wanted.artifact) {
        (Some(name), _) => name.to_string(),
        (None, Some(artifact)) => artifact.digest.to_string(),
        (None, None) => String::new(),
    }
}

fn named(path: &Path) -> Result<(String, Vec<u8>), CliError> {
    let name = path.file_name().unwrap_or(path.as_os_str());
    Ok((name.to_string_lossy().into_owned(), read(path)?))
}

/// Of a file too large no more than shows that it is; `-` is standard input.
pub fn read(path: &Path) -> Result<Vec<u8>, CliError> {
    let most = u64::try_from(LIMITS.json.max_bytes).unwrap_or(u64::MAX);
    let mut bytes = Vec::new();
    let read = if path == Path::new("-") {
        io::stdin()
            .lock()
            .take(most.saturating_add(1))
            .read_to_end(&mut bytes)
    } else {
        File::open(path).and_then(|file| file.take(most.saturating_add(1)).read_to_end(&mut bytes))
    };
    read.map(|_| bytes).map_err(|e| CliError::file(path, &e))
}

impl From<BadQuestion> for CliError {
    fn from(bad: BadQuestion) -> Self {
        let mut error = Self::usage(&bad.message);
        error.code = bad.code.to_owned();
        error.next = bad.next;
        error
    }
}
