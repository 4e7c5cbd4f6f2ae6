//! `/v1/doctor`.

use super::wire;

wire! {
    /// What was examined, and how each of it stands.
    pub struct DoctorReport {
        /// Which instance this is: home, socket or URL.
        pub target: String,
        /// embedded, server.
        pub mode: String,
        pub version: String,
        /// The worst of the checks.
        pub status: Health,
        pub checks: Vec<DoctorCheck>,
    }

    pub struct DoctorCheck {
        /// Stable, such as check.attestor.signing-health.
        pub id: String,
        /// The question it answers.
        pub about: String,
        /// The worst of its findings.
        pub status: Health,
        pub findings: Vec<DoctorFinding>,
        pub milliseconds: f64,
    }

    pub struct DoctorFinding {
        pub status: Health,
        /// What was looked at and what came out.
        pub measured: String,
        /// Why it is so, most likely. With warn and fail always.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub cause: Option<String>,
        /// The command that mends it. With warn and fail always.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub next: Option<String>,
    }

    /// From harmless to worst.
    #[derive(Copy, Eq, PartialOrd, Ord)]
    pub enum Health {
        /// There is nothing here to look at, or the caller may not see it.
        Skip,
        Pass,
        Warn,
        Fail,
    }
}

impl Health {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Skip => "skip",
            Self::Pass => "pass",
            Self::Warn => "warn",
            Self::Fail => "fail",
        }
    }
}

impl std::fmt::Display for Health {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}
