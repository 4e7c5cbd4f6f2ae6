//! How each algorithm is asked for, and what KMS is given to sign: one table.

use stella_core::alg::Algorithm;

/// KMS has further algorithms; these are the ones that verifiers here know.
static MECHANISMS: &[Mechanism] = &[
    Mechanism {
        algorithm: "SHA256-ED25519",
        key_spec: "ECC_NIST_EDWARDS25519",
        signing: "ED25519_SHA_512",
        input: Input::Message,
    },
    Mechanism {
        algorithm: "SHA256-ECDSA-P256",
        key_spec: "ECC_NIST_P256",
        signing: "ECDSA_SHA_256",
        input: Input::Sha256,
    },
    Mechanism {
        algorithm: "ML-DSA-65",
        key_spec: "ML_DSA_65",
        signing: "ML_DSA_SHAKE_256",
        input: Input::Mu,
    },
];

#[derive(Debug)]
#[cfg_attr(not(feature = "aws-kms"), allow(dead_code, reason = "nobody is asked"))]
pub(super) struct Mechanism {
    /// The long name in `stella_core::alg`.
    algorithm: &'static str,
    pub key_spec: &'static str,
    pub signing: &'static str,
    pub input: Input,
}

/// What stands for the message in the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Input {
    /// The message itself. Ed25519 hashes it twice, with the key in between,
    /// so that nothing shorter can stand for it; the prehashed Ed25519ph is
    /// another algorithm, whose signatures no verifier of ours accepts.
    Message,
    Sha256,
    /// FIPS 204 algorithm 7 line 6.
    Mu,
}

impl Input {
    /// The name of the message type in requests.
    #[cfg(feature = "aws-kms")]
    pub fn message_type(self) -> &'static str {
        match self {
            Self::Message => "RAW",
            Self::Sha256 => "DIGEST",
            Self::Mu => "EXTERNAL_MU",
        }
    }
}

impl Mechanism {
    pub fn limit(&self) -> Option<usize> {
        (self.input == Input::Message).then_some(MAX_MESSAGE)
    }
}

pub(super) fn of(algorithm: Algorithm) -> Option<&'static Mechanism> {
    MECHANISMS.iter().find(|m| m.algorithm == algorithm.id())
}

/// The reference of the Sign operation: 1 to 4,096 bytes.
const MAX_MESSAGE: usize = 4_096;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mechanism_is_of_an_algorithm_that_we_verify_and_ed25519_alone_has_a_limit() {
        for mechanism in MECHANISMS {
            let algorithm: Algorithm = mechanism.algorithm.parse().expect("an algorithm");
            assert_eq!(algorithm.id(), mechanism.algorithm);
            let limit = (algorithm.id() == "SHA256-ED25519").then_some(4_096);
            assert_eq!(super::super::message_limit(algorithm), limit);
        }
        let gost: Algorithm = "gost2012-256".parse().expect("an algorithm");
        assert!(!super::super::has(gost));
    }
}
