//! `/v1/tokens`.

use super::wire;

wire! {
    pub struct CreateToken {
        #[serde(default)]
        pub name: Option<String>,
        /// admin, key-admin, signer, verifier, auditor, approver.
        pub role: String,
        /// Patterns of names a signer may have signed. A signer needs at least
        /// one; types and profiles narrow it further where they are given.
        #[serde(default)]
        pub purls: Vec<String>,
        #[serde(default)]
        pub types: Vec<String>,
        #[serde(default)]
        pub profiles: Vec<String>,
        /// Seconds from now.
        #[serde(default)]
        pub expires_in_seconds: Option<u64>,
    }

    pub struct Token {
        pub id: String,
        pub name: String,
        pub role: String,
        pub purls: Vec<String>,
        pub types: Vec<String>,
        pub profiles: Vec<String>,
        pub created_at: String,
        pub created_by: String,
        pub expires_at: String,
        /// active, expired, revoked.
        pub status: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub last_used_at: Option<String>,
    }

    pub struct TokenCreated {
        #[serde(flatten)]
        pub token: Token,
        /// Shown once; only its hash is kept.
        pub secret: String,
    }

    pub struct TokenList {
        pub tokens: Vec<Token>,
    }
}
