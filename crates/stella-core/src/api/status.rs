//! `/v1/status`.

use super::wire;

wire! {
    pub struct Status {
        /// Which instance this is: home, socket or URL.
        pub target: String,
        /// embedded, socket, network.
        pub mode: String,
        pub version: String,
        pub store: String,
        pub signing_mode: String,
        pub profiles: Vec<ProfileStatus>,
        pub recorded: u64,
        pub signed: u64,
        pub failed: u64,
        pub held: u64,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub oldest_unsigned_seconds: Option<u64>,
        /// Records that were signed later than they came, in a minute, as it
        /// went of late.
        #[serde(default)]
        pub drained_per_minute: u64,
        /// When all that are recorded will be signed, if it goes on so.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub drained_in_seconds: Option<u64>,
        pub anchors: u64,
        /// Where the event log stands.
        pub event_head: u64,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        pub warnings: Vec<String>,
    }

    pub struct ProfileStatus {
        pub profile: String,
        pub algorithm: String,
        pub key_store: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub active_key: Option<String>,
        /// The standby key that signs now in the active key's stead.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub signs_with: Option<String>,
        pub can_sign: bool,
        pub detail: String,
    }

    /// `db verify`.
    pub struct DbReport {
        pub store: String,
        pub ok: bool,
        pub events: u64,
        pub attestations: u64,
        pub ledger_entries: u64,
        pub chain_head: String,
        pub findings: Vec<String>,
    }
}
