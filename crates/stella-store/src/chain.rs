//! The hash chain over events and the ledger, the same in every driver.

use serde::Serialize;
use stella_core::digest::Sha256;
use stella_core::id::AttestationId;
use stella_core::time::Timestamp;

use crate::{LedgerEntry, LedgerKey, Result, StoreError};

pub(crate) const CHAIN_START: Sha256 = Sha256::from_bytes([0; 32]);

/// SHA-256(previous head || tag || SHA-256(bytes) || ...): the commit's events
/// in their order, then its ledger entries in theirs. The tag keeps one from
/// passing for the other.
pub(crate) fn chain_head<'a>(
    before: &Sha256,
    events: impl Iterator<Item = &'a Sha256>,
    entries: impl Iterator<Item = &'a Sha256>,
) -> Sha256 {
    let mut parts: Vec<&[u8]> = vec![before.as_bytes()];
    for digest in events {
        parts.extend([b"E".as_slice(), digest.as_bytes()]);
    }
    for digest in entries {
        parts.extend([b"L".as_slice(), digest.as_bytes()]);
    }
    Sha256::of_parts(&parts)
}

/// RFC 8785 bytes: what the hash chain covers.
pub(crate) fn ledger_bytes(number: u64, key: &LedgerKey, entry: &LedgerEntry) -> Result<Vec<u8>> {
    let stored = Stored::of(number, key, entry);
    serde_json::to_vec(&stored).map_err(|e| StoreError::Corrupt(format!("ledger entry {number}: {e}")))
}

/// The members are in RFC 8785's order, and a number of entries is far from
/// where integers lose digits: so what serde writes is canonical already.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Stored<'a> {
    attestation: AttestationId,
    entry: u64,
    pae: Sha256,
    requested_by: &'a str,
    signature: Sha256,
    signed_at: Timestamp,
    spki: Sha256,
}

impl<'a> Stored<'a> {
    fn of(number: u64, key: &LedgerKey, entry: &'a LedgerEntry) -> Self {
        Self {
            attestation: entry.attestation,
            entry: number,
            pae: key.pae,
            requested_by: &entry.requested_by,
            signature: key.signature,
            signed_at: entry.signed_at,
            spki: key.spki,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use stella_core::canonical;

    use super::*;

    #[test]
    fn ledger_bytes_are_canonical_whoever_asked() {
        let every_ascii: String = (0..=127_u8).map(char::from).collect();
        for requested_by in [
            "",
            "token:ci",
            "local:m\u{fc}ller \u{1f511} \u{2028}\u{7f}",
            &every_ascii,
        ] {
            let digest = |byte| Sha256::from_bytes([byte; 32]);
            let key = LedgerKey {
                pae: digest(1),
                spki: digest(2),
                signature: digest(3),
            };
            let entry = LedgerEntry {
                signed_at: "2026-03-04T05:06:07.000008Z".parse().unwrap(),
                attestation: "0192f3a0-1234-7000-8000-000000000000".parse().unwrap(),
                requested_by: requested_by.to_owned(),
            };
            let bytes = ledger_bytes(7, &key, &entry).unwrap();
            assert_eq!(bytes, canonical::of(&Stored::of(7, &key, &entry)).unwrap());
        }
    }
}
