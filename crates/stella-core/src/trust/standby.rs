//! Keys that stand by: which of them may sign in the active key's stead, and
//! what was signed by one that did.

use crate::id::{KeyId, ProfileName};
use crate::time::Timestamp;
use crate::trust::{KeyRecord, KeyType, TrustState};

impl TrustState {
    /// The keys that may sign for a profile now: its active key, and after it
    /// the standby keys that the profile lists, in that order. None at all
    /// without an active key: standing in is for a store that is down, and
    /// not for a key that has ended.
    pub fn signing_keys(&self, profile: &ProfileName, listed: &[KeyId], now: Timestamp) -> Vec<&KeyRecord> {
        let Some(active) = self.active_key(profile, now).filter(|k| k.may_sign(now)) else {
            return Vec::new();
        };
        let standing_by = listed.iter().filter_map(|id| self.keys.get(id)).filter(|k| {
            k.profile() == Some(profile) && k.key_type == KeyType::Signing && k.may_stand_in(now)
        });
        std::iter::once(active).chain(standing_by).collect()
    }

    /// Whether the key was standing by when this store recorded a signature
    /// by it. Once activated, it signs in nobody's stead.
    pub fn stood_by(&self, key: &KeyId, at: Timestamp) -> bool {
        match self.stood_by.get(key) {
            None => false,
            Some(until) => until.is_none_or(|until| at < until),
        }
    }

    /// Every key that ever stood by, and when it ceased to.
    pub fn standby_spans(&self) -> impl Iterator<Item = (&KeyId, Option<Timestamp>)> {
        self.stood_by.iter().map(|(id, until)| (id, *until))
    }
}
