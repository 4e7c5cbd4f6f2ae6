//! Which statements a proof is made of. Only what passes now is taken.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::to_value;
use stella_core::api::proofs::{CreateProof, PassedOver};
use stella_core::bundle::proof::SignedPayload;
use stella_core::bundle::spine;
use stella_core::digest::Sha256;
use stella_core::id::AttestationId;
use stella_core::predicate::PredicateType;
use stella_core::purl::SubjectName;
use stella_core::statement::{DigestSet, Subject};
use stella_core::verify::artifact::{Artifact, speaks_about};
use stella_core::verify::{Budget, Check, Code, SignedStatement, Verdict};
use stella_store::{AttestationRow, AttestationState};

use crate::app::App;
use crate::app::attest::read_subject;
use crate::app::error::{Error, Result};
use crate::app::verify::Question;
use crate::app::verify::evidence::KnownSignature;

/// What is looked for where no member is named: evidence, then reasoning,
/// then exploitability, by the short names of predicate types.
const LOOKED_FOR: &[&str] = &[
    "evidence.stella/v1",
    "slsaprovenance1",
    "slsaprovenance02",
    "cyclonedx",
    "spdxjson",
    "link",
    "vuln",
    "reasoning.stella/v1",
    "cdx-vex.stella/v1",
    "openvex",
];

pub(super) struct Chosen {
    pub subject: Subject,
    pub parts: Vec<Part>,
    pub passed_over: Vec<PassedOver>,
}

/// A statement with as many of its signatures as it takes to pass.
pub(super) struct Part {
    pub rows: Vec<AttestationId>,
    pub predicate_type: String,
    pub pae: Sha256,
    pub signed: SignedPayload,
}

/// Why a statement cannot be part of it.
struct Unfit {
    code: Code,
    trace: Vec<Check>,
}

impl App {
    pub(super) async fn choose(&self, question: &Question, request: &CreateProof) -> Result<Chosen> {
        let mut budget = question.budget();
        if request.members.is_empty() {
            let asked = request.subject.as_ref().ok_or_else(|| {
                Error::invalid("proof.which", "name a subject, or the attestations about it")
                    .next("stella proof create --subject PURL@sha256:HEX")
            })?;
            return self
                .discover(question, identified(read_subject(asked)?)?, &mut budget)
                .await;
        }
        let max = self.settings.limits.max_proof_members;
        if request.members.len() > max {
            return Err(Error::invalid(
                "proof.too-many-members",
                format!("a proof holds at most {max} statements (limits.maxProofMembers)"),
            ));
        }
        let mut rows: Vec<AttestationRow> = Vec::with_capacity(request.members.len());
        for id in &request.members {
            let row = self.find_attestation(id).await?;
            if let Some(same) = rows.iter().find(|r| r.pae == row.pae) {
                return Err(Error::invalid(
                    "proof.member-twice",
                    format!("{} and {} are the same statement", same.id, row.id),
                )
                .next("name it once"));
            }
            rows.push(row);
        }
        let subject = match (&request.subject, rows.first()) {
            (Some(asked), _) => named_by(identified(read_subject(asked)?)?, &rows)?,
            (None, Some(first)) => identified(only_subject(first)?)?,
            (None, None) => return Err(Error::internal("no member was named")),
        };
        let about = artifact(&subject)?;
        let mut parts = Vec::with_capacity(rows.len());
        for row in &rows {
            match self.part(question, row, &about, &mut budget).await? {
                Ok(part) => parts.push(part),
                Err(unfit) => return Err(refused(row, &unfit)),
            }
        }
        Ok(Chosen {
            subject,
            parts,
            passed_over: Vec::new(),
        })
    }

    /// Of each type the newest that passes, and none that was withdrawn or
    /// superseded.
    async fn discover(&self, question: &Question, subject: Subject, budget: &mut Budget) -> Result<Chosen> {
        let rows = self.candidates_for(question, &subject.digest).await?;
        let subject = named_by(subject, &rows)?;
        let about = artifact(&subject)?;
        let mut chosen = Chosen {
            subject,
            parts: Vec::new(),
            passed_over: Vec::new(),
        };
        for kind in LOOKED_FOR {
            let kind = PredicateType::from_name(kind).map_err(|e| Error::internal(e.to_string()))?;
            let of_type = rows
                .iter()
                .rev()
                .filter(|r| r.predicate_type == kind.as_uri() && speaks(r, &about));
            let mut first_own: Option<(&AttestationRow, Unfit)> = None;
            let mut found = false;
            for row in of_type {
                match self.part(question, row, &about, budget).await? {
                    Ok(part) => {
                        chosen.parts.push(part);
                        found = true;
                        break;
                    }
                    Err(unfit) => {
                        chosen.passed_over.push(passed_over(row, unfit.code));
                        // What anybody may have imported keeps nothing from being proven.
                        if !row.imported && first_own.is_none() {
                            first_own = Some((row, unfit));
                        }
                    }
                }
            }
            if let (false, Some((row, unfit))) = (found, first_own) {
                return Err(refused(row, &unfit));
            }
        }
        if chosen.parts.is_empty() {
            let digest = &chosen.subject.digest;
            return Err(Error::not_found(
                "proof.no-members",
                format!("no attestation that passes, of a type that proofs look for, speaks about {digest}"),
            )
            .next("stella attest list shows what there is; name others: stella proof create ID..."));
        }
        Ok(chosen)
    }

