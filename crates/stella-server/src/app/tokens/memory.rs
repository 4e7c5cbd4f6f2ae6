//! Tokens that were looked up, for requests whose commit proves that nothing
//! was revoked since.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::Value;
use stella_core::digest::Sha256;
use stella_store::TokenRow;

use crate::app::Caller;

/// By the hash of the secret, as the store keeps it.
#[derive(Default)]
pub struct KnownTokens(Mutex<Known>);

#[derive(Default)]
struct Known {
    /// Of the event log, when they were looked up.
    head: u64,
    tokens: HashMap<Sha256, Arc<Token>>,
}

pub(super) struct Token {
    pub(super) row: TokenRow,
    /// Whom the row makes of whoever has the token.
    pub(super) caller: Caller,
    /// As it is kept with what they have signed.
    pub(super) authority: Arc<Value>,
}

impl KnownTokens {
    /// A token that was good at this head.
    pub(super) fn at(&self, head: u64, hash: &Sha256) -> Option<Arc<Token>> {
        let known = self.known();
        if known.head == head {
            known.tokens.get(hash).cloned()
        } else {
            None
        }
    }

    /// `head` was seen before the token was looked up.
    pub(super) fn keep(&self, head: u64, token: Arc<Token>) {
        let mut known = self.known();
        if known.head != head || known.tokens.len() >= MOST {
            known.tokens.clear();
            known.head = head;
        }
        known.tokens.insert(token.row.hash, token);
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

const MOST: usize = 10_000;
