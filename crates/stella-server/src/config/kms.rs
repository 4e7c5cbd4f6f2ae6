//! `kms`: read and checked; the signers for it come with a later build.

use super::section::{Item, Result, Section};

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KmsSettings {
    pub aws: Option<AwsKms>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AwsKms {
    pub region: Option<String>,
    pub endpoint: Option<String>,
    pub requests_per_second: u32,
}

pub fn read(mut section: Section<'_>, kms: &mut KmsSettings) -> Result<()> {
    if let Some(mut aws) = section.section("aws")? {
        let mut read = AwsKms {
            region: None,
            endpoint: None,
            requests_per_second: 1000,
        };
        aws.read("region", &mut read.region, |i| i.text().map(Some))?;
        aws.read("endpoint", &mut read.endpoint, |i| i.text().map(Some))?;
        aws.read("requestsPerSecond", &mut read.requests_per_second, Item::number)?;
        aws.finish()?;
        kms.aws = Some(read);
    }
    section.finish()
}
