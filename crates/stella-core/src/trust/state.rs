//! The fold of the events: what is trusted at the head of a log.

use std::collections::{BTreeMap, BTreeSet};

use rpds::{HashTrieMapSync, HashTrieSetSync, RedBlackTreeMapSync};

use crate::digest::Sha256;
use crate::id::{AnchorId, AttestationId, KeyId, ProfileName};
use crate::purl::{PatternIndex, SubjectName};
use crate::time::Timestamp;
use crate::trust::anchor::{AnchorKey, AnchorStatus, PolicyVersion, TrustAnchor};
use crate::trust::event::{Event, EventBody, KeyEntered};
use crate::trust::key::{Custody, KeyRecord, KeyState, OwnKey, Phase};
use crate::trust::reason::{KeyEnd, RevokeReason};

/// Each change makes a new one, and shares with the one before what did not
/// change: what grows is in maps whose copies cost nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TrustState {
    /// The sequence number of the last event applied; 0 for none.
    pub head: u64,
    /// When it was recorded; a later event is never recorded before it, so
    /// that "as of" has one answer even where the clock was set back.
    pub recorded_at: Option<Timestamp>,
    pub keys: RedBlackTreeMapSync<KeyId, KeyRecord>,
    pub anchors: RedBlackTreeMapSync<AnchorId, TrustAnchor>,
    pub withdrawn: HashTrieMapSync<Sha256, Withdrawal>,
    pub superseded: HashTrieMapSync<Sha256, Supersession>,
    pub settings: BTreeMap<String, String>,
    by_material: HashTrieMapSync<Sha256, KeyId>,
    /// Keys in the active phase.
    active: BTreeMap<ProfileName, BTreeSet<KeyId>>,
    /// Anchors by their patterns.
    patterns: PatternIndex<AnchorId>,
    /// The anchors that a key was ever added to.
    held_in: HashTrieMapSync<KeyId, BTreeSet<AnchorId>>,
    /// Keys whose word ends in one anchor at least.
    ended: HashTrieSetSync<KeyId>,
    /// Keys that were made to stand by, and when they ceased to.
    pub(super) stood_by: RedBlackTreeMapSync<KeyId, Option<Timestamp>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Withdrawal {
    pub reason: RevokeReason,
    pub note: Option<String>,
    pub at: Timestamp,
    pub actor: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Supersession {
    pub successor: AttestationId,
    pub at: Timestamp,
}

/// A log that does not follow its own rules. Deciding refuses such events, so
/// meeting one while reading means that the log was altered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Corrupt {
    #[error("event {found} follows event {head}: the sequence has a gap")]
    Gap { head: u64, found: u64 },
    #[error("event {0} names a key that no earlier event entered")]
    NoSuchKey(u64),
    #[error("event {0} names a trust anchor that no earlier event created")]
    NoSuchAnchor(u64),
    #[error("event {0} enters a key, a key's material or store, or an anchor a second time")]
    Twice(u64),
    #[error("event {0} takes a store from a key that is not in it, or in no other")]
    NoSuchStore(u64),
    #[error("event {0} was recorded before the one in front of it")]
    BackInTime(u64),
}

/// Keys and anchors that no log could have led to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Inconsistent {
    #[error("the key {0}, or its material, is there twice")]
    KeyTwice(KeyId),
    #[error("the trust anchor {0} is there twice")]
    AnchorTwice(AnchorId),
    #[error("the trust anchor {0} holds {1}, which is not among the keys")]
    NoSuchKey(AnchorId, KeyId),
    #[error("the trust anchor {0} holds {1} twice")]
    HeldTwice(AnchorId, KeyId),
}

