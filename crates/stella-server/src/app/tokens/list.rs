//! `token list`.

use stella_core::api::tokens::TokenList;

use crate::app::App;
use crate::app::error::Result;

impl App {
    /// Every token ever made, the newest first; ended ones are told apart.
    pub async fn list_tokens(&self) -> Result<TokenList> {
        let now = self.now();
        let mut rows = self.store.tokens().await?;
        rows.sort_by_key(|t| std::cmp::Reverse((t.created_at, t.id.0)));
        let tokens = rows
            .iter()
            .map(|row| super::view(row, now))
            .collect::<Result<_>>()?;
        Ok(TokenList { tokens })
    }
}
