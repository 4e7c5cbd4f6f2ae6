//! The one table of what may be set at run time.

use crate::config::Settings;

pub struct RuntimeSetting {
    pub key: &'static str,
    /// For the reference.
    pub meaning: &'static str,
    /// Normalises, or says what is allowed.
    pub parse: fn(&str) -> Result<String, &'static str>,
    pub from_file: fn(&Settings) -> String,
}

pub const RUNTIME: &[RuntimeSetting] = &[
    RuntimeSetting {
        key: "signing.mode",
        meaning: "where to sign: auto (each profile's own store), hsm, kms or software",
        parse: |v| match v {
            "auto" | "hsm" | "kms" | "software" => Ok(v.to_owned()),
            _ => Err("use auto, hsm, kms or software"),
        },
        from_file: |_| "auto".to_owned(),
    },
    RuntimeSetting {
        key: "signing.key_id",
        meaning: "the key that profile default signs with; the same as keys activate",
        parse: |v| Ok(v.to_owned()),
        from_file: |_| String::new(),
    },
    RuntimeSetting {
        key: "rotation.auto",
        meaning: "whether keys are rotated without being asked for",
        parse: |v| match v {
            "true" | "false" => Ok(v.to_owned()),
            _ => Err("use true or false"),
        },
        from_file: |s| s.rotation.auto.to_string(),
    },
    RuntimeSetting {
        key: "rotation.overlap_days",
        meaning: "how many days a replaced key stays retiring and can be taken back",
        parse: |v| match v.trim_end_matches('d').parse::<u32>() {
            Ok(days) if days <= 3_650 => Ok(days.to_string()),
            _ => Err("use a number of days up to 3650"),
        },
        from_file: |s| (s.rotation.overlap.as_secs() / 86_400).to_string(),
    },
];

/// Either spelling, with or without the leading `signer.`.
pub fn find(key: &str) -> Option<&'static RuntimeSetting> {
    let key = canonical(key);
    RUNTIME.iter().find(|s| s.key == key)
}

/// `signer.rotation.overlapDays` is `rotation.overlap_days`.
pub fn canonical(key: &str) -> String {
    let mut out = String::new();
    for c in key.strip_prefix("signer.").unwrap_or(key).chars() {
        if c.is_ascii_uppercase() {
            out.push('_');
        }
        out.push(c.to_ascii_lowercase());
    }
    out
}

/// File-only settings with their effective values.
pub fn file_values(settings: &Settings) -> Vec<(String, String)> {
    let mut out: Vec<(String, String)> = Vec::new();
    for (name, profile) in &settings.profiles {
        let mut add = |key: &str, value: String| out.push((format!("profiles.{name}.{key}"), value));
        add("algorithm", profile.algorithm.to_string());
        add("key_store", profile.key_store.clone());
        add("max_age_months", profile.max_age_months.to_string());
        add("warning_months", profile.warning_months.to_string());
        add("exclusive", profile.exclusive.to_string());
        add("allow_software", profile.allow_software.to_string());
    }
    let (limits, server) = (&settings.limits, &settings.server);
    let mut add = |key: &str, value: String| out.push((key.to_owned(), value));
    add("limits.max_body_bytes", limits.max_body_bytes.to_string());
    add("limits.max_json_depth", limits.max_json_depth.to_string());
    add("limits.max_subjects", limits.max_subjects.to_string());
    add("limits.max_signatures", limits.max_signatures.to_string());
    add("limits.max_list", limits.max_list.to_string());
    add(
        "limits.max_attestations_per_artifact",
        limits.max_attestations_per_artifact.to_string(),
    );
    add("verify.require_purl", settings.verify.require_purl.to_string());
    add(
        "verify.recorded_for_compromise",
        settings.verify.recorded_for_compromise.to_string(),
    );
    add(
        "verify.max_signature_checks",
        settings.verify.limits.max_signature_checks.to_string(),
    );
    add("server.listen", server.listen.clone().unwrap_or_default());
    add("server.allow_plain_http", server.allow_plain_http.to_string());
    add(
        "server.request_timeout",
        format!("{}s", server.request_timeout.as_secs()),
    );
    add(
        "server.shutdown_grace",
        format!("{}s", server.shutdown_grace.as_secs()),
    );
    add(
        "server.max_concurrent_requests",
        server.max_concurrent_requests.to_string(),
    );
    add(
        "signing.deadline",
        format!("{}s", settings.signing.deadline.as_secs()),
    );
    out
}

/// Levenshtein's, for "the nearest is".
pub fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = i;
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let substituted = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_spellings_are_one_key() {
        for key in [
            "rotation.overlap_days",
            "rotation.overlapDays",
            "signer.rotation.overlapDays",
        ] {
            assert_eq!(find(key).map(|s| s.key), Some("rotation.overlap_days"), "{key}");
        }
        assert_eq!(distance("kitten", "sitting"), 3);
    }
}
