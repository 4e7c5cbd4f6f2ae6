//! `keys add-store` and `remove-store`: one key in several tokens.

use stella_core::api::keys::{AddStore, Key};
use stella_core::trust::decide::store;
use stella_store::LogRow;

use crate::app::error::{Error, Result};
use crate::app::trust::Decision;
use crate::app::{App, Caller, signers, values};

impl App {
    /// A signature there proves that it is the same key and ours to use.
    pub async fn add_key_store(&self, caller: &Caller, id: &str, request: AddStore) -> Result<Key> {
        let id = values::key_id(id)?;
        let state = self.trust_head().await?;
        let key = store::may_gain_store(&state, &id, self.not_before(&state))?;
        let (held, told) = self
            .held_where_it_is(
                &request.key_store,
                Some(key.public_key.clone()),
                request.allow_extractable,
            )
            .await?;
        let known = key.stores().any(|uri| uri == held.store);
        let there = self.key_store_of(&held.store);
        if let Some(same) = key
            .stores()
            .find(|uri| !known && there.is_some() && self.key_store_of(uri) == there)
        {
            return Err(Error::conflict(
                "key.same-store",
                format!(
                    "{id} is there already, as {same}: one store of a key fails whole, so a second place in it helps nobody"
                ),
            )
            .next("name a key on another token, or in another module"));
        }
        let ((), state) = self
            .change(caller, |state, now| {
                Ok(Decision::new(store::add_store(state, &id, &held.store, now)?, ()))
            })
            .await?;
        let message = format!("{id} signs in {} as well: {told}", held.store);
        self.tell_of_store(caller, &id, &held.store, message).await;
        let mut key = self.view_key(&state, &id)?;
        key.notes.push(told);
        Ok(key)
    }

    pub async fn remove_key_store(&self, caller: &Caller, id: &str, uri: &str) -> Result<Key> {
        let id = values::key_id(id)?;
        let ((), state) = self
            .change(caller, |state, _| {
                Ok(Decision::new(store::remove_store(state, &id, uri)?, ()))
            })
            .await?;
        let message = format!("{id} signs in {uri} no longer; nothing was deleted there");
        self.tell_of_store(caller, &id, uri, message).await;
        self.view_key(&state, &id)
    }

    async fn tell_of_store(&self, caller: &Caller, id: &stella_core::id::KeyId, uri: &str, message: String) {
        self.note(LogRow {
            at: self.now(),
            level: "info".to_owned(),
            component: signers::scheme(uri).to_owned(),
            message,
            fields: serde_json::json!({ "keyId": id.as_str(), "store": uri, "by": caller.identity }),
        })
        .await;
    }
}
