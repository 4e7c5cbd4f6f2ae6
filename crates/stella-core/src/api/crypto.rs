//! `/v1/crypto`.

use super::wire;

wire! {
    pub struct Providers {
        pub algorithms: Vec<Algorithm>,
    }

    pub struct Algorithm {
        pub id: String,
        pub short_names: Vec<String>,
        pub provider: String,
        pub standard: String,
        /// Stores of this build that can sign with it.
        pub stores: Vec<String>,
        pub sign: bool,
        pub verify: bool,
        /// Nobody independent has examined the implementation.
        #[serde(default)]
        pub unaudited: bool,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub note: Option<String>,
    }
}
