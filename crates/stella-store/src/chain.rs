//! The hash chain over events and the ledger, the same in every driver.

use serde::Serialize;
use stella_core::canonical;
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
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Stored<'a> {
        entry: u64,
        pae: Sha256,
        spki: Sha256,
        signature: Sha256,
        signed_at: Timestamp,
        attestation: AttestationId,
        requested_by: &'a str,
    }
    canonical::of(&Stored {
        entry: number,
        pae: key.pae,
        spki: key.spki,
        signature: key.signature,
        signed_at: entry.signed_at,
        attestation: entry.attestation,
        requested_by: &entry.requested_by,
    })
    .map_err(|e| StoreError::Corrupt(format!("ledger entry {number}: {e}")))
}
