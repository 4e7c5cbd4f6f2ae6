//! How each algorithm is done on a token.

use std::collections::BTreeMap;

use cryptoki::mechanism::dsa::{HedgeType, SignAdditionalContext};
use cryptoki::mechanism::eddsa::{EddsaParams, EddsaSignatureScheme};
use cryptoki::mechanism::vendor_defined::VendorDefinedMechanism;
use cryptoki::mechanism::{Mechanism, MechanismType};
use cryptoki::object::{Attribute, AttributeType, KeyType, MlDsaParameterSetType};
use stella_core::alg::Algorithm;

use crate::hsm::{ErrorClass, MechanismInput, ModuleName, VendorMechanism};
use crate::pkcs11::message::{Configuration, ECDSA_P256, ED25519, Failure, GOST, ML_DSA_65, SM2};

/// The way that a token goes for one algorithm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Way {
    pub algorithm: Algorithm,
    pub sign: MechanismType,
    pub input: MechanismInput,
    pub generate: Option<MechanismType>,
    pub key_type: KeyType,
}

/// One that PKCS#11 itself knows, in order of preference.
struct Standard {
    algorithm: &'static str,
    sign: MechanismType,
    input: MechanismInput,
    generate: MechanismType,
    key_type: KeyType,
}

const STANDARD: [Standard; 4] = [
    // Digest outside: every token has it, and messages stay short.
    Standard {
        algorithm: ECDSA_P256,
        sign: MechanismType::ECDSA,
        input: MechanismInput::Digest,
        generate: MechanismType::ECC_KEY_PAIR_GEN,
        key_type: KeyType::EC,
    },
    Standard {
        algorithm: ECDSA_P256,
        sign: MechanismType::ECDSA_SHA256,
        input: MechanismInput::Message,
        generate: MechanismType::ECC_KEY_PAIR_GEN,
        key_type: KeyType::EC,
    },
    Standard {
        algorithm: ED25519,
        sign: MechanismType::EDDSA,
        input: MechanismInput::Message,
        generate: MechanismType::ECC_EDWARDS_KEY_PAIR_GEN,
        key_type: KeyType::EC_EDWARDS,
    },
    Standard {
        algorithm: ML_DSA_65,
        sign: MechanismType::ML_DSA,
        input: MechanismInput::Message,
        generate: MechanismType::ML_DSA_KEY_PAIR_GEN,
        key_type: KeyType::ML_DSA,
    },
];

/// Every way that the configuration and the token's list of mechanisms allow,
/// one for each algorithm. What is configured goes before what is standard,
/// and is not looked up: the list does not name what cryptoki does not know.
pub fn ways(
    list: &[MechanismType],
    configured: &BTreeMap<Algorithm, VendorMechanism>,
    module: &ModuleName,
) -> Result<Vec<Way>, Failure> {
    Algorithm::all()
        .filter_map(|algorithm| match configured.get(&algorithm) {
            Some(vendor) => Some(of_vendor(algorithm, vendor, module)),
            None => standard(algorithm, list).map(Ok),
        })
        .collect()
}

fn standard(algorithm: Algorithm, list: &[MechanismType]) -> Option<Way> {
    let way = STANDARD
        .iter()
        .find(|way| way.algorithm == algorithm.id() && list.contains(&way.sign))?;
    Some(Way {
        algorithm,
        sign: way.sign,
        input: way.input,
        generate: list.contains(&way.generate).then_some(way.generate),
        key_type: way.key_type,
    })
}

fn of_vendor(algorithm: Algorithm, vendor: &VendorMechanism, module: &ModuleName) -> Result<Way, Failure> {
    let unknown = |setting: &str, number: u64| {
        Failure::new(
            ErrorClass::Config,
            format!(
                "{} 0x{number:X} cannot be used: it is neither a vendor's (0x80000000 and above) nor known to this build",
                setting_of(module, algorithm, setting)
            ),
        )
    };
    let mechanism = |setting: &str, number: u64| {
        MechanismType::try_from(number)
            .or_else(|_| MechanismType::new_vendor_defined(number))
            .map_err(|_| unknown(setting, number))
    };
    Ok(Way {
        algorithm,
        sign: mechanism("sign", vendor.sign)?,
        input: vendor.input,
        generate: vendor
            .generate
            .map(|number| mechanism("generate", number))
            .transpose()?,
        key_type: KeyType::try_from(vendor.key_type).map_err(|_| unknown("keyType", vendor.key_type))?,
    })
}

