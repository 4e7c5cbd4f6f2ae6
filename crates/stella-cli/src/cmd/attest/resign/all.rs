//! Everything that a key signed, page by page. What is signed again supersedes
//! the old one, so that whoever is interrupted begins again and finds it done.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::sync::Arc;

use serde::Serialize;
use stella_core::api::attestations::{Attestation, AttestationList, Resign as Request, TestSign, TestSigned};
use stella_core::api::keys::Key;
use stella_core::api::problem::Problem;

use super::super::{key_text, subject_text};
use super::resign;
use crate::api::{Api, Route};
use crate::bulk::{self, Bar};
use crate::context::{Context, Outcome};
use crate::error::CliError;
use crate::exit::Exit;
use crate::printer::Format;

pub(super) enum Of {
    /// Any standby key that stood in.
    Standby,
    Key(String),
}

pub(super) struct All {
    pub of: Of,
    pub profile: Option<String>,
    pub dry_run: bool,
    pub accept_recorded: bool,
}

/// Requests at the same time. Each moves the head of the event log, so that
/// more would only stand in each other's way.
const IN_FLIGHT: usize = 4;
/// Of the first page, shown before anybody is asked.
const SHOWN: usize = 20;

/// A line for each, with `-o json`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Row<'a> {
    supersedes: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Problem>,
}

#[derive(Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Tally {
    signed: u64,
    recorded: u64,
    failed: u64,
    /// Superseded or withdrawn already.
    left_out: u64,
    /// Of those that failed, by reason.
    errors: BTreeMap<String, u64>,
    #[serde(skip)]
    exits: Vec<Exit>,
}

impl All {
    pub async fn run(self, api: Api, context: &Context) -> Outcome {
        let api = Arc::new(api);
        if let (Of::Key(key), None) = (&self.of, &self.profile) {
            refuse_active(&api, key, context).await?;
        }
        let mut tally = Tally::default();
        let mut page = self.page(&api, None).await?;
        let first = self.first_standing(&api, &mut page, &mut tally).await?;
        if first.is_empty() {
            return self.finish(tally, context);
        }
        let more = page.next_cursor.is_some();
        let radius = |out: &mut crate::printer::Page| {
            for old in first.iter().take(SHOWN) {
                let subject = old.subjects.first().map(subject_text).unwrap_or_default();
                let key = key_text(old).unwrap_or_default();
                out.line(format!("{}  {key}  {subject}", old.id));
            }
            if more || first.len() > SHOWN {
                out.line(format!("... {} and more", first.len().min(SHOWN)));
            }
        };
        let count = if more { "at least " } else { "" };
        let count = format!("{count}{}", first.len());
        if self.dry_run {
            context.printer.aside(radius);
            context
                .printer
                .note(&format!("{count} would be signed again; nothing was done"));
            return Ok(Exit::Done);
        }
        self.active_keys_sign(&api, &first).await?;
        context.confirm(radius, &format!("Sign these {count} with their active keys?"))?;
        let bar = Bar::of_entries(context, 0);
        let mut standing = first;
        loop {
            let again = self.sign_page(&api, &standing, &mut tally, context).await?;
            bar.at(tally.signed, || tally.text());
            if again {
                drop(bar);
                self.finish(tally, context)?;
                return Err(CliError::failed(
                    "resign.standby-again",
                    "a standby key signed again: the active key's store is still set aside",
                )
                .next("stella attest status"));
            }
            let Some(cursor) = page.next_cursor.take() else {
                break;
            };
            page = self.page(&api, Some(cursor)).await?;
            standing = stands(&mut page, &mut tally);
        }
        drop(bar);
        self.finish(tally, context)
    }

    /// The first page that has any.
    async fn first_standing(
        &self,
        api: &Api,
        page: &mut AttestationList,
        tally: &mut Tally,
    ) -> Result<Vec<Attestation>, CliError> {
        loop {
            let found = stands(page, tally);
            match page.next_cursor.clone() {
                Some(cursor) if found.is_empty() => *page = self.page(api, Some(cursor)).await?,
                _ => return Ok(found),
            }
        }
    }

    /// Whether a standby key signed once more; then the rest is left.
    async fn sign_page(
        &self,
        api: &Arc<Api>,
        standing: &[Attestation],
        tally: &mut Tally,
        context: &Context,
    ) -> Result<bool, CliError> {
        let mut left = standing.iter();
        let mut flying = VecDeque::new();
        loop {
            while flying.len() < IN_FLIGHT {
                let Some(old) = left.next() else { break };
                let (api, id) = (Arc::clone(api), old.id.clone());
                let request = Request {
                    profile: self.profile.clone(),
                    reviewed: None,
                };
                flying.push_back(tokio::spawn(async move {
                    let answer = resign(&api, &id, &request).await;
                    (id, answer)
                }));
            }
            let Some(first) = flying.pop_front() else {
                return Ok(false);
            };
            let (id, answer) = first
                .await
                .map_err(|e| CliError::failed("cli.thread", format!("a request was cut off: {e}")))?;
            match &answer {
                Err(error) if error.exit == Exit::Unavailable => {
                    return Err(error.clone().because("what was signed again stands"));
                }
                answer => tell(&id, answer, context)?,
            }
            tally.count(&answer);
            if answer.is_ok_and(|new| new.signed_by_standby) {
                return Ok(true);
            }
        }
    }

