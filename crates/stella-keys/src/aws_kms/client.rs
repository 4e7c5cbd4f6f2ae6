//! The store, and a key in it.

use std::sync::Arc;
use std::time::Duration;

use aws_sdk_kms::primitives::Blob;
use aws_sdk_kms::types::KeyUsageType;
use stella_core::alg::{Algorithm, PublicKey};
use stella_core::digest::Sha256;

use super::call::{Caller, Repeat};
use super::failure::{Failure, Kind};
use super::mechanism::{self, Input, Mechanism};
use super::mu::mu;
use super::runtime::{NoAnswer, Runtime};
use super::{Alias, AwsKmsOptions, FoundKey, KmsKeyRef, StartError};
use crate::{GenerateError, Sign, SignError, StoreDescription};

/// KMS in one account and region.
///
/// Concurrency: every method may be called from any number of threads and
/// blocks for `request_timeout` at most; requests are in flight at once.
/// Nothing is asked before the first of them.
pub struct AwsKms {
    caller: Arc<Caller>,
    runtime: Runtime,
}

impl AwsKms {
    pub fn start(options: AwsKmsOptions) -> Result<Self, StartError> {
        Ok(Self {
            runtime: Runtime::start().map_err(|e| StartError::Thread(e.to_string()))?,
            caller: Arc::new(Caller::new(options)),
        })
    }

    /// The key under that name; `None` when there is none. One that is there
    /// and cannot sign is an error.
    pub fn find(&self, at: &KmsKeyRef) -> Result<Option<FoundKey>, SignError> {
        match self.public_key(at, Repeat::Freely) {
            Ok(found) => Ok(Some(found)),
            Err(failure) if failure.kind == Kind::NotFound => Ok(None),
            Err(failure) => Err(failure.sign_error(at)),
        }
    }

    /// Makes a key, and the alias that leads to it at once: should anything
    /// fail after that, the key is found by its alias.
    pub fn create(
        &self,
        algorithm: Algorithm,
        alias: &Alias,
        description: &str,
    ) -> Result<FoundKey, GenerateError> {
        let mechanism = mechanism::of(algorithm).ok_or(GenerateError::UnsupportedAlgorithm(algorithm))?;
        let named = KmsKeyRef::Alias(alias.clone());
        let key_id = self
            .new_key(mechanism, description)
            .map_err(|failure| failure.generate_error(&named))?;
        self.new_alias(&key_id, alias).map_err(|failure| {
            let why = failure.generate_error(&named);
            GenerateError::Unavailable(format!(
                "{why}; the key {key_id} was made and bears no name: \
                 aws kms schedule-key-deletion --key-id {key_id}"
            ))
        })?;
        self.public_key(&KmsKeyRef::Id(key_id), Repeat::UntilKnown)
            .map_err(|failure| failure.generate_error(&named))
    }

    /// Signs with the key under that name, whose public half is known. Nobody
    /// is asked: a name that leads to another key makes signatures that do not
    /// verify, and those are never released.
    pub fn key(self: &Arc<Self>, at: &KmsKeyRef, expected: PublicKey) -> Result<AwsKmsKey, SignError> {
        let algorithm = expected.algorithm();
        let mechanism = mechanism::of(algorithm)
            .ok_or_else(|| SignError::KeyMissing(format!("AWS KMS has no keys of {algorithm}")))?;
        Ok(AwsKmsKey {
            store: Arc::clone(self),
            at: at.clone(),
            mechanism,
            public_key: expected,
        })
    }

    fn sign(
        &self,
        at: &KmsKeyRef,
        mechanism: &'static Mechanism,
        input: Vec<u8>,
    ) -> Result<Vec<u8>, Failure> {
        let key_id = at.key_id();
        let answer = self.call(Repeat::Freely, move |client| {
            client
                .sign()
                .key_id(&key_id)
                .message(Blob::new(input.clone()))
                .message_type(mechanism.input.message_type().into())
                .signing_algorithm(mechanism.signing.into())
                .send()
        })?;
        let signature = answer.signature.ok_or_else(|| lacks("a signature"))?;
        Ok(signature.into_inner())
    }

