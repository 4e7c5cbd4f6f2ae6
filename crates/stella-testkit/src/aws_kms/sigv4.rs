//! AWS Signature Version 4, as far as requests to KMS have it: it must be
//! there, by known credentials, and over this very request.

use aws_lc_rs::hmac;
use stella_core::digest::Sha256;

use super::http::Incoming;
use super::rules::Refusal;
use super::{ACCESS_KEY, REGION, SECRET_KEY};

pub(super) fn check(request: &Incoming) -> Result<(), Refusal> {
    let header = request.header("authorization").unwrap_or_default();
    let Some(fields) = header.strip_prefix("AWS4-HMAC-SHA256 ") else {
        return Err(refuse(
            "MissingAuthenticationTokenException",
            "Missing Authentication Token",
        ));
    };
    let field = |name: &str| {
        let value = fields
            .split(',')
            .find_map(|f| f.trim().strip_prefix(name)?.strip_prefix('='));
        value.ok_or_else(|| refuse("IncompleteSignatureException", "a part of the header is missing"))
    };
    let (credential, signed, signature) =
        (field("Credential")?, field("SignedHeaders")?, field("Signature")?);
    let (access_key, scope) = credential.split_once('/').unwrap_or((credential, ""));
    if access_key != ACCESS_KEY {
        return Err(refuse(
            "UnrecognizedClientException",
            "The security token included in the request is invalid.",
        ));
    }
    let date = request.header("x-amz-date").unwrap_or_default();
    let day = date.get(..8).unwrap_or_default();
    if scope != format!("{day}/{REGION}/kms/aws4_request") {
        return Err(refuse(
            "InvalidSignatureException",
            "Credential should be scoped to a valid region.",
        ));
    }
    for needed in ["host", "x-amz-date", "x-amz-target"] {
        if !signed.split(';').any(|h| h == needed) {
            return Err(refuse(
                "InvalidSignatureException",
                "a header that must be signed is not",
            ));
        }
    }
    let mut headers = String::new();
    for name in signed.split(';') {
        let value = request.header(name).unwrap_or_default();
        headers.push_str(&format!("{name}:{}\n", value.trim()));
    }
    let body = Sha256::of(&request.body).to_hex();
    let canonical = format!("POST\n/\n\n{headers}\n{signed}\n{body}");
    let canonical = Sha256::of(canonical.as_bytes()).to_hex();
    let to_sign = format!("AWS4-HMAC-SHA256\n{date}\n{scope}\n{canonical}");
    let mut key = format!("AWS4{SECRET_KEY}").into_bytes();
    for part in scope.split('/').chain([to_sign.as_str()]) {
        key = hmac(&key, part.as_bytes());
    }
    let expected: String = key.iter().map(|byte| format!("{byte:02x}")).collect();
    if signature != expected {
        return Err(refuse(
            "InvalidSignatureException",
            "The request signature we calculated does not match the signature you provided.",
        ));
    }
    Ok(())
}

fn hmac(key: &[u8], data: &[u8]) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), data)
        .as_ref()
        .to_vec()
}

fn refuse(code: &'static str, message: &str) -> Refusal {
    Refusal::new(400, code, message)
}
