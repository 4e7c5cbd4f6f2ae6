//! AWS KMS through its own SDK, against two that are none: one of our making
//! that keeps the documented rules and fails on demand, and other people's.

mod faults;
mod keys;
mod limits;
mod ministack;

use std::sync::Arc;
use std::time::Duration;

use stella_core::alg::Algorithm;
use stella_keys::Sign;
use stella_keys::aws_kms::{AwsKms, AwsKmsKey, AwsKmsOptions, KmsKeyRef};
use stella_testkit::aws_kms::{ACCESS_KEY, FakeKms, REGION, SECRET_KEY};

/// A client of a KMS, with credentials in a file.
struct Client {
    kms: Arc<AwsKms>,
    _credentials: tempfile::TempDir,
}

fn client_with(endpoint: &str, change: impl FnOnce(&mut AwsKmsOptions)) -> Client {
    client_as(ACCESS_KEY, SECRET_KEY, endpoint, change)
}

fn client_as(
    access_key: &str,
    secret: &str,
    endpoint: &str,
    change: impl FnOnce(&mut AwsKmsOptions),
) -> Client {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("credentials");
    let text = format!("[default]\naws_access_key_id = {access_key}\naws_secret_access_key = {secret}\n");
    std::fs::write(&file, text).expect("a file");
    let mut options = AwsKmsOptions {
        region: Some(REGION.to_owned()),
        endpoint: Some(endpoint.to_owned()),
        credentials_file: Some(file),
        requests_per_second: 1_000,
        request_timeout: Duration::from_secs(20),
        connect_timeout: Duration::from_secs(5),
    };
    change(&mut options);
    Client {
        kms: Arc::new(AwsKms::start(options).expect("the store")),
        _credentials: folder,
    }
}

fn client(fake: &FakeKms) -> Client {
    client_with(&fake.endpoint(), |_| {})
}

fn impatient(fake: &FakeKms, timeout: Duration) -> Client {
    client_with(&fake.endpoint(), |options| options.request_timeout = timeout)
}

impl Client {
    /// Makes a key in KMS with an alias.
    fn create(&self, algorithm: &str, alias: &str) -> AwsKmsKey {
        let algorithm: Algorithm = algorithm.parse().expect("an algorithm");
        let alias = alias.parse().expect("an alias");
        let made = self.kms.create(algorithm, &alias, "a test").expect("a key");
        self.kms.key(&made.at, made.public_key).expect("a signer")
    }
}

fn reference(text: &str) -> KmsKeyRef {
    text.parse().expect("a reference")
}

fn shared(key: AwsKmsKey) -> Arc<dyn Sign> {
    Arc::new(key)
}
