//! Attestations that share a commit, asked about and stored in statements of
//! many rows: for one at a time, what each statement costs is most of it.

use std::collections::{HashMap, HashSet};

use stella_core::digest::Sha256;
use tokio::sync::oneshot;
use tokio_postgres::types::ToSql;

use super::conn::Conn;
use super::ledger::{self, Entering};
use super::row::Columns;
use super::writer::{Boxed, Commit, Member};
use super::{attestations, events};
use crate::{IdempotencyRow, Inserted, LedgerKey, NewAttestation, Result, Signed, StoreError};

/// One that waits for the next commit.
pub(super) struct Insert {
    new: NewAttestation,
    outcome: Option<Result<Inserted>>,
    to: oneshot::Sender<Result<Inserted>>,
}

impl Insert {
    pub(super) fn new(new: NewAttestation, to: oneshot::Sender<Result<Inserted>>) -> Self {
        Self {
            new,
            outcome: None,
            to,
        }
    }
}

impl Member for Insert {
    fn run<'a>(&'a mut self, commit: &'a mut Commit) -> Boxed<'a, ()> {
        Box::pin(async move {
            let outcome = attestations::insert(commit, &self.new).await;
            let verdict = outcome.as_ref().map(|_| ()).map_err(StoreError::again);
            self.outcome = Some(outcome);
            verdict
        })
    }

    fn answer(self: Box<Self>, committed: &Result<()>) {
        super::writer::answer(self.outcome, committed, self.to);
    }

    fn as_insert(&mut self) -> Option<&mut Insert> {
        Some(self)
    }
}

/// Whether they can be told apart without each having seen what the one before
/// it did, and none moves what the others rest on.
pub(super) fn independent(inserts: &[&mut Insert]) -> bool {
    let (mut paes, mut keys) = (HashSet::new(), HashSet::new());
    inserts.len() > 1
        && inserts.iter().all(|insert| {
            let new = &insert.new;
            let asked = new.idempotency.as_ref();
            let moves = new.outcome.signed().is_some_and(|signed| signed.events.is_some());
            !moves && paes.insert(&new.pae) && asked.is_none_or(|row| keys.insert((&row.identity, &row.key)))
        })
}

/// All of them, or an error and some of them.
pub(super) async fn insert_all(commit: &mut Commit, inserts: &mut [&mut Insert]) -> Result<()> {
    let known = Known::ask(&commit.conn, inserts.iter().map(|insert| &insert.new)).await?;
    let mut next = known.next_entry;
    let (mut stored, mut entering) = (Vec::new(), Vec::new());
    let mut outcomes = Vec::with_capacity(inserts.len());
    for Insert { new, .. } in inserts.iter().map(|insert| &**insert) {
        let outcome = known.decides(new);
        if matches!(outcome, Inserted::Done) {
            if let Some(signed) = new.outcome.signed().filter(|signed| known.enters(signed))
                && let Some(entry) = Entering::new(Some(next), new.id, signed)?
            {
                next += 1;
                entering.push(entry);
            }
            stored.push(new);
        }
        outcomes.push(outcome);
    }
    attestations::store(&commit.conn, &stored, &entering).await?;
    for entry in entering {
        entry.chain(commit);
    }
    for (insert, outcome) in inserts.iter_mut().zip(outcomes) {
        insert.outcome = Some(Ok(outcome));
    }
    Ok(())
}

/// What has to be known of all of them, asked at once. Nothing of it can move
/// before the commit.
struct Known {
    earlier: HashMap<(String, String), IdempotencyRow>,
    paes: HashSet<Sha256>,
    versions: HashMap<String, u64>,
    entered: HashSet<LedgerKey>,
    head: u64,
    next_entry: u64,
}

impl Known {
    async fn ask<'a>(conn: &Conn, all: impl Iterator<Item = &'a NewAttestation>) -> Result<Self> {
        let (mut identities, mut keys) = (vec![], vec![]);
        let (mut first, mut signing, mut made) = (vec![], HashSet::new(), vec![]);
        for new in all {
            if let Some(asked) = &new.idempotency {
                identities.push(asked.identity.as_str());
                keys.push(asked.key.as_str());
            }
            if new.first {
                first.push(new.pae.as_bytes().as_slice());
            }
            if let Some(by) = new.outcome.signed().and_then(|signed| signed.by.as_ref()) {
                signing.insert(by.key_id.as_str());
                made.push(by.ledger.pae.as_bytes().as_slice());
            }
        }
        let signing: Vec<_> = signing.into_iter().collect();
        let earlier = "SELECT i.* FROM signer.idempotency i
                       JOIN unnest($1::text[], $2::text[]) AS asked (identity, key) USING (identity, key)";
        let paes = "SELECT DISTINCT pae FROM signer.attestations WHERE pae = ANY($1)";
        let versions = "SELECT key_id, version FROM signer.signing_keys WHERE key_id = ANY($1)";
        let entered = "SELECT pae, spki, signature FROM signer.ledger WHERE pae = ANY($1)";
        let (earlier_of, paes_of): ([&(dyn ToSql + Sync); 2], [&(dyn ToSql + Sync); 1]) =
            ([&identities, &keys], [&first]);
        let (versions_of, entered_of): ([&(dyn ToSql + Sync); 1], [&(dyn ToSql + Sync); 1]) =
            ([&signing], [&made]);
        let (earlier, paes, versions, entered, head, next_entry) = tokio::try_join!(
            conn.all(earlier, &earlier_of),
            conn.all(paes, &paes_of),
            conn.all(versions, &versions_of),
            conn.all(entered, &entered_of),
            events::head(conn),
            ledger::next(conn),
        )?;
        let earlier = earlier.iter().map(|row| {
            let row = attestations::idempotency_of(row)?;
            Ok(((row.identity.clone(), row.key.clone()), row))
        });
        let versions = versions
            .iter()
            .map(|row| Ok((row.column("key_id")?, row.count("version")?)));
        Ok(Self {
            earlier: earlier.collect::<Result<_>>()?,
            paes: paes.iter().map(|row| row.digest("pae")).collect::<Result<_>>()?,
            versions: versions.collect::<Result<_>>()?,
            entered: entered.iter().map(ledger::key_of).collect::<Result<_>>()?,
            head,
            next_entry,
        })
    }

    /// In the order in which one alone is asked about.
    fn decides(&self, new: &NewAttestation) -> Inserted {
        let asked = new.idempotency.as_ref();
        let earlier = asked.and_then(|row| self.earlier.get(&(row.identity.clone(), row.key.clone())));
        let key_moved = new
            .outcome
            .signed()
            .and_then(|signed| signed.by.as_ref())
            .is_some_and(|by| self.versions.get(by.key_id.as_str()) != Some(&by.key_version));
        match earlier {
            Some(earlier) => Inserted::Repeated(earlier.clone()),
            None if new.first && self.paes.contains(&new.pae) => Inserted::Known,
            None if new.expected_head.is_some_and(|head| head != self.head) => Inserted::HeadMoved,
            None if key_moved => Inserted::KeyMoved,
            None => Inserted::Done,
        }
    }

    fn enters(&self, signed: &Signed) -> bool {
        let by = signed.by.as_ref();
        by.is_some_and(|by| !self.entered.contains(&by.ledger))
    }
}
