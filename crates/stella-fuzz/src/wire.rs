//! Requests, from anybody, and answers, from a server that was only named.

use serde::Serialize;
use serde::de::DeserializeOwned;
use stella_core::api::{
    anchors, attestations, audit, crypto, keys, problem, proofs, status, tokens, trust, verify,
};
use stella_core::json::{self, JsonLimits, Object};

macro_rules! each {
    ($data:ident: $($module:ident::{$($name:ident),+ $(,)?})+) => {
        0 $($(+ usize::from(same::<$module::$name>($data)))+)+
    };
}

pub fn wire(data: &[u8]) {
    readers(data);
}

/// How many of the types the document can be read as.
pub fn readers(data: &[u8]) -> usize {
    each!(data:
        anchors::{CreateAnchor, UpdateAnchor, Anchor, AnchorList, AddKey, KeyAddition, AnchorStatus, Explanation}
        attestations::{
            CreateAttestation, ImportAttestation, Created, AttestationList, AttestationDetails, Integrity,
            Resign, Withdraw, Retry, Retried, TestSign, TestSigned,
        }
        audit::{AuditList, LogList}
        crypto::{Providers}
        keys::{
            GenerateKey, ImportKey, KeyList, KeyChange, RevokeKey, Revocation, VerifyKey, KeyVerified, Validity,
            RotationWarnings, Impact, ConfigList, SetConfig,
        }
        problem::{Problem}
        proofs::{CreateProof, Proof, ProofList, VerifyProof, ProofVerdict}
        status::{Status, DbReport}
        tokens::{CreateToken, TokenList, TokenCreated}
        trust::{ExportTrust, ExportedTrust, TrustRootDocument}
        verify::{VerifyAttestation, VerifyArtifact, VerifyBundle, VerdictReport}
    )
}

fn same<T: DeserializeOwned + Serialize + PartialEq>(data: &[u8]) -> bool {
    let limits = JsonLimits::default();
    let Ok(Object(read)) = json::parse::<Object<T>>(data, &limits) else {
        return false;
    };
    let written = serde_json::to_vec(&read).unwrap();
    let Object(again) = json::parse::<Object<T>>(&written, &limits).unwrap();
    assert!(
        again == read,
        "{} is written as another",
        std::any::type_name::<T>()
    );
    true
}