    fn public_key(&self, at: &KmsKeyRef, repeat: Repeat) -> Result<FoundKey, Failure> {
        let key_id = at.key_id();
        let answer = self.call(repeat, move |client| {
            client.get_public_key().key_id(&key_id).send()
        })?;
        let spec = answer
            .key_spec
            .map_or_else(String::new, |s| s.as_str().to_owned());
        if answer
            .key_usage
            .is_some_and(|usage| usage != KeyUsageType::SignVerify)
        {
            let what = format!("a key of {spec} that does not sign");
            return Err(Failure::new(Kind::KeyUnusable, what));
        }
        let der = answer.public_key.ok_or_else(|| lacks("a public key"))?;
        let public_key = PublicKey::from_spki_der(der.as_ref())
            .map_err(|e| Failure::new(Kind::KeyUnusable, format!("a key of {spec}: {e}")))?;
        let arn = answer.key_id.ok_or_else(|| lacks("the key's id"))?;
        let id = arn.rsplit('/').next().unwrap_or(&arn).to_owned();
        Ok(FoundKey {
            at: match at {
                // Perhaps another account's, which an id alone does not reach.
                KmsKeyRef::Arn(_) => KmsKeyRef::Arn(arn.clone()),
                _ => KmsKeyRef::Id(id),
            },
            arn,
            public_key,
        })
    }

    fn new_key(&self, mechanism: &'static Mechanism, description: &str) -> Result<String, Failure> {
        let description = description.to_owned();
        let answer = self.call(Repeat::IfNotDone, move |client| {
            client
                .create_key()
                .key_spec(mechanism.key_spec.into())
                .key_usage(KeyUsageType::SignVerify)
                .description(&description)
                .send()
        })?;
        let made = answer
            .key_metadata
            .ok_or_else(|| lacks("the key that was made"))?;
        Ok(made.key_id)
    }

    fn new_alias(&self, key_id: &str, alias: &Alias) -> Result<(), Failure> {
        let (key_id, alias) = (key_id.to_owned(), alias.full());
        self.call(Repeat::UntilKnown, move |client| {
            client
                .create_alias()
                .alias_name(&alias)
                .target_key_id(&key_id)
                .send()
        })?;
        Ok(())
    }

    fn call<T, E, F>(
        &self,
        repeat: Repeat,
        request: impl Fn(aws_sdk_kms::Client) -> F + Send + Sync + 'static,
    ) -> Result<T, Failure>
    where
        T: Send + 'static,
        E: aws_sdk_kms::error::ProvideErrorMetadata + std::error::Error + Send + 'static,
        F: Future<
                Output = Result<T, aws_sdk_kms::error::SdkError<E, aws_sdk_kms::config::http::HttpResponse>>,
            > + Send
            + 'static,
    {
        let caller = Arc::clone(&self.caller);
        let at_most = caller.request_timeout();
        self.runtime
            .wait(async move { caller.call(repeat, request).await }, at_most + GRACE)
            .unwrap_or_else(|no_answer| {
                Err(match no_answer {
                    NoAnswer::TimedOut => Failure::timed_out(at_most),
                    NoAnswer::BrokeOff => Failure::new(Kind::Unexpected, "the SDK of AWS broke off"),
                })
            })
    }
}

fn lacks(what: &str) -> Failure {
    Failure::new(Kind::Broken, format!("the answer lacks {what}"))
}

/// A key in KMS, of which the public half is known here.
pub struct AwsKmsKey {
    store: Arc<AwsKms>,
    at: KmsKeyRef,
    mechanism: &'static Mechanism,
    public_key: PublicKey,
}

impl Sign for AwsKmsKey {
    fn public_key(&self) -> &PublicKey {
        &self.public_key
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignError> {
        let input = match self.mechanism.input {
            Input::Message => self.whole(message)?,
            Input::Sha256 => Sha256::of(message).as_bytes().to_vec(),
            Input::Mu => mu(self.public_key.raw(), message).to_vec(),
        };
        self.store
            .sign(&self.at, self.mechanism, input)
            .map_err(|failure| failure.sign_error(&self.at))
    }

    fn describe(&self) -> StoreDescription {
        StoreDescription {
            store: "aws-kms".to_owned(),
            mechanism: format!(
                "{} ({})",
                self.mechanism.signing,
                self.mechanism.input.message_type()
            ),
            slot: Some(self.at.key_id()),
        }
    }
}

impl AwsKmsKey {
    /// The message, if KMS takes one of its length: found out here, where it
    /// can be explained and costs no request.
    fn whole(&self, message: &[u8]) -> Result<Vec<u8>, SignError> {
        match self.mechanism.limit() {
            Some(limit) if message.len() > limit => Err(SignError::MessageTooLarge {
                limit,
                actual: message.len(),
            }),
            _ if message.is_empty() => Err(SignError::Refused(
                "AWS KMS signs no empty message with Ed25519".to_owned(),
            )),
            _ => Ok(message.to_vec()),
        }
    }
}

/// For the answer's way back from the other thread.
const GRACE: Duration = Duration::from_millis(200);
