//! `token create`.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use stella_core::api::tokens::{CreateToken, TokenCreated};
use stella_core::digest::Sha256;
use stella_core::id::TokenId;
use stella_core::predicate::PredicateType;
use stella_core::purl::PurlPattern;
use stella_core::time::Timestamp;
use stella_core::trust::EventBody;
use stella_store::{TokenChange, TokenRow};
use zeroize::Zeroizing;

use super::SECRET_PREFIX;
use crate::app::caller::{Role, SigningScope};
use crate::app::error::{Error, Result};
use crate::app::trust::Decision;
use crate::app::{App, Caller, values};
use crate::entropy;

impl App {
    /// The secret is in the answer and nowhere else. Nobody gives more than
    /// they have: neither role, nor scope, nor time.
    pub async fn create_token(&self, caller: &Caller, request: CreateToken) -> Result<TokenCreated> {
        let role: Role = request.role.parse()?;
        if role != caller.role && caller.role != Role::Admin {
            return Err(more_than_own("role"));
        }
        let scope = scope(role, &request, &caller.scope)?;
        let life = self.life(&request)?;
        let ceiling = self.own_end(caller).await?;
        let id = TokenId::new(self.now(), entropy::id_bytes(self.entropy.as_ref())?);
        let name = name(request.name.as_deref(), id)?;
        let secret = self.secret()?;
        let authority = Caller {
            identity: format!("token:{name}"),
            token: Some(id),
            role,
            scope,
            remote: true,
        };
        let authority = serde_json::to_value(&authority).map_err(|e| Error::internal(e.to_string()))?;
        let hash = Sha256::of(secret.as_bytes());
        let (row, _) = self
            .change(caller, |_, now| {
                let row = TokenRow {
                    id,
                    name: name.clone(),
                    hash,
                    authority: authority.clone(),
                    created_at: now,
                    created_by: caller.identity.clone(),
                    expires_at: end(now, life, ceiling),
                    revoked_at: None,
                    last_used_at: None,
                };
                let event = EventBody::TokenCreated {
                    token_id: id.to_string(),
                    name: name.clone(),
                    role: role.to_string(),
                };
                let mut decision = Decision::new(vec![event], row.clone());
                decision.tokens.push(TokenChange::Create(row));
                Ok(decision)
            })
            .await?;
        Ok(TokenCreated {
            token: super::view(&row, self.now())?,
            secret: secret.to_string(),
        })
    }

    fn life(&self, request: &CreateToken) -> Result<Duration> {
        let settings = &self.settings.tokens;
        let Some(seconds) = request.expires_in_seconds else {
            return Ok(settings.default_life.min(settings.max_life));
        };
        let life = Duration::from_secs(seconds);
        if life.is_zero() {
            return Err(Error::invalid(
                "token.expires",
                "a token that ends at once is of no use",
            ));
        }
        if life > settings.max_life {
            let days = settings.max_life.as_secs() / 86_400;
            return Err(Error::invalid(
                "token.expires",
                format!("a token lives for {days} days at most (tokens.maxLife)"),
            ));
        }
        Ok(life)
    }

    /// When the caller's own token ends.
    async fn own_end(&self, caller: &Caller) -> Result<Option<Timestamp>> {
        let Some(id) = caller.token else {
            return Ok(None);
        };
        let rows = self.store.tokens().await?;
        Ok(rows.iter().find(|t| t.id == id).map(|t| t.expires_at))
    }

    fn secret(&self) -> Result<Zeroizing<String>> {
        let mut random = Zeroizing::new([0; 32]);
        self.entropy.fill(&mut *random)?;
        let text = Zeroizing::new(URL_SAFE_NO_PAD.encode(random.as_slice()));
        Ok(Zeroizing::new(format!("{SECRET_PREFIX}{}", *text)))
    }
}

fn end(now: Timestamp, life: Duration, ceiling: Option<Timestamp>) -> Timestamp {
    let end = now.saturating_add(life);
    ceiling.map_or(end, |ceiling| end.min(ceiling))
}

fn name(given: Option<&str>, id: TokenId) -> Result<String> {
    let Some(name) = given.filter(|n| !n.is_empty()) else {
        // The end of a UUIDv7 is its random part.
        let text = id.to_string();
        let tail = text.rsplit('-').next().unwrap_or_default();
        return Ok(format!("token-{tail}"));
    };
    let fits = name.len() <= 64
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b));
    if fits {
        Ok(name.to_owned())
    } else {
        Err(Error::invalid(
            "token.name",
            format!("{name:?} is not a token name: use 1 to 64 of A-Z a-z 0-9 . _ -"),
        ))
    }
}