    /// Oldest first; all of them, or an error: the newest decide.
    async fn candidates_for(&self, question: &Question, digest: &DigestSet) -> Result<Vec<AttestationRow>> {
        let limit = self.settings.limits.max_attestations_per_artifact;
        let mut found: BTreeMap<AttestationId, AttestationRow> = BTreeMap::new();
        for (algorithm, hex) in digest.accepted() {
            let rows = self
                .store
                .attestations_by_digest(algorithm, hex, limit.saturating_add(1))
                .await?;
            found.extend(rows.into_iter().map(|r| (r.id, r)));
        }
        if found.len() > limit {
            return Err(Error::invalid(
                "proof.too-many-candidates",
                format!(
                    "more than {limit} attestations speak about {digest} (limits.maxAttestationsPerArtifact)"
                ),
            )
            .next("name the members: stella proof create ID..."));
        }
        let current = |row: &AttestationRow| {
            let superseded = question.trust.superseded.get(&row.pae);
            !question.trust.withdrawn.contains_key(&row.pae)
                && superseded.is_none_or(|s| row.id >= s.successor)
        };
        let mut rows: Vec<_> = found.into_values().filter(current).collect();
        // Ids order by the millisecond only.
        rows.sort_by_key(|r| (r.created_at, r.id));
        Ok(rows)
    }

    /// The attestation alone, or with the other signatures over the same
    /// statement where the anchor asks for several.
    async fn part(
        &self,
        question: &Question,
        row: &AttestationRow,
        about: &Artifact,
        budget: &mut Budget,
    ) -> Result<std::result::Result<Part, Unfit>> {
        let unfit = |code: Code, name, detail: String| {
            Ok(Err(Unfit {
                code,
                trace: vec![Check::stop(name, code, detail)],
            }))
        };
        if row.predicate_type == spine::PREDICATE_TYPE {
            return Err(Error::invalid(
                "proof.member-is-spine",
                format!("{} is itself the spine of a proof", row.id),
            )
            .next("name the attestations that it lists: stella proof list"));
        }
        if row.state != AttestationState::Signed {
            let detail = "recorded, not signed yet".to_owned();
            return unfit(Code::AttestationUnsigned, "attestation", detail);
        }
        if !speaks(row, about) {
            let detail = format!("it is not about {}", about.digest);
            return unfit(Code::ProofMemberSubject, "subject", detail);
        }
        let alone = vec![row.clone()];
        let first = match self.tried(question, alone, about, budget).await? {
            Ok(part) => return Ok(Ok(part)),
            Err(unfit) => unfit,
        };
        let siblings = self.siblings(question, row).await?;
        if siblings.len() < 2 {
            return Ok(Err(first));
        }
        let together = self.tried(question, siblings, about, budget).await?;
        Ok(together.map_err(|_| first))
    }

    /// Other signatures over the same statement, by other keys, our own first.
    async fn siblings(&self, question: &Question, row: &AttestationRow) -> Result<Vec<AttestationRow>> {
        let successor = question.trust.superseded.get(&row.pae).map(|s| s.successor);
        let mut rows = self.store.attestations_by_pae(&row.pae).await?;
        rows.retain(|r| r.signed.is_some() && successor.is_none_or(|s| r.id >= s));
        rows.sort_by_key(|r| (r.id != row.id, r.imported, r.id));
        let mut keys = BTreeSet::new();
        let mut out = Vec::new();
        for row in rows {
            let envelope = self.envelope_of(&row)?;
            if let [signature] = envelope.signatures.as_slice()
                && keys.insert(signature.keyid.clone())
                && out.len() < self.settings.limits.max_signatures
            {
                out.push(row);
            }
        }
        Ok(out)
    }

