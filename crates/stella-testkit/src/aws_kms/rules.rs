//! The operations, with the rules of the documentation.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use stella_core::dsse::decode_base64;

use super::keys::Material;
use super::{ACCOUNT, Fault, Key, KeyState, REGION, State};

pub(super) struct Refusal {
    pub status: u16,
    pub code: String,
    pub message: String,
}

impl Refusal {
    pub fn new(status: u16, code: &str, message: &str) -> Self {
        Self {
            status,
            code: code.to_owned(),
            message: message.to_owned(),
        }
    }

    pub fn throttled() -> Self {
        Self::new(400, "ThrottlingException", "Rate exceeded")
    }

    fn validation(message: &str) -> Self {
        Self::new(400, "ValidationException", message)
    }
}

type Done = Result<Value, Refusal>;

pub(super) fn perform(state: &mut State, operation: &str, body: &Value, fault: Option<&Fault>) -> Done {
    match operation {
        "Sign" => sign(state, body, fault),
        "GetPublicKey" => public_key(state, body),
        "CreateKey" => create_key(state, body),
        "CreateAlias" => create_alias(state, body),
        _ => Err(Refusal::new(400, "UnknownOperationException", operation)),
    }
}

fn sign(state: &mut State, body: &Value, fault: Option<&Fault>) -> Done {
    within_rate(state)?;
    let message = bytes(body, "Message")?;
    if !(1..=4_096).contains(&message.len()) {
        return Err(Refusal::validation(
            "1 validation error detected: Value at 'message' failed to satisfy constraint: \
             Member must have length between 1 and 4096",
        ));
    }
    let algorithm = text(body, "SigningAlgorithm")?;
    let message_type = body["MessageType"].as_str().unwrap_or("RAW");
    let (arn, key) = usable(state, body)?;
    if !key.material.algorithms().contains(&algorithm) {
        return Err(Refusal::new(
            400,
            "InvalidKeyUsageException",
            &format!(
                "Algorithm {algorithm} is incompatible with key spec {}.",
                key.material.spec()
            ),
        ));
    }
    let mut signature = match (algorithm, message_type) {
        ("ECDSA_SHA_256" | "ECDSA_SHA_384" | "ML_DSA_SHAKE_256" | "ED25519_SHA_512", "RAW") => {
            key.material.sign_message(&message)
        }
        ("ECDSA_SHA_256", "DIGEST") if message.len() == 32 => key.material.sign_sha256(&message),
        ("ML_DSA_SHAKE_256", "EXTERNAL_MU") => match <[u8; 64]>::try_from(&*message) {
            Ok(mu) => key.material.sign_mu(&mu),
            Err(_) => return Err(Refusal::validation("EXTERNAL_MU must be 64 bytes.")),
        },
        (_, "DIGEST") => {
            return Err(Refusal::validation(&format!(
                "Digest is invalid length for algorithm {algorithm}."
            )));
        }
        (_, other) => {
            return Err(Refusal::validation(&format!(
                "MessageType {other} is not valid for algorithm {algorithm}."
            )));
        }
    };
    match fault {
        Some(Fault::WrongSignature) => signature = key.material.sign_message(b"another message"),
        Some(Fault::ShortSignature) => {
            signature = signature.map(|s| s.split_last().map_or(vec![], |(_, rest)| rest.to_vec()));
        }
        _ => {}
    }
    let signature = signature.ok_or_else(|| Refusal::new(500, "KMSInternalException", "no signature"))?;
    Ok(json!({
        "KeyId": arn,
        "Signature": base64(&signature),
        "SigningAlgorithm": algorithm,
    }))
}

fn within_rate(state: &mut State) -> Result<(), Refusal> {
    let Some(rate) = state.rate else { return Ok(()) };
    let now = Instant::now();
    state
        .signed_at
        .retain(|at| now.duration_since(*at) < Duration::from_secs(1));
    if state.signed_at.len() >= rate {
        return Err(Refusal::throttled());
    }
    state.signed_at.push_back(now);
    Ok(())
}

fn public_key(state: &mut State, body: &Value) -> Done {
    let (arn, key) = usable(state, body)?;
    let der = key.material.public_key();
    let der = der.ok_or_else(|| Refusal::new(500, "KMSInternalException", "no public key"))?;
    Ok(json!({
        "KeyId": arn,
        "KeySpec": key.material.spec(),
        "KeyUsage": key.usage,
        "PublicKey": base64(&der),
        "SigningAlgorithms": key.material.algorithms(),
    }))
}

