//! `signer.profiles`.

use stella_core::alg::Algorithm;
use stella_core::id::{KeyId, ProfileName};

use super::document::Value;
use super::key_store::KeyStoreUri;
use super::section::{Item, Result, Section};
use super::{Profile, Settings};

/// A profile that the file has and this build cannot sign with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnavailableProfile {
    pub algorithm: String,
    pub key_store: String,
    pub why: String,
}

/// Algorithms of the product that this build lacks, by every name they have.
const LACKING: [(&str, &str); 2] = [("GOST-R-34.10-2012", "gost2012-256"), ("SM2-P256", "sm2")];

/// A key without an age limit ends so many months after it was made.
const NO_AGE_LIMIT: u32 = 1200;

/// Profiles of the file replace the built-in ones of the same name; one that
/// is null is taken away.
pub fn read(item: &Item<'_>, settings: &mut Settings) -> Result<()> {
    for (name, item) in Section::new(item)?.named() {
        let name: ProfileName = name.parse().map_err(|e| item.wrong(format!("is wrong: {e}")))?;
        let built_in = settings.profiles.remove(&name);
        if item.node.value == Value::Null {
            continue;
        }
        match profile(&item, built_in, settings.rotation.warning_months)? {
            Read::Ready(profile) => {
                if !profile.exclusive {
                    settings.verify.shared_profiles.insert(name.clone());
                }
                settings.profiles.insert(name, profile);
            }
            Read::Lacking(unavailable) => {
                settings.unavailable.insert(name, unavailable);
            }
        }
    }
    Ok(())
}

enum Read {
    Ready(Profile),
    Lacking(UnavailableProfile),
}

fn profile(item: &Item<'_>, built_in: Option<Profile>, warning_months: u32) -> Result<Read> {
    let mut section = Section::new(item)?;
    let algorithm = match (section.item("algorithm"), &built_in) {
        (None, Some(built_in)) => Ok(built_in.algorithm),
        (None, None) => Err(section
            .required("algorithm")
            .err()
            .unwrap_or_else(|| item.wrong("needs an algorithm"))),
        (Some(item), _) => match algorithm(&item)? {
            Ok(algorithm) => Ok(algorithm),
            Err(lacking) => return unavailable(section, lacking),
        },
    }?;
    let mut profile = Profile {
        warning_months,
        ..Profile::software(algorithm)
    };
    section.read("keyStore", &mut profile.key_store, key_store)?;
    section.read("allowSoftware", &mut profile.allow_software, Item::flag)?;
    section.read("exclusive", &mut profile.exclusive, Item::flag)?;
    section.read("backups", &mut profile.backups, backups)?;
    if let Some(rotation) = section.section("rotation")? {
        read_rotation(rotation, &mut profile)?;
    }
    section.finish()?;
    Ok(Read::Ready(profile))
}

/// Checked like any other, so that a mistake does not wait for the build that
/// can sign with it.
fn unavailable(mut section: Section<'_>, algorithm: &str) -> Result<Read> {
    let mut store = "software://".to_owned();
    section.read("keyStore", &mut store, key_store)?;
    for key in ["allowSoftware", "exclusive", "backups", "rotation"] {
        section.item(key);
    }
    section.finish()?;
    Ok(Read::Lacking(UnavailableProfile {
        algorithm: algorithm.to_owned(),
        key_store: store,
        why: format!("this build does not sign with {algorithm}"),
    }))
}

fn algorithm(item: &Item<'_>) -> Result<std::result::Result<Algorithm, &'static str>> {
    let text = item.text()?;
    let lacking = LACKING
        .iter()
        .find(|(long, short)| text.eq_ignore_ascii_case(long) || text.eq_ignore_ascii_case(short));
    match (text.parse::<Algorithm>(), lacking) {
        (Ok(algorithm), _) => Ok(Ok(algorithm)),
        (Err(_), Some((long, _))) => Ok(Err(long)),
        (Err(e), None) => Err(item.wrong(format!("is wrong: {e}"))),
    }
}

fn key_store(item: &Item<'_>) -> Result<String> {
    item.parsed::<KeyStoreUri>().map(|uri| uri.to_string())
}

fn backups(item: &Item<'_>) -> Result<Vec<KeyId>> {
    item.list()?
        .iter()
        .map(|item| {
            let mut section = Section::new(item)?;
            let key = section.required("key")?.parsed()?;
            section.finish()?;
            Ok(key)
        })
        .collect()
}

fn read_rotation(mut section: Section<'_>, profile: &mut Profile) -> Result<()> {
    let mut enabled = true;
    section.read("enabled", &mut enabled, Item::flag)?;
    section.read("maxAgeMonths", &mut profile.max_age_months, Item::months)?;
    section.read("warningMonths", &mut profile.warning_months, Item::months)?;
    section.finish()?;
    if !enabled {
        profile.max_age_months = NO_AGE_LIMIT;
    }
    Ok(())
}
