//! `attest resign`: one, or all that a standby key signed.

use clap::Args;
use stella_core::api::attestations::{Attestation, AttestationList, Resign as Request, TestSign, TestSigned};

use super::{describe, describe_all, exit_of, key_text, remark, resolve, subject_text};
use crate::api::{Api, Route};
use crate::context::{Context, Outcome};
use crate::error::CliError;
use crate::exit::Exit;

/// Sign the same statement with a current key
#[derive(Args)]
pub struct Resign {
    #[command(flatten)]
    what: What,
    /// Default: the profile that signed it
    #[arg(long)]
    profile: Option<String>,
    /// Who looked at it and what they found; needed where the ledger cannot
    /// vouch for the old signature
    #[arg(long, value_name = "NOTE")]
    reviewed: Option<String>,
    /// Recorded but not yet signed is good enough: end with 0
    #[arg(long)]
    accept_recorded: bool,
}

#[derive(Args)]
#[group(required = true, multiple = false)]
struct What {
    /// The attestation's id, a prefix that only it has, or `last`
    #[arg(value_name = "ATTESTATION_ID")]
    id: Option<String>,
    /// The same, as a flag
    #[arg(long = "attestation", alias = "id", value_name = "ATTESTATION_ID")]
    attestation: Option<String>,
    /// All that a standby key signed in the active key's stead
    #[arg(long)]
    signed_by_standby: bool,
}

impl Resign {
    pub async fn run(self, context: &Context) -> Outcome {
        let api = context.api().await?;
        match self.what.id.as_ref().or(self.what.attestation.as_ref()) {
            Some(id) => {
                let id = resolve(&api, id).await?;
                self.one(context, &api, &id).await
            }
            None => self.all_by_standby(context, &api).await,
        }
    }

    async fn one(&self, context: &Context, api: &Api, id: &str) -> Outcome {
        let attestation = self.resign(api, id).await?;
        context.printer.answer(&attestation, |page| {
            describe(page, &attestation);
            page.brief(&attestation.id);
        })?;
        remark(context, &attestation);
        Ok(exit_of([&attestation], self.accept_recorded))
    }

    async fn all_by_standby(&self, context: &Context, api: &Api) -> Outcome {
        let marked = by_standby(api).await?;
        if !marked.is_empty() {
            self.active_keys_sign(api, &marked).await?;
            context.confirm(
                |page| {
                    for old in &marked {
                        let subject = old.subjects.first().map(subject_text).unwrap_or_default();
                        let key = key_text(old).unwrap_or_default();
                        page.line(format!("{}  {key}  {subject}", old.id));
                    }
                },
                &format!("Sign these {} with their active keys?", marked.len()),
            )?;
        }
        let mut done = Vec::with_capacity(marked.len());
        for old in &marked {
            let new = self.resign(api, &old.id).await?;
            let stood_in = new.signed_by_standby;
            done.push(new);
            if stood_in {
                break;
            }
        }
        let list = AttestationList {
            attestations: done,
            next_cursor: None,
        };
        context.printer.answer(&list, |page| {
            if list.attestations.is_empty() {
                page.line("nothing stands that a standby key signed");
            }
            describe_all(page, &list.attestations);
        })?;
        for attestation in &list.attestations {
            remark(context, attestation);
        }
        if list.attestations.last().is_some_and(|new| new.signed_by_standby) {
            return Err(CliError::failed(
                "resign.standby-again",
                "a standby key signed again: the active key's store is still set aside",
            )
            .next("stella attest status"));
        }
        Ok(match list.attestations.as_slice() {
            [] => Exit::Done,
            all => exit_of(all, self.accept_recorded),
        })
    }

    /// While a store is down, signing again would only be the standby key's.
    async fn active_keys_sign(&self, api: &Api, marked: &[Attestation]) -> Result<(), CliError> {
        let mut profiles: Vec<_> = match &self.profile {
            Some(profile) => vec![Some(profile.clone())],
            None => marked.iter().map(|old| old.profile.clone()).collect(),
        };
        profiles.sort();
        profiles.dedup();
        for profile in profiles {
            let request = TestSign {
                profile,
                key_id: None,
            };
            let route = Route::to(&["attestations", "test-sign"]);
            let _: TestSigned = api.post(&route, &request).await?;
        }
        Ok(())
    }

    async fn resign(&self, api: &Api, id: &str) -> Result<Attestation, CliError> {
        let request = Request {
            profile: self.profile.clone(),
            reviewed: self.reviewed.clone(),
        };
        let route = Route::to(&["attestations", id, "resign"]);
        api.post(&route, &request).await
    }
}

/// Those that still stand, oldest first.
async fn by_standby(api: &Api) -> Result<Vec<Attestation>, CliError> {
    let mut out = Vec::new();
    let mut cursor = None;
    loop {
        let route = Route::to(&["attestations"])
            .with("signedByStandby", Some("true"))
            .with("cursor", cursor);
        let page: AttestationList = api.get(&route).await?;
        let stands = |a: &Attestation| a.superseded_by.is_none() && a.withdrawn.is_none();
        out.extend(page.attestations.into_iter().filter(stands));
        cursor = page.next_cursor;
        if cursor.is_none() {
            out.reverse();
            return Ok(out);
        }
    }
}