fn create_key(state: &mut State, body: &Value) -> Done {
    let spec = body["KeySpec"].as_str().unwrap_or("SYMMETRIC_DEFAULT");
    let usage = body["KeyUsage"].as_str().unwrap_or("ENCRYPT_DECRYPT");
    let description = body["Description"].as_str().unwrap_or_default();
    if description.len() > 8_192 {
        return Err(Refusal::validation("the description is too long"));
    }
    let Some(material) = Material::generate(spec) else {
        return Err(Refusal::new(400, "UnsupportedOperationException", spec));
    };
    let id = state.fresh_id();
    let arn = arn(&id);
    let key = Key {
        material,
        state: KeyState::Enabled,
        usage: usage.to_owned(),
        description: description.to_owned(),
        unknown_for: state.unknown_for,
    };
    state.keys.insert(id.clone(), key);
    Ok(json!({"KeyMetadata": {
        "KeyId": id,
        "Arn": arn,
        "AWSAccountId": ACCOUNT,
        "Enabled": true,
        "KeyState": "Enabled",
        "KeySpec": spec,
        "KeyUsage": usage,
        "Description": description,
        "CreationDate": 1_700_000_000,
    }}))
}

fn create_alias(state: &mut State, body: &Value) -> Done {
    let name = text(body, "AliasName")?;
    let allowed = |c: char| c.is_ascii_alphanumeric() || "/_-".contains(c);
    if !name.starts_with("alias/") || name.starts_with("alias/aws/") || !name.chars().all(allowed) {
        return Err(Refusal::new(400, "InvalidAliasNameException", name));
    }
    if state.aliases.contains_key(name) {
        return Err(Refusal::new(
            400,
            "AlreadyExistsException",
            &format!("An alias with the name {name} already exists"),
        ));
    }
    let target = text(body, "TargetKeyId")?;
    let id = known(state, target)?;
    state.aliases.insert(name.to_owned(), id);
    Ok(json!({}))
}

/// The key that the request names, if it may be used to sign.
fn usable<'a>(state: &'a mut State, body: &Value) -> Result<(String, &'a Key), Refusal> {
    let id = known(state, text(body, "KeyId")?)?;
    let arn = arn(&id);
    let Some(key) = state.keys.get(&id) else {
        return Err(not_found(&arn));
    };
    match key.state {
        KeyState::Enabled => {}
        KeyState::Disabled => {
            return Err(Refusal::new(
                400,
                "DisabledException",
                &format!("{arn} is disabled."),
            ));
        }
        KeyState::PendingDeletion => {
            let why = format!("{arn} is pending deletion.");
            return Err(Refusal::new(400, "KMSInvalidStateException", &why));
        }
        KeyState::Unavailable => {
            return Err(Refusal::new(
                500,
                "KeyUnavailableException",
                &format!("{arn} is unavailable."),
            ));
        }
    }
    if key.usage != "SIGN_VERIFY" && body.get("SigningAlgorithm").is_some() {
        let why = format!("{arn} key usage is {} which is not valid for Sign.", key.usage);
        return Err(Refusal::new(400, "InvalidKeyUsageException", &why));
    }
    Ok((arn, key))
}

fn known(state: &mut State, name: &str) -> Result<String, Refusal> {
    let id = state.resolve(name).ok_or_else(|| not_found(name))?;
    match state.keys.get_mut(&id) {
        Some(key) if key.unknown_for > 0 => {
            key.unknown_for -= 1;
            Err(not_found(name))
        }
        _ => Ok(id),
    }
}

fn not_found(name: &str) -> Refusal {
    Refusal::new(400, "NotFoundException", &format!("{name} is not found."))
}

fn arn(id: &str) -> String {
    format!("arn:aws:kms:{REGION}:{ACCOUNT}:key/{id}")
}

fn text<'a>(body: &'a Value, field: &str) -> Result<&'a str, Refusal> {
    body[field]
        .as_str()
        .ok_or_else(|| Refusal::validation(&format!("{field} must not be null")))
}

fn bytes(body: &Value, field: &str) -> Result<Vec<u8>, Refusal> {
    decode_base64(text(body, field)?).ok_or_else(|| Refusal::validation(&format!("{field} is no base64")))
}

fn base64(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}
