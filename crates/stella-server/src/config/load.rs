//! From files and environment to [`Settings`].

use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::document::Node;
use super::error::ConfigError;
use super::origin::{Origin, Origins};
use super::section::{Item, Result, Section};
use super::{
    Settings, doctor, hsm, kms, limits, profiles, rotation, server, signing, store, tokens, trust, verify,
};

pub const SYSTEM_FILE: &str = "/etc/stellaops/signer.yaml";
const MAX_FILE_BYTES: u64 = 1024 * 1024;

/// Where the configuration is looked for.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// Named in so many words: read alone, and it must be there.
    pub explicit: Option<PathBuf>,
    /// Read in this order where they are there, the later laid over the
    /// earlier.
    pub usual: Vec<PathBuf>,
    /// `STELLA_STORE`, above any file.
    pub store_url: Option<String>,
}

impl Sources {
    /// The machine's file, then the home's over it; or the one given.
    pub fn usual(home: &Path, explicit: Option<&Path>) -> Self {
        Self {
            explicit: explicit.map(Path::to_owned),
            usual: vec![PathBuf::from(SYSTEM_FILE), home.join("signer.yaml")],
            store_url: std::env::var(STORE_VARIABLE).ok().filter(|v| !v.is_empty()),
        }
    }
}

const STORE_VARIABLE: &str = "STELLA_STORE";

/// Without any file, the defaults: every profile's keys in software.
pub fn load(sources: &Sources) -> Result<Settings> {
    let files: Vec<(&PathBuf, bool)> = match &sources.explicit {
        Some(path) => vec![(path, true)],
        None => sources.usual.iter().map(|p| (p, false)).collect(),
    };
    let mut texts: Vec<(&Path, String)> = Vec::new();
    for (path, must_be_there) in files {
        if let Some(text) = read_file(path, must_be_there)? {
            texts.push((path, text));
        }
    }
    let mut settings = parse(texts.iter().map(|(path, text)| (*path, text.as_str())))?;
    if let Some(url) = &sources.store_url {
        settings.store.url = url.parse().map_err(|why| ConfigError::Environment {
            name: STORE_VARIABLE,
            why,
        })?;
        settings
            .origins
            .set("store.url", Origin::Environment(STORE_VARIABLE));
    }
    Ok(settings)
}

/// Each text, with the name of its file, laid over the one before.
pub fn parse<'a>(files: impl IntoIterator<Item = (&'a Path, &'a str)>) -> Result<Settings> {
    let mut document: Option<Node> = None;
    for (path, text) in files {
        let node = Node::parse(path, text)?;
        document = Some(match document {
            Some(below) => below.overlaid(node),
            None => node,
        });
    }
    let document = document.unwrap_or_else(|| Node::empty(Arc::from("")));
    let mut settings = read(&document)?;
    settings.origins = Origins::of_document(&document);
    Ok(settings)
}

fn read(document: &Node) -> Result<Settings> {
    let mut settings = Settings::default();
    let mut root = Section::new(&Item {
        path: String::new(),
        node: document,
    })?;
    if let Some(mut signer) = root.section("signer")? {
        if let Some(section) = signer.section("rotation")? {
            rotation::read(section, &mut settings.rotation)?;
        }
        for profile in settings.profiles.values_mut() {
            profile.warning_months = settings.rotation.warning_months;
        }
        if let Some(item) = signer.item("profiles") {
            profiles::read(&item, &mut settings)?;
        }
        signer.finish()?;
    }
    if let Some(section) = root.section("signing")? {
        signing::read(section, &mut settings.signing)?;
    }
    if let Some(section) = root.section("store")? {
        store::read(section, &mut settings.store)?;
    }
    if let Some(section) = root.section("server")? {
        server::read(section, &mut settings.server)?;
    }
    if let Some(section) = root.section("verify")? {
        verify::read(section, &mut settings.verify)?;
    }
    if let Some(section) = root.section("limits")? {
        limits::read(section, &mut settings.limits)?;
    }
    if let Some(section) = root.section("tokens")? {
        tokens::read(section, &mut settings.tokens)?;
    }
    if let Some(section) = root.section("trust")? {
        trust::read(section, &mut settings.trust)?;
    }
    if let Some(section) = root.section("hsm")? {
        hsm::read(section, &mut settings.hsm)?;
    }
    if let Some(section) = root.section("kms")? {
        kms::read(section, &mut settings.kms)?;
    }
    if let Some(section) = root.section("doctor")? {
        doctor::read(section, &mut settings.doctor)?;
    }
    root.finish()?;
    Ok(settings)
}

fn read_file(path: &Path, must_be_there: bool) -> Result<Option<String>> {
    let unreadable = |source| ConfigError::Unreadable {
        path: path.to_owned(),
        source,
    };
    let file = match std::fs::File::open(path) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound && !must_be_there => return Ok(None),
        other => other.map_err(unreadable)?,
    };
    let metadata = file.metadata().map_err(unreadable)?;
    if metadata.is_dir() {
        return Err(unreadable(std::io::ErrorKind::IsADirectory.into()));
    }
    guard(path, &metadata)?;
    let mut text = String::new();
    let read = file
        .take(MAX_FILE_BYTES + 1)
        .read_to_string(&mut text)
        .map_err(unreadable)?;
    if read as u64 > MAX_FILE_BYTES {
        return Err(ConfigError::TooLong {
            path: path.to_owned(),
            max: MAX_FILE_BYTES,
        });
    }
    Ok(Some(text))
}

/// Of this user or of root, and nobody else writes it. Asked of the file that
/// was opened, so links are as good as what they lead to.
fn guard(path: &Path, file: &std::fs::Metadata) -> Result<()> {
    let user = rustix::process::geteuid().as_raw();
    let mode = file.mode() & 0o7777;
    if mode & 0o022 == 0 && [user, 0].contains(&file.uid()) {
        return Ok(());
    }
    Err(ConfigError::TooOpen {
        path: path.to_owned(),
        owner: file.uid(),
        mode,
        user,
    })
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
