//! The payload of a trust bundle: the fold of the event log, without the
//! words and names of people in it.
//!
//! A field that this version does not know refuses the whole bundle: it could
//! be a restriction, and who ignores a restriction trusts more than he was
//! told to. So a new field is a new version.

mod settings;
mod state;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use self::settings::{AuthorityWire, LimitsWire, VerifyWire};
use self::state::{AnchorWire, KeyWire, SupersededWire, WithdrawnWire};
use super::document::number;
use super::{InstanceId, LIMITS, LogHead, Refused, TrustBundle};
use crate::canonical;
use crate::digest::Sha256;
use crate::json::{self, Object};
use crate::time::Timestamp;
use crate::trust::state::TrustState;
use crate::verify::Code;

const VERSION: u32 = 1;

macro_rules! wire {
    ($($name:ident { $($(#[$meta:meta])* $field:ident: $type:ty),+ $(,)? })+) => {$(
        #[derive(Serialize, Deserialize)]
        #[serde(rename_all = "camelCase", deny_unknown_fields)]
        pub(in crate::bundle::trust) struct $name { $($(#[$meta])* pub(in crate::bundle::trust) $field: $type),+ }
    )+};
}
pub(super) use wire;

wire! {
    Wire {
        version: u32,
        instance: InstanceId,
        #[serde(deserialize_with = "number")]
        number: u64,
        issued_at: Timestamp,
        expires_at: Timestamp,
        log: LogWire,
        keys: Vec<KeyWire>,
        anchors: Vec<AnchorWire>,
        withdrawn: Vec<WithdrawnWire>,
        superseded: Vec<SupersededWire>,
        authorities: Vec<AuthorityWire>,
        verify: VerifyWire,
        limits: LimitsWire,
    }

    LogWire {
        #[serde(deserialize_with = "number")]
        events: u64,
        #[serde(deserialize_with = "number")]
        entries: u64,
        hash: Sha256,
    }
}

pub(super) fn write(bundle: &TrustBundle, max_bytes: usize) -> Result<Vec<u8>, Refused> {
    let payload = canonical::of(&Wire::from(bundle)).map_err(invalid)?;
    // In an envelope it grows by a third.
    let size = payload.len().saturating_mul(4) / 3 + ENVELOPE_OVERHEAD;
    if size > max_bytes {
        return Err(invalid(format!(
            "it would have {size} bytes, verifiers read at most {max_bytes}"
        )));
    }
    Ok(payload)
}

const ENVELOPE_OVERHEAD: usize = 256 * 1024;

pub(super) fn read(payload: &[u8]) -> Result<TrustBundle, Refused> {
    /// Read first, so that a later version is told as such and not as an
    /// unknown field.
    #[derive(Deserialize)]
    struct Version {
        version: u32,
    }
    let text = json::check(payload, &LIMITS.json).map_err(invalid)?;
    let Object(head): Object<Version> = json::read(text).map_err(invalid)?;
    if head.version != VERSION {
        return Err(invalid(format!(
            "it is of version {}, this build reads {VERSION}",
            head.version
        )));
    }
    let Object(wire): Object<Wire> = json::read(text).map_err(invalid)?;
    wire.into_bundle()
}

fn invalid(why: impl ToString) -> Refused {
    Refused::new(Code::TrustInvalid, why)
}

impl From<&TrustBundle> for Wire {
    fn from(bundle: &TrustBundle) -> Self {
        let trust = &bundle.trust;
        let mut withdrawn: Vec<_> = trust.withdrawn.iter().map(WithdrawnWire::from).collect();
        withdrawn.sort_by_key(|w| *w.pae.as_bytes());
        let mut superseded: Vec<_> = trust.superseded.iter().map(SupersededWire::from).collect();
        superseded.sort_by_key(|s| *s.pae.as_bytes());
        Self {
            version: VERSION,
            instance: bundle.instance,
            number: bundle.number,
            issued_at: bundle.issued_at,
            expires_at: bundle.expires_at,
            log: LogWire {
                events: bundle.log.events,
                entries: bundle.log.entries,
                hash: bundle.log.hash,
            },
            keys: trust.keys.values().map(KeyWire::from).collect(),
            anchors: trust.anchors.values().map(AnchorWire::from).collect(),
            withdrawn,
            superseded,
            authorities: bundle.authorities.values().map(AuthorityWire::from).collect(),
            verify: VerifyWire::from(&bundle.policy),
            limits: LimitsWire::from(&bundle.limits),
        }
    }
}

impl Wire {
    fn into_bundle(self) -> Result<TrustBundle, Refused> {
        if self.issued_at >= self.expires_at {
            return Err(invalid(format!(
                "it was issued {} and expired {} already then",
                self.issued_at, self.expires_at
            )));
        }
        if self.log.events < self.number {
            return Err(invalid(format!(
                "it bears the number {}, its log ends at {}",
                self.number, self.log.events
            )));
        }
        let keys = self.keys.into_iter().map(KeyWire::into_record).collect();
        let anchors = self
            .anchors
            .into_iter()
            .map(AnchorWire::into_anchor)
            .collect::<Result<_, _>>()?;
        let mut trust = TrustState::assemble(self.number, self.issued_at, keys, anchors).map_err(invalid)?;
        for w in self.withdrawn {
            let (pae, withdrawal) = w.into_withdrawal();
            let before = trust.withdrawn.get(&pae).map(drop);
            trust.withdrawn.insert_mut(pae, withdrawal);
            once(before, "a withdrawn statement", pae)?;
        }
        for s in self.superseded {
            let (pae, supersession) = s.into_supersession();
            let before = trust.superseded.get(&pae).map(drop);
            trust.superseded.insert_mut(pae, supersession);
            once(before, "a superseded statement", pae)?;
        }
        let mut authorities = BTreeMap::new();
        for a in self.authorities {
            let id = a.id.clone();
            once(
                authorities.insert(a.id.clone(), a.into_authority()),
                "the authority",
                id,
            )?;
        }
        Ok(TrustBundle {
            instance: self.instance,
            number: self.number,
            issued_at: self.issued_at,
            expires_at: self.expires_at,
            log: LogHead {
                events: self.log.events,
                entries: self.log.entries,
                hash: self.log.hash,
            },
            trust,
            authorities,
            policy: self.verify.into_policy(),
            limits: self.limits.into_limits(),
        })
    }
}

fn once<T>(before: Option<T>, what: &str, which: impl std::fmt::Display) -> Result<(), Refused> {
    match before {
        None => Ok(()),
        Some(_) => Err(invalid(format!("{what} {which} is there twice"))),
    }
}
