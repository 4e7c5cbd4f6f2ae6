//! `crypto providers`: what signs and verifies with which algorithm.

use stella_core::alg;
use stella_core::api::crypto::{Algorithm, Providers};
use stella_keys::aws_kms;

use crate::app::App;

impl App {
    pub fn providers(&self) -> Providers {
        Providers {
            algorithms: alg::Algorithm::all().map(available).collect(),
        }
    }
}

fn stores(algorithm: alg::Algorithm) -> Vec<String> {
    let kms = aws_kms::IN_THIS_BUILD && aws_kms::has(algorithm);
    let pkcs11 = BY_STANDARD_MECHANISM.contains(&algorithm.id());
    let stores = [
        Some("software"),
        Some("local-hsm"),
        pkcs11.then_some("pkcs11"),
        kms.then_some("aws-kms"),
    ];
    stores.into_iter().flatten().map(str::to_owned).collect()
}

/// The software store has every algorithm of the core; a test there holds it to that.
fn available(algorithm: alg::Algorithm) -> Algorithm {
    let scheme = algorithm.scheme();
    Algorithm {
        id: algorithm.id().to_owned(),
        short_names: scheme.short_names().iter().map(|&n| n.to_owned()).collect(),
        provider: scheme.provider().to_owned(),
        standard: scheme.standard().to_owned(),
        stores: stores(algorithm),
        sign: true,
        verify: true,
        unaudited: scheme.unaudited(),
        note: Some(if scheme.unaudited() {
            "in software: not a validated module, and an unaudited implementation".to_owned()
        } else {
            "in software: not a validated module".to_owned()
        }),
    }
}

/// What PKCS#11 itself has a mechanism for; a token may have others, by
/// numbers of its vendor (`hsm.modules.NAME.mechanisms`).
const BY_STANDARD_MECHANISM: [&str; 3] = ["SHA256-ECDSA-P256", "SHA256-ED25519", "ML-DSA-65"];
