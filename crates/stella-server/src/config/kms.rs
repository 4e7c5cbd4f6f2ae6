//! `kms`.

use std::path::PathBuf;
use std::time::Duration;

use super::section::{Item, Result, Section};

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KmsSettings {
    pub aws: AwsKms,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AwsKms {
    /// Without one, as the tools of AWS find it.
    pub region: Option<String>,
    /// Another address than the region's own.
    pub endpoint: Option<String>,
    /// Without one, credentials are found as the tools of AWS find them.
    pub credentials_file: Option<PathBuf>,
    pub requests_per_second: u32,
    /// For one signature, repetitions included.
    pub request_timeout: Duration,
    pub connect_timeout: Duration,
}

impl Default for AwsKms {
    fn default() -> Self {
        Self {
            region: None,
            endpoint: None,
            credentials_file: None,
            requests_per_second: 1000,
            request_timeout: Duration::from_secs(4),
            connect_timeout: Duration::from_secs(1),
        }
    }
}

pub fn read(mut section: Section<'_>, kms: &mut KmsSettings) -> Result<()> {
    if let Some(section) = section.section("aws")? {
        read_aws(section, &mut kms.aws)?;
    }
    section.finish()
}

fn read_aws(mut section: Section<'_>, aws: &mut AwsKms) -> Result<()> {
    section.read("region", &mut aws.region, |i| i.text().map(Some))?;
    section.read("endpoint", &mut aws.endpoint, |i| endpoint(i).map(Some))?;
    section.read("credentialsFile", &mut aws.credentials_file, |i| {
        Ok(Some(i.text()?.into()))
    })?;
    section.read("requestsPerSecond", &mut aws.requests_per_second, Item::number)?;
    section.read("requestTimeout", &mut aws.request_timeout, Item::duration)?;
    section.read("connectTimeout", &mut aws.connect_timeout, Item::duration)?;
    section.finish()
}

/// What is to be signed is nobody else's business on the way.
fn endpoint(item: &Item<'_>) -> Result<String> {
    let text = item.text()?;
    let host = |rest: &str| rest.split([':', '/']).next().unwrap_or_default().to_owned();
    let good = match text.split_once("://") {
        Some(("https", rest)) => !host(rest).is_empty(),
        Some(("http", rest)) => {
            rest.starts_with("[::1]") || ["127.0.0.1", "localhost"].contains(&&*host(rest))
        }
        _ => false,
    };
    good.then_some(text)
        .ok_or_else(|| item.wrong("must be an https:// address, or http:// on this machine"))
}
