//! `/v1/tokens`.

use std::fmt;

use super::wire;

wire! {
    #[serde(deny_unknown_fields)]
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

    pub struct TokenList {
        pub tokens: Vec<Token>,
    }
}

// Not in the macro: whoever prints it must not see the secret.
/// A new token, with its secret.
#[derive(Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct TokenCreated {
    #[serde(flatten)]
    pub token: Token,
    /// Shown once; only its hash is kept.
    pub secret: String,
}

impl fmt::Debug for TokenCreated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenCreated")
            .field("token", &self.token)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_not_printed_by_the_way() {
        let created: TokenCreated = serde_json::from_value(serde_json::json!({
            "id": "i", "name": "ci", "role": "signer", "purls": [], "types": [], "profiles": [], "createdAt": "t",
            "createdBy": "me", "expiresAt": "t", "status": "active", "secret": "stella_hush",
        }))
        .expect("a token");
        let printed = format!("{created:?}");
        assert!(printed.contains("ci") && !printed.contains("hush"), "{printed}");
    }
}
