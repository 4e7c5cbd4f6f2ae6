//! Who asks, and what they may ask for. Deny by default.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use stella_core::id::{ProfileName, TokenId};
use stella_core::predicate::PredicateType;
use stella_core::purl::{PurlPattern, SubjectName};

use crate::app::error::{Error, Result};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    Admin,
    KeyAdmin,
    Signer,
    Verifier,
    Auditor,
    Approver,
}

/// What a route asks of its caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Permission {
    ReadKeys,
    ManageKeys,
    ReadAnchors,
    ManageAnchors,
    /// Signing itself is checked again against the scope.
    Attest,
    ReadAttestations,
    ManageAttestations,
    Verify,
    ReadAudit,
    ManageTokens,
    ReadConfig,
    ManageConfig,
    ReadStatus,
    /// Have the whole of what is trusted signed, to be taken along.
    ExportTrust,
    /// Take a copy of everything along, encrypted.
    TakeBackup,
}

impl Role {
    pub const ALL: [Self; 6] = [
        Self::Admin,
        Self::KeyAdmin,
        Self::Signer,
        Self::Verifier,
        Self::Auditor,
        Self::Approver,
    ];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::KeyAdmin => "key-admin",
            Self::Signer => "signer",
            Self::Verifier => "verifier",
            Self::Auditor => "auditor",
            Self::Approver => "approver",
        }
    }

    pub const fn allows(self, permission: Permission) -> bool {
        use Permission as P;
        match self {
            Self::Admin => true,
            Self::KeyAdmin => matches!(
                permission,
                P::ReadKeys
                    | P::ManageKeys
                    | P::ReadAnchors
                    | P::ManageAnchors
                    | P::Verify
                    | P::ReadStatus
                    | P::ReadConfig
                    | P::ReadAttestations
                    | P::ExportTrust
            ),
            Self::Signer => matches!(
                permission,
                P::Attest | P::ReadAttestations | P::Verify | P::ReadStatus
            ),
            Self::Verifier => {
                matches!(
                    permission,
                    P::Verify
                        | P::ReadAttestations
                        | P::ReadAnchors
                        | P::ReadKeys
                        | P::ReadStatus
                        | P::ExportTrust
                )
            }
            Self::Auditor => matches!(
                permission,
                P::ReadKeys
                    | P::ReadAnchors
                    | P::ReadAttestations
                    | P::Verify
                    | P::ReadAudit
                    | P::ReadConfig
                    | P::ReadStatus
                    | P::ExportTrust
            ),
            Self::Approver => matches!(
                permission,
                P::ReadKeys | P::ReadAnchors | P::ReadAttestations | P::ReadAudit | P::ReadStatus
            ),
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Role {
    type Err = Error;

    fn from_str(s: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|r| r.as_str() == s).ok_or_else(|| {
            let all = Self::ALL.map(Self::as_str).join(", ");
            Error::invalid("token.role", format!("{s:?} is not a role: use one of {all}"))
        })
    }
}

/// What a signer may have signed. `None` is no limit, an empty list nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SigningScope {
    pub purls: Option<Vec<PurlPattern>>,
    pub types: Option<BTreeSet<PredicateType>>,
    pub profiles: Option<BTreeSet<ProfileName>>,
}

/// An identity with its authority, kept with what it had signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Caller {
    /// `local:root`, `token:ci-pay`.
    pub identity: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<TokenId>,
    pub role: Role,
    #[serde(default)]
    pub scope: SigningScope,
    /// Came over the network, so that stricter defaults apply.
    #[serde(default)]
    pub remote: bool,
}

impl Caller {
    /// Whoever owns the home.
    pub fn owner(identity: impl Into<String>) -> Self {
        Self {
            identity: identity.into(),
            token: None,
            role: Role::Admin,
            scope: SigningScope::default(),
            remote: false,
        }
    }

    /// As it is kept with what was signed, to be checked again before a late
    /// signature.
    pub(crate) fn kept(&self) -> Result<Arc<Value>> {
        let value = serde_json::to_value(self).map_err(|e| Error::internal(e.to_string()))?;
        Ok(Arc::new(value))
    }

    pub fn require(&self, permission: Permission) -> Result<()> {
        if self.role.allows(permission) {
            return Ok(());
        }
        Err(Error::denied(
            "access.denied",
            format!(
                "{} has the role {}, which does not allow this",
                self.identity, self.role
            ),
        )
        .next("ask for a token of a role that allows it: stella token create --role ROLE"))
    }

    /// A key of this profile may sign for the caller, whatever it is.
    pub fn may_use(&self, profile: &ProfileName) -> Result<()> {
        match &self.scope.profiles {
            Some(profiles) if !profiles.contains(profile) => {
                self.may_not(&format!("anything with profile {profile}"))
            }
            _ => Ok(()),
        }
    }

    /// Every subject, the type and the profile must lie within the scope.
    pub fn may_sign(
        &self,
        subjects: &[Option<SubjectName>],
        kind: &PredicateType,
        profile: &ProfileName,
    ) -> Result<()> {
        self.may_use(profile)?;
        if self.scope.types.as_ref().is_some_and(|t| !t.contains(kind)) {
            return self.may_not(&format!("statements of type {}", kind.short()));
        }
        let Some(patterns) = &self.scope.purls else {
            return Ok(());
        };
        for name in subjects {
            let allowed = match name {
                Some(name) => patterns.iter().any(|p| p.matches(name)),
                // A subject without a name is every name at once.
                None => patterns.iter().any(PurlPattern::is_universal),
            };
            if !allowed {
                let what = name.as_ref().map(SubjectName::to_string);
                return self.may_not(what.as_deref().unwrap_or("a subject without a name"));
            }
        }
        Ok(())
    }

    fn may_not(&self, what: &str) -> Result<()> {
        Err(Error::denied(
            "signer.not-allowed",
            format!("{} may not have {what} signed", self.identity),
        )
        .next("stella token create --role signer with a scope that covers it"))
    }
}
