//! Key material. AWS-LC signs, except where KMS is given what stands for the
//! message and AWS-LC takes only messages: there another library does, which
//! is so a second opinion on what was computed.

use aws_lc_rs::digest::{Digest, SHA256};
use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::rand::{SecureRandom as _, SystemRandom};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, EcdsaKeyPair, Ed25519KeyPair,
    KeyPair as _,
};
use ml_dsa::{ExpandedSigningKey, MlDsa65};
use stella_core::alg::PublicKey;

pub(super) enum Material {
    Ed25519(Ed25519KeyPair),
    P256(EcdsaKeyPair),
    /// Of no algorithm that Stella knows.
    P384(EcdsaKeyPair),
    MlDsa65(Box<ExpandedSigningKey<MlDsa65>>),
}

impl Material {
    /// `None` for specs that this KMS does not have.
    pub fn generate(spec: &str) -> Option<Self> {
        Some(match spec {
            "ECC_NIST_EDWARDS25519" => Self::Ed25519(Ed25519KeyPair::generate().ok()?),
            "ECC_NIST_P256" => Self::P256(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).ok()?),
            "ECC_NIST_P384" => Self::P384(EcdsaKeyPair::generate(&ECDSA_P384_SHA384_ASN1_SIGNING).ok()?),
            "ML_DSA_65" => {
                let mut seed = [0_u8; 32];
                SystemRandom::new().fill(&mut seed).ok()?;
                Self::MlDsa65(Box::new(ExpandedSigningKey::from_seed(&seed.into())))
            }
            _ => return None,
        })
    }

    pub fn spec(&self) -> &'static str {
        match self {
            Self::Ed25519(_) => "ECC_NIST_EDWARDS25519",
            Self::P256(_) => "ECC_NIST_P256",
            Self::P384(_) => "ECC_NIST_P384",
            Self::MlDsa65(_) => "ML_DSA_65",
        }
    }

    pub fn algorithms(&self) -> &'static [&'static str] {
        match self {
            Self::Ed25519(_) => &["ED25519_SHA_512", "ED25519_PH_SHA_512"],
            Self::P256(_) => &["ECDSA_SHA_256"],
            Self::P384(_) => &["ECDSA_SHA_384"],
            Self::MlDsa65(_) => &["ML_DSA_SHAKE_256"],
        }
    }

    /// DER `SubjectPublicKeyInfo`.
    pub fn public_key(&self) -> Option<Vec<u8>> {
        let of = |algorithm: &str, raw: &[u8]| {
            let key = PublicKey::from_raw(algorithm.parse().ok()?, raw).ok()?;
            Some(key.spki_der().to_vec())
        };
        match self {
            Self::Ed25519(pair) => of("ed25519", pair.public_key().as_ref()),
            Self::P256(pair) => of("ecdsa-p256", pair.public_key().as_ref()),
            Self::P384(pair) => Some(pair.public_key().as_der().ok()?.as_ref().to_vec()),
            Self::MlDsa65(key) => of("ml-dsa-65", &key.verifying_key().encode()),
        }
    }

    pub fn sign_message(&self, message: &[u8]) -> Option<Vec<u8>> {
        let random = SystemRandom::new();
        Some(match self {
            Self::Ed25519(pair) => pair.sign(message).as_ref().to_vec(),
            Self::P256(pair) | Self::P384(pair) => pair.sign(&random, message).ok()?.as_ref().to_vec(),
            Self::MlDsa65(key) => key.sign_deterministic(message, &[]).ok()?.encode().to_vec(),
        })
    }

    pub fn sign_sha256(&self, digest: &[u8]) -> Option<Vec<u8>> {
        let Self::P256(pair) = self else { return None };
        let digest = Digest::import_less_safe(digest, &SHA256).ok()?;
        Some(pair.sign_digest(&digest).ok()?.as_ref().to_vec())
    }

    pub fn sign_mu(&self, mu: &[u8; 64]) -> Option<Vec<u8>> {
        let Self::MlDsa65(key) = self else { return None };
        Some(key.sign_mu_deterministic(&(*mu).into()).encode().to_vec())
    }
}