/// Says which setting a refusal speaks of, where the mechanism was configured
/// by its number.
pub fn blamed(
    mut failure: Failure,
    way: &Way,
    setting: &'static str,
    configuration: &Configuration,
) -> Failure {
    let Some(vendor) = configuration.mechanisms.get(&way.algorithm) else {
        return failure;
    };
    let Failure::Pkcs11 {
        ckr: Some(ckr),
        detail,
        ..
    } = &mut failure
    else {
        return failure;
    };
    let named = |setting| setting_of(&configuration.name, way.algorithm, setting);
    let number = match (setting, vendor.generate) {
        ("generate", Some(generate)) => generate,
        _ => vendor.sign,
    };
    match ckr.as_str() {
        "CKR_MECHANISM_INVALID" => {
            *detail = format!(
                "{} is 0x{number:X}, which this token does not have; its vendor's documentation has the number",
                named(setting)
            );
        }
        "CKR_KEY_TYPE_INCONSISTENT" => {
            *detail = format!(
                "{} is 0x{number:X}, which is not for keys of this type",
                named(setting)
            );
        }
        "CKR_DATA_LEN_RANGE" => {
            let (is, other) = match way.input {
                MechanismInput::Digest => ("digest", "message"),
                MechanismInput::Message => ("message", "digest"),
            };
            *detail = format!(
                "{} is {is}, and the mechanism 0x{number:X} does not take that; it may want {other}",
                named("input")
            );
        }
        _ => {}
    }
    failure
}

/// As it stands in the configuration.
fn setting_of(module: &ModuleName, algorithm: Algorithm, setting: &str) -> String {
    format!("hsm.modules.{module}.mechanisms.{algorithm}.{setting}")
}

impl Way {
    pub fn sign_mechanism(&self) -> Mechanism<'static> {
        match self.sign {
            MechanismType::ECDSA => Mechanism::Ecdsa,
            MechanismType::ECDSA_SHA256 => Mechanism::EcdsaSha256,
            // No parameters: pure Ed25519. A token was seen that reads over
            // those of Ed25519ph.
            MechanismType::EDDSA => Mechanism::Eddsa(EddsaParams::new(EddsaSignatureScheme::Pure)),
            // No parameters: pure, the empty context, hedged if the token can.
            MechanismType::ML_DSA => Mechanism::MlDsa(SignAdditionalContext::new(HedgeType::Preferred, None)),
            other => without_parameters(other),
        }
    }

    /// The mechanism that makes a pair, and what the public half says of it.
    pub fn generate_mechanism(&self) -> Option<(Mechanism<'static>, Vec<Attribute>)> {
        let made_by = match self.generate? {
            MechanismType::ECC_KEY_PAIR_GEN => Mechanism::EccKeyPairGen,
            MechanismType::ECC_EDWARDS_KEY_PAIR_GEN => Mechanism::EccEdwardsKeyPairGen,
            MechanismType::ML_DSA_KEY_PAIR_GEN => Mechanism::MlDsaKeyPairGen,
            other => without_parameters(other),
        };
        let parameters = match self.algorithm.id() {
            ECDSA_P256 => vec![Attribute::EcParams(P256_PARAMS.to_vec())],
            ED25519 => vec![Attribute::EcParams(ED25519_PARAMS.to_vec())],
            SM2 => vec![Attribute::EcParams(SM2_PARAMS.to_vec())],
            ML_DSA_65 => vec![Attribute::ParameterSet(MlDsaParameterSetType::ML_DSA_65.into())],
            GOST => vec![
                by_number(CKA_GOSTR3410_PARAMS, CRYPTO_PRO_A_PARAMS),
                by_number(CKA_GOSTR3411_PARAMS, STREEBOG_256_PARAMS),
            ],
            _ => return None,
        };
        Some((made_by, parameters))
    }

    pub fn describe(&self) -> crate::hsm::Mechanism {
        crate::hsm::Mechanism {
            algorithm: self.algorithm,
            mechanism: mechanism_name(self.sign),
            generates: self.generate_mechanism().is_some(),
        }
    }
}

/// An attribute that cryptoki has no name for.
fn by_number(number: u64, value: &[u8]) -> Attribute {
    Attribute::VendorDefined((AttributeType::VendorDefined(number), value.to_vec()))
}

fn without_parameters(mechanism: MechanismType) -> Mechanism<'static> {
    Mechanism::VendorDefined(VendorDefinedMechanism::new::<u8>(mechanism, None))
}

fn mechanism_name(mechanism: MechanismType) -> String {
    let name = mechanism.to_string();
    if name.starts_with("CKM_") {
        name
    } else {
        format!("CKM_VENDOR_DEFINED 0x{:08X}", *mechanism)
    }
}