    async fn page(&self, api: &Api, cursor: Option<String>) -> Result<AttestationList, CliError> {
        let route = Route::to(&["attestations"]);
        let route = match &self.of {
            Of::Standby => route.with("signedByStandby", Some("true")),
            Of::Key(key) => route.with("keyId", Some(key)),
        };
        api.get(&route.with("cursor", cursor)).await
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

    fn finish(&self, tally: Tally, context: &Context) -> Outcome {
        let printer = &context.printer;
        let summary = BTreeMap::from([("summary", &tally)]);
        match printer.format {
            Format::Json => {
                let mut line = bulk::json(&summary)?;
                line.push(b'\n');
                printer.raw(&line)?;
            }
            Format::Table if context.global.quiet => {}
            Format::Table | Format::Yaml => printer.answer(&summary, |page| {
                if tally.nothing() {
                    page.line(match &self.of {
                        Of::Standby => "nothing stands that a standby key signed".to_owned(),
                        Of::Key(key) => format!("nothing stands that {key} signed"),
                    });
                } else {
                    page.line(tally.text());
                }
            })?,
        }
        Ok(tally.exit(self.accept_recorded))
    }
}

/// What the key signed would be signed by it again.
async fn refuse_active(api: &Api, key: &str, context: &Context) -> Result<(), CliError> {
    let key: Key = api.get(&Route::to(&["signer", "keys", key])).await?;
    if key.status != "active" {
        return Ok(());
    }
    let program = &context.program;
    let profile = key.profile.unwrap_or_default();
    Err(CliError::usage(format!(
        "{} is the active key of profile {profile}: it would sign all of it again itself",
        key.id
    ))
    .next(format!(
        "{program} keys generate --profile {profile}, then {program} anchor add-key --anchor-id ALL --key-id NEW-KEY"
    )))
}

/// Those that still stand, each statement once.
fn stands(page: &mut AttestationList, tally: &mut Tally) -> Vec<Attestation> {
    let all = std::mem::take(&mut page.attestations);
    let before = all.len();
    let mut statements = HashSet::new();
    let standing: Vec<Attestation> = all
        .into_iter()
        .filter(|a| a.superseded_by.is_none() && a.withdrawn.is_none())
        .filter(|a| statements.insert(a.pae_digest.clone()))
        .collect();
    tally.left_out += u64::try_from(before - standing.len()).unwrap_or_default();
    standing
}

fn tell(old: &str, answer: &Result<Attestation, CliError>, context: &Context) -> Result<(), CliError> {
    let printer = &context.printer;
    let new = answer.as_ref().ok();
    match (printer.format, answer) {
        (Format::Json, answer) => {
            let row = Row {
                supersedes: old,
                id: new.map(|new| new.id.as_str()),
                state: new.map(|new| new.state.as_str()),
                key_id: new.and_then(|new| new.key_id.as_deref()),
                error: answer.as_ref().err().map(CliError::to_problem),
            };
            let mut line = bulk::json(&row)?;
            line.push(b'\n');
            printer.raw(&line)
        }
        (Format::Table, Ok(new)) if context.global.quiet => printer.raw(format!("{}\n", new.id).as_bytes()),
        (Format::Table, Ok(new)) => {
            let key = key_text(new).unwrap_or_else(|| new.state.clone());
            let subject = new.subjects.first().map(subject_text).unwrap_or_default();
            printer.raw(format!("{}  supersedes {old}  {key}  {subject}\n", new.id).as_bytes())
        }
        (Format::Table, Err(error)) => {
            printer.aside(|page| page.line(format!("{old}: {error}")));
            Ok(())
        }
        (Format::Yaml, _) => Ok(()),
    }
}

impl Tally {
    fn count(&mut self, answer: &Result<Attestation, CliError>) {
        match answer {
            Ok(new) if new.state == "signed" => self.signed += 1,
            Ok(_) => self.recorded += 1,
            Err(error) => {
                self.failed += 1;
                *self.errors.entry(error.code.clone()).or_default() += 1;
                if !self.exits.contains(&error.exit) {
                    self.exits.push(error.exit);
                }
            }
        }
    }

    fn nothing(&self) -> bool {
        self.signed + self.recorded + self.failed == 0
    }

    fn text(&self) -> String {
        let mut text = format!("{} signed again", self.signed);
        let more = [
            (self.recorded, "recorded, not signed yet"),
            (self.failed, "failed"),
        ];
        for (count, what) in more.into_iter().filter(|(count, _)| *count > 0) {
            text.push_str(&format!(", {count} {what}"));
        }
        text
    }

    fn exit(&self, accept_recorded: bool) -> Exit {
        match self.exits.as_slice() {
            [one] => *one,
            [] if self.recorded > 0 && !accept_recorded => Exit::Recorded,
            [] => Exit::Done,
            _ => Exit::Failed,
        }
    }
}
