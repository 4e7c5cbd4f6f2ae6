//! Attestations that share a commit, asked about and stored in statements of
//! many rows: for one at a time, what each statement costs is most of it.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use stella_core::digest::Sha256;
use tokio::sync::oneshot;
use tokio_postgres::types::ToSql;

use super::conn::Conn;
use super::ledger::{self, Entering};
use super::row::Columns;
use super::writer::{self, Boxed, Commit, Member, Tail};
use super::{attestations, events};
use crate::{IdempotencyRow, Inserted, LedgerKey, NewAttestation, Result, Signed, StoreError};

/// One that waits for the next commit.
pub(super) struct Insert {
    new: Arc<NewAttestation>,
    outcome: Option<Result<Inserted>>,
    to: oneshot::Sender<Result<Inserted>>,
}

impl Insert {
    pub(super) fn new(new: Arc<NewAttestation>, to: oneshot::Sender<Result<Inserted>>) -> Self {
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
    !inserts.is_empty()
        && inserts.iter().all(|insert| {
            let new = &insert.new;
            let asked = new.idempotency.as_ref();
            let moves = new.outcome.signed().is_some_and(|signed| signed.events.is_some());
            !moves && paes.insert(&new.pae) && asked.is_none_or(|row| keys.insert((&row.identity, &row.key)))
        })
}

/// All of them, or an error and some of them; with `sealing`, the hash chain
/// as well.
pub(super) async fn insert_all(
    commit: &mut Commit,
    inserts: &mut [&mut Insert],
    known: Known,
    sealing: bool,
) -> Result<()> {
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
                entry.chain(commit);
                entering.push(entry);
            }
            stored.push(new.as_ref());
        }
        outcomes.push(outcome);
    }
    let seal = async {
        match sealing {
            true => commit.seal_after(known.tail).await,
            false => Ok(()),
        }
    };
    attestations::store(&commit.conn, &stored, &entering, seal).await?;
    for (insert, outcome) in inserts.iter_mut().zip(outcomes) {
        insert.outcome = Some(Ok(outcome));
    }
    Ok(())
}

/// What has to be known of all of them, asked at once. Nothing of it can move
/// before the commit.
pub(super) struct Known {
    earlier: HashMap<(String, String), IdempotencyRow>,
    paes: HashSet<Sha256>,
    versions: HashMap<String, u64>,
    entered: HashSet<LedgerKey>,
    head: u64,
    next_entry: u64,
    tail: Tail,
}

impl Known {
    pub(super) async fn ask(conn: &Conn, all: &[&mut Insert]) -> Result<Self> {
        let (mut identities, mut keys, mut paes) = (vec![], vec![], vec![]);
        let mut signing = HashSet::new();
        for new in all.iter().map(|insert| &insert.new) {
            if let Some(asked) = &new.idempotency {
                identities.push(asked.identity.as_str());
                keys.push(asked.key.as_str());
            }
            paes.push(new.pae.as_bytes().as_slice());
            if let Some(by) = new.outcome.signed().and_then(|signed| signed.by.as_ref()) {
                signing.insert(by.key_id.as_str());
            }
        }
        let signing: Vec<_> = signing.into_iter().collect();
        let (earlier_of, paes_of): ([&(dyn ToSql + Sync); 2], [&(dyn ToSql + Sync); 1]) =
            ([&identities, &keys], [&paes]);
        let versions_of: [&(dyn ToSql + Sync); 1] = [&signing];
        let (ends, rows, versions, earlier) = tokio::try_join!(
            biased;
            ends(conn),
            conn.all(SAME_STATEMENT, &paes_of),
            conn.all(VERSIONS, &versions_of),
            async {
                match identities.is_empty() {
                    true => Ok(Vec::new()),
                    false => conn.all(EARLIER, &earlier_of).await,
                }
            },
        )?;
        let (head, next_entry, tail) = ends;
        let earlier = earlier.iter().map(|row| {
            let row = attestations::idempotency_of(row)?;
            Ok(((row.identity.clone(), row.key.clone()), row))
        });
        let versions = versions
            .iter()
            .map(|row| Ok((row.column("key_id")?, row.count("version")?)));
        let entered = rows
            .iter()
            .filter(|row| !matches!(row.column("spki"), Ok(None::<&[u8]>)));
        Ok(Self {
            earlier: earlier.collect::<Result<_>>()?,
            paes: rows.iter().map(|row| row.digest("pae")).collect::<Result<_>>()?,
            versions: versions.collect::<Result<_>>()?,
            entered: entered.map(ledger::key_of).collect::<Result<_>>()?,
            head,
            next_entry,
            tail,
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

/// The head of the events, the ledger's next number, and the chain's end.
async fn ends(conn: &Conn) -> Result<(u64, u64, Tail)> {
    tokio::try_join!(biased; events::head(conn), ledger::next(conn), writer::tail(conn))
}

const EARLIER: &str = "SELECT i.* FROM signer.idempotency i
                       JOIN unnest($1::text[], $2::text[]) AS asked (identity, key) USING (identity, key)";

const VERSIONS: &str = "SELECT key_id, version FROM signer.signing_keys WHERE key_id = ANY($1)";

/// With what was signed of them, one by one: a join could be done by reading
/// the whole ledger.
const SAME_STATEMENT: &str = "SELECT a.pae, made.spki, made.signature FROM signer.attestations a
                       LEFT JOIN LATERAL (SELECT spki, signature FROM signer.ledger
                                          WHERE attestation_id = a.id OFFSET 0) AS made ON TRUE
                       WHERE a.pae = ANY($1)";
