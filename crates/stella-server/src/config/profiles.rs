//! `signer.profiles`.

use stella_core::alg::Algorithm;
use stella_core::id::{KeyId, ProfileName};

use super::document::Value;
use super::key_store::KeyStoreUri;
use super::section::{Item, Result, Section};
use super::{Profile, Settings};

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
        let profile = profile(&item, built_in, settings.rotation.warning_months)?;
        if !profile.exclusive {
            settings.verify.shared_profiles.insert(name.clone());
        }
        settings.profiles.insert(name, profile);
    }
    Ok(())
}

fn profile(item: &Item<'_>, built_in: Option<Profile>, warning_months: u32) -> Result<Profile> {
    let mut section = Section::new(item)?;
    let algorithm = match (section.item("algorithm"), &built_in) {
        (None, Some(built_in)) => Ok(built_in.algorithm),
        (None, None) => Err(section
            .required("algorithm")
            .err()
            .unwrap_or_else(|| item.wrong("needs an algorithm"))),
        (Some(item), _) => item.parsed::<Algorithm>(),
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
    Ok(profile)
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