/// What a signer may have signed must be said. Types and profiles narrow it
/// where they are given; where the caller is narrowed, so is the token.
fn scope(role: Role, request: &CreateToken, own: &SigningScope) -> Result<SigningScope> {
    let purls: Vec<PurlPattern> = parse(&request.purls, |p| {
        p.parse::<PurlPattern>()
            .map_err(|e| Error::invalid("token.purl", format!("{p:?}: {e}")))
    })?;
    let types: Vec<PredicateType> = parse(&request.types, |t| {
        PredicateType::from_name(t).map_err(|e| Error::invalid("token.type", e))
    })?;
    let profiles = parse(&request.profiles, values::profile)?;
    if role == Role::Signer && purls.is_empty() {
        return Err(Error::invalid(
            "token.scope",
            "a signer's token says what it may have signed: give at least one --purl",
        )
        .next("stella token create --role signer --purl 'pkg:npm/@pay/*'"));
    }
    Ok(SigningScope {
        purls: within(purls, own.purls.as_deref(), |own, new| {
            own.iter().any(|o| covers(o, new))
        })
        .map_err(|()| more_than_own("package URLs"))?,
        types: within(types, own.types.as_ref(), |own, new| own.contains(new))
            .map_err(|()| more_than_own("types"))?
            .map(|t| t.into_iter().collect()),
        profiles: within(profiles, own.profiles.as_ref(), |own, new| own.contains(new))
            .map_err(|()| more_than_own("profiles"))?
            .map(|p| p.into_iter().collect()),
    })
}

fn parse<T>(texts: &[String], one: impl Fn(&str) -> Result<T>) -> Result<Vec<T>> {
    texts.iter().map(|t| one(t)).collect()
}

/// What was asked for, if it lies within what the caller has; nothing asked
/// for is all that the caller has.
fn within<T: Clone, O: ?Sized>(
    asked: Vec<T>,
    own: Option<&O>,
    covers: impl Fn(&O, &T) -> bool,
) -> std::result::Result<Option<Vec<T>>, ()>
where
    for<'o> &'o O: IntoIterator<Item = &'o T>,
{
    match own {
        None if asked.is_empty() => Ok(None),
        None => Ok(Some(asked)),
        Some(own) if asked.is_empty() => Ok(Some(own.into_iter().cloned().collect())),
        Some(own) if asked.iter().all(|new| covers(own, new)) => Ok(Some(asked)),
        Some(_) => Err(()),
    }
}

/// Whether all that the second matches, the first does. Says no where it is
/// not plain: a pattern with qualifiers covers and lies within itself alone.
fn covers(own: &PurlPattern, new: &PurlPattern) -> bool {
    let (own_text, new_text) = (own.as_str(), new.as_str());
    let plain = |text: &str| !text.contains(['?', '#']);
    own.is_universal()
        || own == new
        || own_text
            .strip_suffix('*')
            .is_some_and(|prefix| plain(own_text) && plain(new_text) && new_text.starts_with(prefix))
}

fn more_than_own(what: &str) -> Error {
    Error::denied(
        "token.more-than-own",
        format!("a token cannot have more {what} than the one who makes it"),
    )
    .next("ask an administrator for it, or give less")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(purls: &[&str]) -> CreateToken {
        CreateToken {
            name: None,
            role: "signer".into(),
            purls: purls.iter().map(|p| (*p).to_owned()).collect(),
            types: vec![],
            profiles: vec![],
            expires_in_seconds: None,
        }
    }

    #[test]
    fn nobody_gives_a_wider_scope_than_their_own() {
        let own = SigningScope {
            purls: Some(vec!["pkg:npm/@pay/*".parse().expect("a pattern")]),
            ..SigningScope::default()
        };
        assert!(scope(Role::Signer, &request(&["pkg:npm/@pay/api"]), &own).is_ok());
        assert!(scope(Role::Signer, &request(&["pkg:npm/@pay/api@1.*"]), &own).is_ok());
        for wider in [
            "*",
            "pkg:npm/*",
            "pkg:maven/x",
            "pkg:npm/@pay/*?repository_url=x.org",
        ] {
            assert!(scope(Role::Signer, &request(&[wider]), &own).is_err(), "{wider}");
        }
        let inherited = scope(Role::Admin, &request(&[]), &own).expect("inherits");
        assert_eq!(inherited.purls, own.purls);
    }

    #[test]
    fn a_signer_without_a_scope_is_refused() {
        let all = SigningScope::default();
        assert_eq!(
            scope(Role::Signer, &request(&[]), &all).expect_err("none").code,
            "token.scope"
        );
        assert_eq!(
            scope(Role::Verifier, &request(&[]), &all).expect("needs none"),
            all
        );
    }
}
