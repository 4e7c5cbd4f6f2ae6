//! What names a key in KMS: an alias, a key id, or the ARN of either.

use std::fmt;
use std::str::FromStr;

/// A name of a key, as it stands behind `kms://aws/key/`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum KmsKeyRef {
    Alias(Alias),
    Id(String),
    Arn(String),
}

/// The name of an alias, without `alias/`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Alias(String);

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" names no key in AWS KMS: write an alias, a key id, or the ARN of either")]
pub struct BadKmsKeyRef(String);

impl KmsKeyRef {
    /// As requests carry it.
    pub fn key_id(&self) -> String {
        match self {
            Self::Alias(alias) => alias.full(),
            Self::Id(text) | Self::Arn(text) => text.clone(),
        }
    }

    pub fn uri(&self) -> String {
        format!("{URI}{self}")
    }

    /// `None` for the URI of another store.
    pub fn from_uri(uri: &str) -> Option<Result<Self, BadKmsKeyRef>> {
        uri.strip_prefix(URI).map(str::parse)
    }
}

impl Alias {
    /// As requests carry it.
    pub fn full(&self) -> String {
        format!("alias/{}", self.0)
    }

    /// Another alias, named after this one.
    pub fn with_suffix(&self, suffix: &str) -> Result<Self, BadKmsKeyRef> {
        format!("{}-{suffix}", self.0).parse()
    }
}

impl FromStr for Alias {
    type Err = BadKmsKeyRef;

    fn from_str(s: &str) -> Result<Self, BadKmsKeyRef> {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || b"/_-".contains(&b);
        // `alias/aws/` is for the keys of AWS services, which sign nothing.
        let good = !s.is_empty() && s.len() <= MAX_ALIAS && s.bytes().all(allowed) && !s.starts_with("aws/");
        good.then(|| Self(s.to_owned())).ok_or_else(|| refuse(s))
    }
}

impl FromStr for KmsKeyRef {
    type Err = BadKmsKeyRef;

    fn from_str(s: &str) -> Result<Self, BadKmsKeyRef> {
        if s.starts_with("arn:") {
            return is_arn(s)
                .then(|| Self::Arn(s.to_owned()))
                .ok_or_else(|| refuse(s));
        }
        if is_id(s) {
            return Ok(Self::Id(s.to_owned()));
        }
        s.strip_prefix("alias/").unwrap_or(s).parse().map(Self::Alias)
    }
}

impl fmt::Display for Alias {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for KmsKeyRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Alias(alias) => alias.fmt(f),
            Self::Id(text) | Self::Arn(text) => f.write_str(text),
        }
    }
}

/// A UUID, or the 32 digits of a multi-Region key.
fn is_id(s: &str) -> bool {
    if let Some(digits) = s.strip_prefix("mrk-") {
        return digits.len() == 32 && digits.bytes().all(|b| b.is_ascii_hexdigit());
    }
    let groups: Vec<&str> = s.split('-').collect();
    let lengths: Vec<usize> = groups.iter().map(|g| g.len()).collect();
    lengths == [8, 4, 4, 4, 12] && groups.iter().all(|g| g.bytes().all(|b| b.is_ascii_hexdigit()))
}

/// `arn:PARTITION:kms:REGION:ACCOUNT:key/ID` or `:alias/NAME`.
fn is_arn(s: &str) -> bool {
    let parts: Vec<&str> = s.splitn(6, ':').collect();
    let [_, partition, "kms", region, account, resource] = parts[..] else {
        return false;
    };
    let place = [partition, region, account];
    let named =
        |part: &&str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    place.iter().all(named)
        && (resource.strip_prefix("key/").is_some_and(is_id)
            || resource
                .strip_prefix("alias/")
                .is_some_and(|name| name.parse::<Alias>().is_ok()))
}

fn refuse(s: &str) -> BadKmsKeyRef {
    BadKmsKeyRef(s.chars().take(128).collect())
}

const URI: &str = "kms://aws/key/";
/// With `alias/` it is 256 characters at most.
const MAX_ALIAS: usize = 250;

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "1234abcd-12ab-34cd-56ef-1234567890ab";

    #[test]
    fn every_name_that_kms_knows_is_read_and_goes_into_the_request_as_kms_wants_it() {
        let arn = format!("arn:aws:kms:eu-central-1:111122223333:key/{ID}");
        let china = format!("arn:aws-cn:kms:cn-north-1:111122223333:key/{ID}");
        let multi = "mrk-1234abcd12ab34cd56ef1234567890ab";
        for (text, sent) in [
            ("stellaops-default", "alias/stellaops-default"),
            ("alias/stellaops-default", "alias/stellaops-default"),
            ("pay/release", "alias/pay/release"),
            (ID, ID),
            (multi, multi),
            (&arn, &arn),
            (&china, &china),
            (
                "arn:aws:kms:eu-central-1:111122223333:alias/pay",
                "arn:aws:kms:eu-central-1:111122223333:alias/pay",
            ),
        ] {
            let key: KmsKeyRef = text.parse().expect(text);
            assert_eq!(key.key_id(), sent);
            let again = KmsKeyRef::from_uri(&key.uri()).expect("a URI of this store");
            assert_eq!(again, Ok(key));
        }
        assert_eq!(KmsKeyRef::from_uri("software://"), None);
    }

    #[test]
    fn what_is_no_name_is_refused_before_anybody_is_asked() {
        for text in [
            "",
            "alias/",
            "aws/ebs",
            "alias/aws/ebs",
            "a b",
            "a?b",
            "arn:",
            "arn:aws:s3:::bucket",
            "arn:aws:kms:eu-central-1:111122223333:key/nothing",
            "arn:aws:kms::111122223333:alias/pay",
            &"a".repeat(251),
        ] {
            assert!(text.parse::<KmsKeyRef>().is_err(), "{text}");
        }
    }

    #[test]
    fn an_alias_is_named_after_another() {
        let alias: Alias = "stellaops-default".parse().expect("an alias");
        let next = alias.with_suffix("key-2026").expect("an alias");
        assert_eq!(next.full(), "alias/stellaops-default-key-2026");
        assert!(alias.with_suffix(&"x".repeat(240)).is_err());
        assert!(alias.with_suffix("a.b").is_err(), "an alias has no dots");
    }
}
