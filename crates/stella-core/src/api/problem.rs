//! Errors on the wire: RFC 9457 problem documents.

use super::wire;

pub const CONTENT_TYPE: &str = "application/problem+json";

wire! {
    /// RFC 9457. `type` is a URN of the code, `title` its class.
    pub struct Problem {
        #[serde(rename = "type")]
        pub kind: String,
        pub title: String,
        /// The HTTP status.
        pub status: u16,
        /// What happened, for people.
        pub detail: String,
        /// Stable; scripts may compare it.
        pub code: String,
        /// The causes behind it, outermost first.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        pub causes: Vec<String>,
        /// The command that mends it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub next: Option<String>,
        /// The trace of a verdict, where one led here.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub trace: Option<serde_json::Value>,
    }
}