/// The algorithm of a key, by what the token says of its kind.
pub fn algorithm_of(
    key_type: KeyType,
    ec_params: Option<&[u8]>,
    configured: &BTreeMap<Algorithm, VendorMechanism>,
) -> Option<Algorithm> {
    let named = |id: &str| Algorithm::all().find(|a| a.id() == id);
    match key_type {
        KeyType::EC => match ec_params {
            Some(P256_PARAMS) => return named(ECDSA_P256),
            Some(SM2_PARAMS) => return named(SM2),
            _ => {}
        },
        KeyType::EC_EDWARDS => return named(ED25519),
        KeyType::ML_DSA => return named(ML_DSA_65),
        KeyType::GOSTR3410 => return named(GOST),
        _ => {}
    }
    let number = *key_type;
    configured
        .iter()
        .find(|(_, vendor)| vendor.key_type == number)
        .map(|(algorithm, _)| *algorithm)
}

/// DER of the OIDs 1.2.840.10045.3.1.7 and 1.2.156.10197.1.301.
const P256_PARAMS: &[u8] = &[0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
const SM2_PARAMS: &[u8] = &[0x06, 0x08, 0x2a, 0x81, 0x1c, 0xcf, 0x55, 0x01, 0x82, 0x2d];
/// `PrintableString "edwards25519"` (PKCS#11 3.0 section 2.3.10).
const ED25519_PARAMS: &[u8] = b"\x13\x0cedwards25519";

/// PKCS#11 2.40 section 2.42: the curve and the digest of a GOST key, as DER
/// of the OIDs 1.2.643.2.2.35.1 and 1.2.643.7.1.1.2.2.
const CKA_GOSTR3410_PARAMS: u64 = 0x250;
const CKA_GOSTR3411_PARAMS: u64 = 0x251;
const CRYPTO_PRO_A_PARAMS: &[u8] = &[0x06, 0x07, 0x2a, 0x85, 0x03, 0x02, 0x02, 0x23, 0x01];
const STREEBOG_256_PARAMS: &[u8] = &[0x06, 0x08, 0x2a, 0x85, 0x03, 0x07, 0x01, 0x01, 0x02, 0x02];

#[cfg(test)]
mod tests {
    use super::*;

    fn algorithm(name: &str) -> Algorithm {
        name.parse().expect("algorithm")
    }

    fn module() -> ModuleName {
        "primary".parse().expect("name")
    }

    fn names(list: &[MechanismType], configured: &BTreeMap<Algorithm, VendorMechanism>) -> Vec<String> {
        let ways = ways(list, configured, &module()).expect("ways");
        ways.iter().map(|way| way.describe().mechanism).collect()
    }

    #[test]
    fn the_digest_is_computed_outside_where_the_token_allows() {
        let none = BTreeMap::new();
        let both = [MechanismType::ECDSA_SHA256, MechanismType::ECDSA];
        assert_eq!(names(&both, &none), ["CKM_ECDSA"]);
        assert_eq!(names(&both[..1], &none), ["CKM_ECDSA_SHA256"]);
        assert!(names(&[], &none).is_empty());
    }

    #[test]
    fn a_vendors_mechanism_comes_from_the_configuration_by_its_number() {
        let vendor = VendorMechanism {
            sign: 0x8000_1234,
            generate: None,
            key_type: 0x8000_0001,
            input: MechanismInput::Message,
        };
        let configured = BTreeMap::from([(algorithm("gost2012-256"), vendor)]);
        assert_eq!(names(&[], &configured), ["CKM_VENDOR_DEFINED 0x80001234"]);
        let key_type = KeyType::try_from(0x8000_0001).expect("vendor's");
        assert_eq!(
            algorithm_of(key_type, None, &configured),
            Some(algorithm("gost2012-256"))
        );

        let unheard_of = VendorMechanism {
            sign: 0x7fff_ffff,
            ..vendor
        };
        let configured = BTreeMap::from([(algorithm("sm2"), unheard_of)]);
        let failure = ways(&[], &configured, &module()).expect_err("unheard of");
        let text = failure.into_error("primary").to_string();
        assert!(
            text.contains("hsm.modules.primary.mechanisms.SM2-P256.sign 0x7FFFFFFF"),
            "{text}"
        );
    }

    #[test]
    fn curves_of_one_key_type_are_told_apart() {
        let none = BTreeMap::new();
        let of = |params| algorithm_of(KeyType::EC, Some(params), &none);
        assert_eq!(of(P256_PARAMS), Some(algorithm("p256")));
        assert_eq!(of(SM2_PARAMS), Some(algorithm("sm2")));
        assert_eq!(of(&[0x06, 0x01, 0x00]), None);
    }
}
