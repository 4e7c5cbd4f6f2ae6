//! `/v1/replicas`.

use super::wire;

wire! {
    pub struct ReplicaList {
        /// Of the one that answers.
        pub name: String,
        pub replicas: Vec<ReplicaStatus>,
    }

    /// A server that shares the store with the one that answers.
    pub struct ReplicaStatus {
        pub name: String,
        /// Where clients reach this one and no other, if it tells
        /// (server.advertise).
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub url: Option<String>,
        pub version: String,
        pub started_at: String,
        pub seen_at: String,
        /// It was not heard of for several heartbeats.
        pub silent: bool,
    }
}