impl TrustState {
    pub fn fold<'a>(events: impl IntoIterator<Item = &'a Event>) -> Result<Self, Corrupt> {
        let mut state = Self::default();
        for event in events {
            state.apply(event)?;
        }
        Ok(state)
    }

    /// Goes on with the events that were known at `moment`: those up to the
    /// first one recorded after it. `false` once that one was met, so that
    /// whoever reads the log in pieces stops there.
    pub fn catch_up<'a>(
        &mut self,
        events: impl IntoIterator<Item = &'a Event>,
        moment: Timestamp,
    ) -> Result<bool, Corrupt> {
        for event in events {
            if event.recorded_at > moment {
                return Ok(false);
            }
            self.apply(event)?;
        }
        Ok(true)
    }

    /// An event that is refused leaves the state as it was.
    pub fn apply(&mut self, event: &Event) -> Result<(), Corrupt> {
        let sequence = event.sequence;
        if sequence != self.head + 1 {
            return Err(Corrupt::Gap {
                head: self.head,
                found: sequence,
            });
        }
        if self.recorded_at.is_some_and(|last| event.recorded_at < last) {
            return Err(Corrupt::BackInTime(sequence));
        }
        self.change(event)?;
        if let Some(key) = event.body.key_id().and_then(|id| self.keys.get_mut(id)) {
            key.version = sequence;
        }
        self.head = sequence;
        self.recorded_at = Some(event.recorded_at);
        Ok(())
    }

    /// What the state would be with these events as well. Only for deciding:
    /// the events have no ids yet, so nothing of this is ever stored.
    ///
    /// Fails at the first event that contradicts the state, with those before
    /// it applied; deciding yields none such.
    pub fn preview(&mut self, events: &[EventBody], now: Timestamp) -> Result<(), Corrupt> {
        for body in events {
            self.apply(&Event {
                sequence: self.head + 1,
                id: crate::id::EventId(uuid::Uuid::nil()),
                recorded_at: now,
                actor: String::new(),
                body: body.clone(),
            })?;
        }
        Ok(())
    }

    pub fn key_of_material(&self, fingerprint: &Sha256) -> Option<&KeyRecord> {
        self.by_material.get(fingerprint).and_then(|id| self.keys.get(id))
    }

    /// The key that signs for a profile, whether or not its life has run out.
    pub fn active_key(&self, profile: &ProfileName, now: Timestamp) -> Option<&KeyRecord> {
        let active = self.active.get(profile).into_iter().flatten();
        let mut keys = active.filter_map(|id| self.keys.get(id));
        keys.find(|k| k.state(now) == KeyState::Active && k.key_type == crate::trust::KeyType::Signing)
    }

    /// The keys that sign trust bundles and roots; several at once, so that
    /// one can follow another.
    pub fn active_feed_keys(&self, now: Timestamp) -> impl Iterator<Item = &KeyRecord> {
        self.keys.values().filter(move |k| {
            k.key_type == crate::trust::KeyType::Feed && k.own().is_some() && k.state(now) == KeyState::Active
        })
    }

    /// A state as it was exported; settings are not part of it.
    pub fn assemble(
        head: u64,
        recorded_at: Timestamp,
        keys: Vec<KeyRecord>,
        anchors: Vec<TrustAnchor>,
    ) -> Result<Self, Inconsistent> {
        let mut state = Self {
            head,
            recorded_at: Some(recorded_at),
            ..Self::default()
        };
        for key in keys {
            let material = key.public_key.fingerprint();
            if state.keys.contains_key(&key.id) || state.by_material.contains_key(&material) {
                return Err(Inconsistent::KeyTwice(key.id));
            }
            state.by_material.insert_mut(material, key.id.clone());
            state.note_phase(&key);
            if key.end.is_some() {
                state.ended.insert_mut(key.id.clone());
            }
            state.keys.insert_mut(key.id.clone(), key);
        }
        for anchor in anchors {
            let mut seen = BTreeSet::new();
            for held in &anchor.keys {
                if !state.keys.contains_key(&held.key_id) {
                    return Err(Inconsistent::NoSuchKey(anchor.id, held.key_id.clone()));
                }
                if !seen.insert(&held.key_id) {
                    return Err(Inconsistent::HeldTwice(anchor.id, held.key_id.clone()));
                }
            }
            if state.anchors.contains_key(&anchor.id) {
                return Err(Inconsistent::AnchorTwice(anchor.id));
            }
            state.patterns.insert(&anchor.pattern, anchor.id);
            for held in &anchor.keys {
                state.note_held(&held.key_id, anchor.id);
                if held.end.is_some() {
                    state.ended.insert_mut(held.key_id.clone());
                }
            }
            state.anchors.insert_mut(anchor.id, anchor);
        }
        Ok(state)
    }

    /// The anchors of the one pattern that decides about this name, and no other.
    pub fn deciding(&self, name: &SubjectName) -> Vec<&TrustAnchor> {
        let candidates = self.patterns.candidates(name);
        let candidates = candidates.iter().filter_map(|id| self.anchors.get(id));
        crate::purl::most_specific(candidates.map(|a| (&a.pattern, a)), name)
    }

    /// All anchors whose pattern matches, the deciding ones first.
    pub fn matching(&self, name: &SubjectName) -> Vec<&TrustAnchor> {
        let candidates = self.patterns.candidates(name);
        let candidates = candidates.iter().filter_map(|id| self.anchors.get(id));
        let mut found: Vec<_> = candidates.filter(|a| a.pattern.matches(name)).collect();
        found.sort_by_key(|a| std::cmp::Reverse(a.pattern.specificity()));
        found
    }

    /// Anchors in which the key stands unrevoked.
    pub fn anchors_holding(&self, id: &KeyId) -> impl Iterator<Item = &TrustAnchor> {
        self.anchors_that_had(id).filter(move |a| a.holds(id))
    }

    /// Anchors that the key was ever added to.
    pub fn anchors_that_had(&self, id: &KeyId) -> impl Iterator<Item = &TrustAnchor> {
        let had = self.held_in.get(id).into_iter().flatten();
        had.filter_map(|anchor| self.anchors.get(anchor))
    }

    /// Whether the key's word ends in one anchor at least.
    pub fn has_ended(&self, id: &KeyId) -> bool {
        self.ended.contains(id)
    }

    pub fn ended_keys(&self) -> impl Iterator<Item = &KeyRecord> {
        self.ended.iter().filter_map(|id| self.keys.get(id))
    }

    /// The same trust, had the key never ended anywhere.
    pub fn without_end(&self, id: &KeyId) -> Self {
        let mut state = self.clone();
        if let Some(key) = state.keys.get_mut(id) {
            key.end = None;
        }
        for anchor in self.anchors_that_had(id) {
            let anchor = state.anchors.get_mut(&anchor.id);
            if let Some(held) = anchor.and_then(|anchor| anchor.key_mut(id)) {
                held.end = None;
                held.expires_at = None;
            }
        }
        state.ended.remove_mut(id);
        state
    }

    fn note_held(&mut self, key: &KeyId, anchor: AnchorId) {
        match self.held_in.get_mut(key) {
            Some(anchors) => {
                anchors.insert(anchor);
            }
            None => self.held_in.insert_mut(key.clone(), BTreeSet::from([anchor])),
        }
    }

    fn note_phase(&mut self, key: &KeyRecord) {
        let Some(own) = key.own() else {
            return;
        };
        if own.phase == Phase::Active {
            self.active
                .entry(own.profile.clone())
                .or_default()
                .insert(key.id.clone());
        } else if let Some(keys) = self.active.get_mut(&own.profile) {
            keys.remove(&key.id);
            if keys.is_empty() {
                self.active.remove(&own.profile);
            }
        }
    }

    fn change(&mut self, event: &Event) -> Result<(), Corrupt> {
        let (sequence, at) = (event.sequence, event.recorded_at);
        match &event.body {
            EventBody::KeyGenerated(entered) | EventBody::KeyImported(entered) => {
                self.enter(entered, event)?
            }
            EventBody::KeyActivated { key_id } => self.set_phase(key_id, Phase::Active, event)?,
            EventBody::KeyRetiring { key_id, until, .. } => {
                self.set_phase(key_id, Phase::Retiring { until: *until }, event)?;
            }
            EventBody::KeyRetired { key_id } => self.set_phase(key_id, Phase::Retired, event)?,
            EventBody::KeyStoreAdded { key_id, store } => self.add_store(key_id, store, sequence)?,
            EventBody::KeyStoreRemoved { key_id, store } => self.remove_store(key_id, store, sequence)?,
            EventBody::KeyRevoked {
                anchor_id,
                key_id,
                reason,
                effective_at,
                compromised_since,
                note,
            } => {
                let end = KeyEnd {
                    reason: *reason,
                    effective_at: *effective_at,
                    recorded_at: at,
                    compromised_since: *compromised_since,
                    note: note.clone(),
                };
                self.revoke(*anchor_id, key_id, end, sequence)?;
            }
            EventBody::ConfigSet { key, value } => {
                self.settings.insert(key.clone(), value.clone());
            }
            EventBody::ConfigUnset { key } => {
                self.settings.remove(key);
            }
            EventBody::AttestationWithdrawn { pae, reason, note } => {
                let withdrawal = Withdrawal {
                    reason: *reason,
                    note: note.clone(),
                    at,
                    actor: event.actor.clone(),
                };
                if !self.withdrawn.contains_key(pae) {
                    self.withdrawn.insert_mut(*pae, withdrawal);
                }
            }
            EventBody::AttestationSuperseded { pae, successor } => {
                let successor = *successor;
                self.superseded.insert_mut(*pae, Supersession { successor, at });
            }
            EventBody::TokenCreated { .. }
            | EventBody::TokenRevoked { .. }
            | EventBody::BackupCreated { .. }
            | EventBody::TrustExported { .. } => {}
            EventBody::AnchorCreated { .. }
            | EventBody::AnchorUpdated { .. }
            | EventBody::AnchorDisabled { .. }
            | EventBody::AnchorEnabled { .. }
            | EventBody::KeyAdded { .. } => self.change_anchor(event)?,
        }
        Ok(())
    }

    fn change_anchor(&mut self, event: &Event) -> Result<(), Corrupt> {
        let sequence = event.sequence;
        let Some(anchor_id) = event.body.anchor_id() else {
            return Ok(());
        };
        if let EventBody::AnchorCreated {
            purl_pattern, policy, ..
        } = &event.body
        {
            let anchor = TrustAnchor {
                id: anchor_id,
                pattern: purl_pattern.clone(),
                status: AnchorStatus::Active,
                policy: policy.clone(),
                policy_version: PolicyVersion::FIRST,
                created_at: event.recorded_at,
                keys: Vec::new(),
            };
            if self.anchors.contains_key(&anchor_id) {
                return Err(Corrupt::Twice(sequence));
            }
            self.patterns.insert(&anchor.pattern, anchor_id);
            self.anchors.insert_mut(anchor_id, anchor);
            return Ok(());
        }
        let keys = &self.keys;
        let anchor = self
            .anchors
            .get_mut(&anchor_id)
            .ok_or(Corrupt::NoSuchAnchor(sequence))?;
        match &event.body {
            EventBody::AnchorUpdated { policy, .. } => anchor.policy = policy.clone(),
            EventBody::AnchorDisabled { .. } => anchor.status = AnchorStatus::Disabled,
            EventBody::AnchorEnabled { .. } => anchor.status = AnchorStatus::Active,
            EventBody::KeyAdded {
                key_id,
                added_at,
                expires_at,
                ..
            } => {
                if !keys.contains_key(key_id) {
                    return Err(Corrupt::NoSuchKey(sequence));
                }
                if anchor.key(key_id).is_some() {
                    return Err(Corrupt::Twice(sequence));
                }
                anchor.keys.push(AnchorKey {
                    key_id: key_id.clone(),
                    added_at: *added_at,
                    recorded_at: event.recorded_at,
                    expires_at: *expires_at,
                    end: None,
                });
                anchor.policy_version.raise();
                self.note_held(key_id, anchor_id);
                return Ok(());
            }
            _ => return Ok(()),
        }
        anchor.policy_version.raise();
        Ok(())
    }

    fn enter(&mut self, entered: &KeyEntered, event: &Event) -> Result<(), Corrupt> {
        let material = entered.public_key.fingerprint();
        if self.keys.contains_key(&entered.key_id) || self.by_material.contains_key(&material) {
            return Err(Corrupt::Twice(event.sequence));
        }
        let custody = entered.custody.as_ref().map_or(Custody::External, |c| {
            Custody::Own(OwnKey {
                profile: c.profile.clone(),
                store: c.store.clone(),
                further_stores: Vec::new(),
                not_after: c.not_after,
                phase: if c.standby { Phase::Standby } else { Phase::Pending },
            })
        });
        let record = KeyRecord {
            id: entered.key_id.clone(),
            public_key: entered.public_key.clone(),
            key_type: entered.key_type,
            created_at: entered.created_at,
            entered_at: event.recorded_at,
            custody,
            end: None,
            version: event.sequence,
        };
        if entered.custody.as_ref().is_some_and(|c| c.standby) {
            self.stood_by.insert_mut(entered.key_id.clone(), None);
        }
        self.by_material.insert_mut(material, entered.key_id.clone());
        self.note_phase(&record);
        self.keys.insert_mut(entered.key_id.clone(), record);
        Ok(())
    }

    fn add_store(&mut self, id: &KeyId, store: &str, sequence: u64) -> Result<(), Corrupt> {
        let own = self.own_mut(id).ok_or(Corrupt::NoSuchKey(sequence))?;
        if own.stores().any(|known| known == store) {
            return Err(Corrupt::Twice(sequence));
        }
        own.further_stores.push(store.to_owned());
        Ok(())
    }

    /// Of the first store, the next one takes its place.
    fn remove_store(&mut self, id: &KeyId, store: &str, sequence: u64) -> Result<(), Corrupt> {
        let own = self.own_mut(id).ok_or(Corrupt::NoSuchKey(sequence))?;
        if let Some(at) = own.further_stores.iter().position(|known| known == store) {
            own.further_stores.remove(at);
            return Ok(());
        }
        if own.store != store || own.further_stores.is_empty() {
            return Err(Corrupt::NoSuchStore(sequence));
        }
        own.store = own.further_stores.remove(0);
        Ok(())
    }

    fn own_mut(&mut self, id: &KeyId) -> Option<&mut OwnKey> {
        match &mut self.keys.get_mut(id)?.custody {
            Custody::Own(own) => Some(own),
            Custody::External => None,
        }
    }

    fn set_phase(&mut self, id: &KeyId, phase: Phase, event: &Event) -> Result<(), Corrupt> {
        let own = self.own_mut(id).ok_or(Corrupt::NoSuchKey(event.sequence))?;
        own.phase = phase;
        if let Some(key) = self.keys.get(id).cloned() {
            self.note_phase(&key);
        }
        if let Some(until) = self.stood_by.get_mut(id) {
            until.get_or_insert(event.recorded_at);
        }
        Ok(())
    }

    fn revoke(
        &mut self,
        anchor: Option<AnchorId>,
        id: &KeyId,
        end: KeyEnd,
        sequence: u64,
    ) -> Result<(), Corrupt> {
        let said = |earlier: &Option<KeyEnd>| match earlier {
            Some(earlier) => end.clone().after(earlier),
            None => end.clone(),
        };
        match anchor {
            Some(anchor_id) => {
                let anchor = self
                    .anchors
                    .get_mut(&anchor_id)
                    .ok_or(Corrupt::NoSuchAnchor(sequence))?;
                let key = anchor.key_mut(id).ok_or(Corrupt::NoSuchKey(sequence))?;
                key.end = Some(said(&key.end));
                anchor.policy_version.raise();
            }
            None => {
                let key = self.keys.get_mut(id).ok_or(Corrupt::NoSuchKey(sequence))?;
                key.end = Some(said(&key.end));
            }
        }
        self.ended.insert_mut(id.clone());
        Ok(())
    }
}
