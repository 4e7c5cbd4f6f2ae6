//! One request with its repetitions, all of it before one deadline.

use std::error::Error;
use std::future::Future;
use std::sync::Mutex;
use std::time::Duration;

use aws_config::BehaviorVersion;
use aws_config::profile::ProfileFileCredentialsProvider;
use aws_runtime::env_config::file::{EnvConfigFileKind, EnvConfigFiles};
use aws_sdk_kms::Client;
use aws_sdk_kms::config::http::HttpResponse;
use aws_sdk_kms::config::retry::RetryConfig;
use aws_sdk_kms::config::timeout::TimeoutConfig;
use aws_sdk_kms::config::{Region, StalledStreamProtectionConfig};
use aws_sdk_kms::error::{ProvideErrorMetadata, SdkError};
use tokio::sync::OnceCell;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::AwsKmsOptions;
use super::failure::{Failure, Kind};
use super::quota::Quota;
use super::retry;
use crate::entropy::{Entropy as _, SystemEntropy};

/// Which failures may be followed by the same request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Repeat {
    /// Twice is as good as once.
    Freely,
    /// Twice would make two: only what KMS refused for its rate.
    IfNotDone,
    /// Freely, and what was made a moment ago may not be known everywhere yet.
    UntilKnown,
}

pub(super) struct Caller {
    options: AwsKmsOptions,
    /// Made with the first request: to find out region and credentials is
    /// itself to ask others.
    client: OnceCell<Client>,
    quota: Mutex<Quota>,
    /// What the quota counts its time from.
    since: Instant,
}

impl Caller {
    pub fn new(options: AwsKmsOptions) -> Self {
        Self {
            quota: Mutex::new(Quota::new(options.requests_per_second)),
            client: OnceCell::new(),
            since: Instant::now(),
            options,
        }
    }

    pub fn request_timeout(&self) -> Duration {
        self.options.request_timeout
    }

    /// The answer of `request`, which is made anew for each attempt.
    pub async fn call<T, E, F>(
        &self,
        repeat: Repeat,
        request: impl Fn(Client) -> F + Send,
    ) -> Result<T, Failure>
    where
        E: ProvideErrorMetadata + Error + 'static,
        F: Future<Output = Result<T, SdkError<E, HttpResponse>>> + Send,
    {
        let deadline = Instant::now() + self.options.request_timeout;
        let client = timeout_at(deadline, self.client())
            .await
            .map_err(|_| Failure::timed_out(self.options.request_timeout))??;
        let mut failed = 0;
        loop {
            self.turn(deadline).await?;
            let each = (self.options.request_timeout / ATTEMPTS_THAT_HANG)
                .min(deadline.saturating_duration_since(Instant::now()));
            let failure = match timeout(each, request(client.clone())).await {
                Ok(Ok(answer)) => return Ok(answer),
                Ok(Err(error)) => Failure::of(&error),
                Err(_) => Failure::timed_out(each),
            };
            failed += 1;
            let kind = match (repeat, failure.kind) {
                (Repeat::IfNotDone, Kind::Throttled) => Kind::Throttled,
                (Repeat::IfNotDone, _) => Kind::Unexpected,
                (Repeat::UntilKnown, Kind::NotFound) => Kind::Throttled,
                (_, kind) => kind,
            };
            let left = deadline.saturating_duration_since(Instant::now());
            match retry::pause(kind, failed, left, chance()) {
                Some(pause) => sleep(pause).await,
                None => return Err(failure.after(failed)),
            }
        }
    }

    /// Waits for a token of the quota, and not so long that no time is left to
    /// use it.
    async fn turn(&self, deadline: Instant) -> Result<(), Failure> {
        let now = Instant::now();
        let wait = {
            let mut quota = self.quota.lock().unwrap_or_else(|e| e.into_inner());
            quota.take(
                now.saturating_duration_since(self.since),
                deadline.saturating_duration_since(now) / 2,
            )
        };
        match wait {
            Some(wait) => {
                sleep(wait).await;
                Ok(())
            }
            None => Err(Failure::new(
                Kind::Quota,
                format!(
                    "more wait than {} a second let through within {:?}",
                    self.options.requests_per_second, self.options.request_timeout
                ),
            )),
        }
    }

    async fn client(&self) -> Result<&Client, Failure> {
        self.client.get_or_try_init(|| self.connect()).await
    }

    /// Region and credentials as the tools of AWS find them.
    async fn connect(&self) -> Result<Client, Failure> {
        // Without any, the SDK goes on and says only that it trusts nobody.
        if rustls_native_certs::load_native_certs().certs.is_empty() {
            return Err(Failure::new(
                Kind::Unexpected,
                "this machine trusts no authority for TLS: install ca-certificates, or name a file with SSL_CERT_FILE",
            ));
        }
        let mut loader = aws_config::defaults(BehaviorVersion::latest());
        if let Some(region) = &self.options.region {
            loader = loader.region(Region::new(region.clone()));
        }
        if let Some(file) = &self.options.credentials_file {
            let files = EnvConfigFiles::builder()
                .with_file(EnvConfigFileKind::Credentials, file)
                .build();
            let provider = ProfileFileCredentialsProvider::builder()
                .profile_files(files.clone())
                .profile_name("default");
            loader = loader.profile_files(files).credentials_provider(provider.build());
        }
        let found = loader.load().await;
        if found.region().is_none() {
            return Err(Failure::new(
                Kind::Unexpected,
                "no region: set kms.aws.region, or AWS_REGION",
            ));
        }
        let times = TimeoutConfig::builder()
            .connect_timeout(self.options.connect_timeout)
            .build();
        let mut config = aws_sdk_kms::config::Builder::from(&found)
            // Repetitions are ours: these would not know of the deadline.
            .retry_config(RetryConfig::disabled())
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
            .timeout_config(times);
        if let Some(endpoint) = &self.options.endpoint {
            config = config.endpoint_url(endpoint);
        }
        Ok(Client::from_conf(config.build()))
    }
}

/// From 0 to 1. Without randomness all wait equally long, which does no harm
/// to anybody but KMS.
fn chance() -> f64 {
    let mut bytes = [0; 4];
    match SystemEntropy.fill(&mut bytes) {
        Ok(()) => f64::from(u32::from_le_bytes(bytes)) / f64::from(u32::MAX),
        Err(_) => 1.0,
    }
}

/// A request that hangs leaves time for one more, on another connection.
const ATTEMPTS_THAT_HANG: u32 = 2;
