//! What a command's end tells a script: the one table, from which the
//! reference page is generated too.

use std::process::ExitCode;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    Done = 0,
    Failed = 1,
    Usage = 2,
    NotFound = 3,
    Denied = 4,
    Recorded = 5,
    Unavailable = 6,
    NoAttestation = 10,
    Indeterminate = 11,
    VerificationFailed = 12,
    NoAnchor = 13,
}

pub const TABLE: &[(Exit, &str)] = &[
    (Exit::Done, "done, or the verdict is PASS"),
    (Exit::Failed, "failed"),
    (
        Exit::Usage,
        "the command or the request makes no sense as it stands",
    ),
    (Exit::NotFound, "not found"),
    (Exit::Denied, "not authenticated, or not allowed"),
    (
        Exit::Recorded,
        "recorded but not yet signed; it is safe (--accept-recorded makes it 0)",
    ),
    (
        Exit::Unavailable,
        "backend or server unavailable and nothing recorded; safe to repeat",
    ),
    (
        Exit::NoAttestation,
        "the digest has no attestation at all, or there was nothing to judge",
    ),
    (Exit::Indeterminate, "the verdict is INDETERMINATE"),
    (Exit::VerificationFailed, "the verdict is FAIL"),
    (
        Exit::NoAnchor,
        "no trust anchor matches (INDETERMINATE), or no certificate chain",
    ),
];

impl Exit {
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// Of an answer that is not a success.
    pub const fn of_status(status: u16) -> Self {
        match status {
            400 | 405 | 413 | 415 | 422 => Self::Usage,
            404 => Self::NotFound,
            401 | 403 => Self::Denied,
            502..=504 => Self::Unavailable,
            _ => Self::Failed,
        }
    }

    /// Of a verdict and its reason code.
    pub fn of_verdict(verdict: &str, code: &str) -> Self {
        match (verdict, code) {
            ("PASS", _) => Self::Done,
            (_, "attestation.none") => Self::NoAttestation,
            ("FAIL", _) => Self::VerificationFailed,
            (_, "anchor.none") => Self::NoAnchor,
            _ => Self::Indeterminate,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_explained_once_and_in_order() {
        let codes: Vec<u8> = TABLE.iter().map(|(exit, _)| exit.code()).collect();
        assert_eq!(codes, [0, 1, 2, 3, 4, 5, 6, 10, 11, 12, 13]);
    }

    #[test]
    fn verdicts_and_answers_map_to_codes() {
        assert_eq!(Exit::of_verdict("PASS", "ok"), Exit::Done);
        assert_eq!(Exit::of_verdict("FAIL", "key.revoked"), Exit::VerificationFailed);
        assert_eq!(
            Exit::of_verdict("INDETERMINATE", "time.not-proven"),
            Exit::Indeterminate
        );
        assert_eq!(Exit::of_verdict("INDETERMINATE", "anchor.none"), Exit::NoAnchor);
        assert_eq!(
            Exit::of_verdict("INDETERMINATE", "attestation.none"),
            Exit::NoAttestation
        );
        assert_eq!(Exit::of_status(409), Exit::Failed);
        assert_eq!(Exit::of_status(422), Exit::Usage);
        assert_eq!(Exit::of_status(503), Exit::Unavailable);
    }
}
