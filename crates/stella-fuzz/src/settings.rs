//! The configuration file. It is compiled in here by itself: with the server
//! around it every fuzzer would carry a web framework.

use std::path::Path;

use crate::config::{KeyStoreUri, Settings, StoreUrl, parse};
use crate::targets::text;

/// Files laid over each other, divided by zero bytes.
pub fn config(data: &[u8]) {
    configures(data);
}

/// Whether a server would start with it.
pub fn configures(data: &[u8]) -> bool {
    let names: Vec<String> = (0..9).map(|n| format!("{n}.yaml")).collect();
    let files: Vec<(&Path, &str)> = names
        .iter()
        .map(Path::new)
        .zip(text(data).splitn(9, '\0'))
        .collect();
    let settings = match parse(files.iter().copied()) {
        Ok(settings) => settings,
        Err(refused) => {
            assert!(refused.code().starts_with("config."));
            assert!(!refused.to_string().is_empty());
            return false;
        }
    };
    keeps_its_bounds(&settings);
    // Whoever gives the same files twice says nothing more.
    let twice = parse(files.iter().chain(&files).copied()).unwrap();
    assert_eq!(format!("{twice:?}"), format!("{settings:?}"));
    true
}

fn keeps_its_bounds(settings: &Settings) {
    for (name, profile) in &settings.profiles {
        let written = &profile.key_store;
        assert_eq!(written.parse::<KeyStoreUri>().unwrap().to_string(), *written);
        assert!(profile.max_age_months > 0 && profile.warning_months > 0);
        assert_eq!(profile.exclusive, !settings.verify.shared_profiles.contains(name));
    }
    if let StoreUrl::Postgres(url) = &settings.store.url
        && url.holds_a_password()
    {
        assert!(
            !format!("{:?}", settings.store).contains(url.as_text()),
            "a password is shown"
        );
    }
    let limits = &settings.limits;
    assert!(limits.max_json_depth > 0 && limits.max_body_bytes > 0 && limits.max_proof_members > 0);
}
