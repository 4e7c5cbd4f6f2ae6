//! `hsm`: read and checked; the signers for it come with a later build.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use super::section::{Item, Result, Section};

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HsmSettings {
    /// In the order of the file; the first is the default.
    pub modules: Vec<HsmModule>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HsmModule {
    pub name: String,
    pub library_path: PathBuf,
    pub pin_file: Option<PathBuf>,
    pub env: BTreeMap<String, String>,
    pub session: HsmSession,
    pub request_timeout: Duration,
    pub signers: u32,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HsmSession {
    pub timeout: Duration,
    pub keepalive: bool,
    pub keepalive_interval: Duration,
}

impl Default for HsmSession {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(300),
            keepalive: true,
            keepalive_interval: Duration::from_secs(60),
        }
    }
}

pub fn read(mut section: Section<'_>, hsm: &mut HsmSettings) -> Result<()> {
    if let Some(modules) = section.section("modules")? {
        hsm.modules = modules
            .named()
            .map(|(name, item)| module(name, &item))
            .collect::<Result<_>>()?;
    }
    section.finish()
}

fn module(name: &str, item: &Item<'_>) -> Result<HsmModule> {
    let mut section = Section::new(item)?;
    let mut module = HsmModule {
        name: name.to_owned(),
        library_path: section.required("libraryPath")?.text()?.into(),
        pin_file: None,
        env: BTreeMap::new(),
        session: HsmSession::default(),
        request_timeout: Duration::from_secs(5),
        signers: 4,
    };
    section.read("pinFile", &mut module.pin_file, |i| Ok(Some(i.text()?.into())))?;
    section.read("env", &mut module.env, |item| {
        Section::new(item)?
            .named()
            .map(|(name, value)| Ok((name.to_owned(), value.text()?)))
            .collect()
    })?;
    if let Some(session) = section.section("session")? {
        read_session(session, &mut module.session)?;
    }
    section.read("requestTimeout", &mut module.request_timeout, Item::duration)?;
    section.read("signers", &mut module.signers, Item::number)?;
    section.finish()?;
    Ok(module)
}

fn read_session(mut section: Section<'_>, session: &mut HsmSession) -> Result<()> {
    section.read("timeout", &mut session.timeout, Item::duration)?;
    section.read("keepalive", &mut session.keepalive, Item::flag)?;
    section.read(
        "keepaliveInterval",
        &mut session.keepalive_interval,
        Item::duration,
    )?;
    section.finish()
}
