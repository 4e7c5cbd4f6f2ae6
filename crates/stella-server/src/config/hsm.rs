//! `hsm`: the modules in which keys are held.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use stella_core::alg::Algorithm;
use stella_keys::hsm::{MechanismInput, VendorMechanism};
use stella_keys::local_hsm::LocalReference;

use super::section::{Item, Result, Section};

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HsmSettings {
    /// In the order of the file; the first is the default.
    pub modules: Vec<HsmModule>,
    /// Processes of our own that hold keys.
    pub local: Vec<LocalHsm>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalHsm {
    pub name: String,
    /// In the home, under its name, when there is none.
    pub folder: Option<PathBuf>,
    pub pin_file: PathBuf,
    pub request_timeout: Duration,
    pub signers: u32,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HsmModule {
    pub name: String,
    pub library_path: PathBuf,
    pub pin_file: Option<PathBuf>,
    pub env: BTreeMap<String, String>,
    pub session: HsmSession,
    pub request_timeout: Duration,
    /// Until a module that was started is ready, and until a key is made.
    pub start_timeout: Duration,
    /// Until a worker that is no longer used has ended.
    pub stop_timeout: Duration,
    pub signers: u32,
    /// Tries of the PIN without an answer, before none is made by itself.
    pub unanswered_logins: u32,
    /// In bytes, for tokens that hash themselves.
    pub max_message: usize,
    /// Before the second start in a row of a worker that failed; doubled with each.
    pub restart_backoff: Duration,
    pub max_restart_backoff: Duration,
    /// Of algorithms for which PKCS#11 has no common one.
    pub mechanisms: BTreeMap<Algorithm, VendorMechanism>,
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
            .map(|(name, item)| match name {
                // `crypto hsm failover --to auto` is another thing.
                "auto" => Err(item.wrong("is no name for a module")),
                _ => module(name, &item),
            })
            .collect::<Result<_>>()?;
    }
    if let Some(local) = section.section("local")? {
        hsm.local = local
            .named()
            .map(|(name, item)| match hsm.modules.iter().any(|m| m.name == name) {
                true => Err(item.wrong("is the name of a module, too")),
                false => local_hsm(name, &item),
            })
            .collect::<Result<_>>()?;
    }
    section.finish()
}

fn local_hsm(name: &str, item: &Item<'_>) -> Result<LocalHsm> {
    // It is the name of a folder, too.
    format!("hsm://local/{name}")
        .parse::<LocalReference>()
        .map_err(|e| item.wrong(format!("is wrong: {e}")))?;
    let mut section = Section::new(item)?;
    let mut local = LocalHsm {
        name: name.to_owned(),
        folder: None,
        pin_file: section.required("pinFile")?.text()?.into(),
        request_timeout: Duration::from_secs(5),
        signers: 4,
    };
    section.read("folder", &mut local.folder, |i| Ok(Some(i.text()?.into())))?;
    section.read("requestTimeout", &mut local.request_timeout, Item::duration)?;
    section.read("signers", &mut local.signers, Item::number)?;
    section.finish()?;
    Ok(local)
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
        start_timeout: Duration::from_secs(10),
        stop_timeout: Duration::from_secs(5),
        signers: 4,
        unanswered_logins: 2,
        max_message: 16 << 20,
        restart_backoff: Duration::from_millis(100),
        max_restart_backoff: Duration::from_secs(30),
        mechanisms: BTreeMap::new(),
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
    section.read("startTimeout", &mut module.start_timeout, Item::duration)?;
    section.read("stopTimeout", &mut module.stop_timeout, Item::duration)?;
    section.read("signers", &mut module.signers, Item::number)?;
    section.read("unansweredLogins", &mut module.unanswered_logins, Item::number)?;
    section.read("maxMessage", &mut module.max_message, Item::number)?;
    if let Some(backoff) = section.section("restartBackoff")? {
        read_backoff(backoff, &mut module)?;
    }
    section.read("mechanisms", &mut module.mechanisms, |item| {
        Section::new(item)?
            .named()
            .map(|(name, item)| {
                let algorithm = name
                    .parse()
                    .map_err(|e| item.wrong(format!("is no algorithm: {e}")))?;
                Ok((algorithm, mechanism(&item)?))
            })
            .collect()
    })?;
    section.finish()?;
    Ok(module)
}

/// By the numbers of the vendor's manual.
fn mechanism(item: &Item<'_>) -> Result<VendorMechanism> {
    let mut section = Section::new(item)?;
    let mut mechanism = VendorMechanism {
        sign: number(&section.required("sign")?)?,
        generate: None,
        key_type: number(&section.required("keyType")?)?,
        input: MechanismInput::Digest,
    };
    section.read("generate", &mut mechanism.generate, |i| number(i).map(Some))?;
    section.read("input", &mut mechanism.input, |item| {
        match item.text()?.as_str() {
            "digest" => Ok(MechanismInput::Digest),
            "message" => Ok(MechanismInput::Message),
            _ => Err(item.wrong("must be digest or message")),
        }
    })?;
    section.finish()?;
    Ok(mechanism)
}

/// Manuals write these in hexadecimal.
fn number(item: &Item<'_>) -> Result<u64> {
    match item.text() {
        Ok(text) => text
            .strip_prefix("0x")
            .and_then(|digits| u64::from_str_radix(digits, 16).ok())
            .ok_or_else(|| item.wrong("must be a number such as 0x1201")),
        Err(_) => item.number(),
    }
}

fn read_backoff(mut section: Section<'_>, module: &mut HsmModule) -> Result<()> {
    section.read("min", &mut module.restart_backoff, Item::duration)?;
    section.read("max", &mut module.max_restart_backoff, Item::duration)?;
    section.finish()
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