    async fn tried(
        &self,
        question: &Question,
        rows: Vec<AttestationRow>,
        about: &Artifact,
        budget: &mut Budget,
    ) -> Result<std::result::Result<Part, Unfit>> {
        let signed = self.signed_payload(&rows)?;
        let brought = [(signed.pae_digest(), signed.signatures())];
        let known = self.known_of(question, &brought).await?.concat();
        let cases = known.iter().map(KnownSignature::case).collect();
        let opened = SignedStatement::open(
            signed.payload_type(),
            signed.payload(),
            cases,
            &self.statement_limits(),
        );
        let statement = match opened {
            Ok(statement) => statement,
            Err(check) => {
                return Ok(Err(Unfit {
                    code: check.code.unwrap_or(Code::StatementInvalid),
                    trace: vec![check],
                }));
            }
        };
        let name = about.name.clone().unwrap_or_else(|| plain(&about.digest));
        let judgement = statement.judge(question.verifier(), &name, budget);
        if judgement.verdict != Verdict::Pass {
            return Ok(Err(Unfit {
                code: judgement.code,
                trace: judgement.trace,
            }));
        }
        Ok(Ok(Part {
            rows: rows.iter().map(|r| r.id).collect(),
            predicate_type: statement.predicate_type.as_uri().to_owned(),
            pae: statement.pae,
            signed,
        }))
    }
}

/// A package's name, where the asker gave another or none: the one that all of
/// the statements about this digest agree on.
fn named_by(subject: Subject, rows: &[AttestationRow]) -> Result<Subject> {
    let is_purl = |name: &String| name.starts_with("pkg:");
    if subject.name.as_ref().is_some_and(is_purl) {
        return Ok(subject);
    }
    let claimed: BTreeSet<String> = rows
        .iter()
        .flat_map(|r| &r.subjects)
        .filter(|s| s.digest.matches(&subject.digest))
        .filter_map(|s| s.name.clone())
        .filter(is_purl)
        .collect();
    let mut claimed = claimed.into_iter();
    match (claimed.next(), claimed.next()) {
        (None, _) => Ok(subject),
        (Some(name), None) => Ok(Subject {
            name: Some(name),
            ..subject
        }),
        (Some(one), Some(other)) => Err(Error::invalid(
            "proof.subject",
            format!("statements name {} both {one} and {other}", subject.digest),
        )
        .next("say which one is meant with --purl")),
    }
}

fn only_subject(row: &AttestationRow) -> Result<Subject> {
    match row.subjects.as_slice() {
        [one] => Ok(one.clone()),
        several => Err(Error::invalid(
            "proof.subject",
            format!("{} has {} subjects", row.id, several.len()),
        )
        .next("say which one is meant with --subject")),
    }
}

fn identified(subject: Subject) -> Result<Subject> {
    if subject.digest.accepted().next().is_some() {
        return Ok(subject);
    }
    Err(Error::invalid(
        "digest.weak",
        format!(
            "{} identifies no artifact: give sha256 or a stronger digest",
            subject.digest
        ),
    ))
}

/// What the members must be about, by the rule of claimed names.
fn artifact(subject: &Subject) -> Result<Artifact> {
    let name = match &subject.name {
        Some(name) => {
            SubjectName::parse(name).map_err(|e| Error::invalid("subject.name", format!("{name:?}: {e}")))?
        }
        None => plain(&subject.digest),
    };
    Ok(Artifact {
        digest: subject.digest.clone(),
        name: Some(name),
        require_types: BTreeSet::new(),
    })
}

fn plain(digest: &DigestSet) -> SubjectName {
    SubjectName::Plain(digest.to_string())
}

fn speaks(row: &AttestationRow, about: &Artifact) -> bool {
    row.subjects.iter().any(|s| speaks_about(s, about).is_ok())
}

fn passed_over(row: &AttestationRow, code: Code) -> PassedOver {
    PassedOver {
        attestation_id: row.id.to_string(),
        predicate_type: PredicateType::from_wire(&row.predicate_type).short().into_owned(),
        code: code.to_string(),
    }
}

fn refused(row: &AttestationRow, unfit: &Unfit) -> Error {
    let kind = PredicateType::from_wire(&row.predicate_type);
    let mut error = Error::conflict(
        "proof.member-does-not-pass",
        format!(
            "{} ({}) does not pass now: {} ({}): {}",
            row.id,
            kind.short(),
            unfit.code.verdict(),
            unfit.code,
            unfit.code.meaning()
        ),
    )
    .next(match unfit.code {
        Code::AttestationUnsigned => "stella attest retry --failed, then repeat this".to_owned(),
        _ => format!("stella verify attestation --attestation {}", row.id),
    });
    error.trace = to_value(&unfit.trace).ok().map(Box::new);
    error
}
