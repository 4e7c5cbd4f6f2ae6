//! `token revoke`.

use stella_core::api::tokens::Token;
use stella_core::trust::EventBody;
use stella_store::{TokenChange, TokenRow};

use crate::app::error::{Error, Result};
use crate::app::trust::Decision;
use crate::app::{App, Caller};

/// Shorter ones are too easily another's.
const MIN_PREFIX: usize = 4;

impl App {
    /// At once and for good. A token revoked already is answered as it is.
    pub async fn revoke_token(&self, caller: &Caller, id: &str) -> Result<Token> {
        let rows = self.store.tokens().await?;
        let mut row = find(&rows, id)?.clone();
        if row.revoked_at.is_none() {
            let (at, _) = self
                .change(caller, |_, now| {
                    let event = EventBody::TokenRevoked {
                        token_id: row.id.to_string(),
                    };
                    let mut decision = Decision::new(vec![event], now);
                    decision.tokens.push(TokenChange::Revoke { id: row.id, at: now });
                    Ok(decision)
                })
                .await?;
            row.revoked_at = Some(at);
        }
        super::view(&row, self.now())
    }
}

/// By id, by the beginning of one, or by name where only one has it.
fn find<'a>(rows: &'a [TokenRow], text: &str) -> Result<&'a TokenRow> {
    let prefix = text
        .trim_end_matches("...")
        .trim_end_matches('…')
        .to_ascii_lowercase();
    let unknown = || Error::not_found("token.unknown", format!("no token {text}")).next("stella token list");
    let mut found = rows
        .iter()
        .filter(|t| t.name == text || (prefix.len() >= MIN_PREFIX && t.id.to_string().starts_with(&prefix)));
    match (found.next(), found.next()) {
        (Some(one), None) => Ok(one),
        (Some(_), Some(_)) => Err(Error::invalid(
            "token.ambiguous",
            format!("more than one token is called {text} or begins so"),
        )
        .next("stella token list")),
        (None, _) => Err(unknown()),
    }
}
