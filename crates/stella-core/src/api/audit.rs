//! `/v1/audit` and `/v1/logs`.

use super::wire;
use serde_json::Value;

wire! {
    /// The fields of the runbook's audit trail.
    pub struct AuditEvent {
        pub sequence: u64,
        pub event_id: String,
        pub event_type: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub key_id: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub anchor_id: Option<String>,
        pub actor: String,
        pub timestamp: String,
        pub details: Value,
    }

    pub struct AuditList {
        pub events: Vec<AuditEvent>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub next_cursor: Option<String>,
    }

    pub struct LogLine {
        pub at: String,
        pub level: String,
        pub component: String,
        pub message: String,
        pub fields: Value,
    }

    pub struct LogList {
        pub lines: Vec<LogLine>,
    }
}
