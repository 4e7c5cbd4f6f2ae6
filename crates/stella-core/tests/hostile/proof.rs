//! A proof bundle in an attacker's hands: whatever is done to it, it does not
//! pass for what it was, and nothing panics.

use std::collections::BTreeMap;

use stella_core::bundle::proof::{ProofBundle, ProofLimits, SignedPayload};
use stella_core::bundle::spine::{self, MemberRef, Spine};
use stella_core::digest::Sha256;
use stella_core::dsse::{self, Envelope, EnvelopeSignature, IN_TOTO_PAYLOAD_TYPE};
use stella_core::evidence::{Ledger, TimeEvidence};
use stella_core::id::AttestationId;
use stella_core::predicate::PredicateType;
use stella_core::statement::{DigestSet, Statement, StatementLimits, Subject};
use stella_core::trust::anchor::AnchorPolicy;
use stella_core::trust::{EventBody, RevokeReason};
use stella_core::verify::proof::{Asked, Case, Knowledge, NothingKnown, ProofJudgement, judge};
use stella_core::verify::{Budget, Check, CheckStatus, Code, Verdict};
use uuid::Uuid;

use crate::support::{Bench, PURL, at, digest, key_id, predicate, sign, subject_name};
use crate::{NOW, anchor, world};

const KINDS: [&str; 3] = ["evidence.stella/v1", "reasoning.stella/v1", "cdx-vex.stella/v1"];

fn statement(name: Option<&str>, kind: &str, n: usize) -> Vec<u8> {
    let subject = Subject {
        name: name.map(ToOwned::to_owned),
        digest: digest(),
    };
    let body = format!("{{\"n\":{n}}}");
    Statement::build(
        &[subject],
        predicate(kind).as_uri(),
        &body,
        &StatementLimits::default(),
    )
    .expect("a statement")
}

fn signed(key: usize, payload: &[u8]) -> SignedPayload {
    signed_by(&[key], payload)
}

fn signed_by(keys: &[usize], payload: &[u8]) -> SignedPayload {
    let envelopes = keys.iter().map(|key| Envelope {
        payload_type: IN_TOTO_PAYLOAD_TYPE.to_owned(),
        payload: payload.to_vec(),
        signatures: vec![EnvelopeSignature {
            keyid: Some(format!("k{key}")),
            sig: sign(*key, payload),
        }],
    });
    SignedPayload::of(envelopes).expect("signed")
}

fn listed(member: &SignedPayload) -> MemberRef {
    let statement = Statement::parse(member.payload(), &StatementLimits::default()).expect("a statement");
    MemberRef {
        pae: member.pae_digest(),
        predicate_type: statement.predicate_type().to_owned(),
    }
}

fn spine_of(members: &[SignedPayload]) -> Spine {
    let subject = Subject {
        name: Some(PURL.to_owned()),
        digest: digest(),
    };
    Spine::new(subject, members.iter().map(listed).collect())
}

fn bundle(spine: SignedPayload, members: Vec<SignedPayload>) -> ProofBundle {
    ProofBundle::new(spine, members, &ProofLimits::default()).expect("a bundle")
}

/// Evidence by k0, reasoning by k1, VEX by k2; the spine by k0.
fn members() -> Vec<SignedPayload> {
    KINDS
        .iter()
        .enumerate()
        .map(|(n, kind)| signed(n, &statement(Some(PURL), kind, n)))
        .collect()
}

fn good_spine() -> SignedPayload {
    signed(0, &spine_of(&members()).to_payload().expect("canonical"))
}

fn good() -> ProofBundle {
    bundle(good_spine(), members())
}

fn bench() -> Bench {
    Bench::new(world(AnchorPolicy::default()).state)
}

fn judged(bench: &Bench, bundle: &ProofBundle, asked: &Asked, known: &dyn Knowledge) -> ProofJudgement {
    let case = Case {
        bundle,
        asked,
        known,
        limits: &ProofLimits::default(),
        statements: &StatementLimits::default(),
    };
    judge(bench.at(at(NOW)), case, &mut Budget::new(100))
}

fn plain(bench: &Bench, bundle: &ProofBundle) -> ProofJudgement {
    judged(bench, bundle, &Asked::default(), &NothingKnown)
}

/// The codes in the trace, top level.
fn codes(judgement: &ProofJudgement) -> Vec<Code> {
    let stops = |c: &&Check| matches!(c.status, CheckStatus::Fail | CheckStatus::Unknown);
    judgement
        .trace
        .iter()
        .filter(stops)
        .filter_map(|c| c.code)
        .collect()
}

#[test]
fn a_sound_proof_passes_and_shows_every_part() {
    let judgement = plain(&bench(), &good());
    assert_eq!(
        (judgement.verdict, judgement.code, judgement.subject.as_str()),
        (Verdict::Pass, Code::Ok, PURL)
    );
    let names: Vec<_> = judgement.trace.iter().map(|c| c.name).collect();
    assert_eq!(names, ["address", "spine", "root", "member", "member", "member"]);
    assert!(
        judgement
            .trace
            .iter()
            .all(|c| c.status == CheckStatus::Pass && (c.name != "member" || !c.children.is_empty()))
    );
    let told: Vec<_> = judgement.trace.iter().map(|c| c.detail.clone()).collect();
    let spine = Spine::parse(good_spine().payload(), &ProofLimits::default()).expect("a spine");
    let listed = members().into_iter().zip(KINDS).zip(1..);
    let members = listed.map(|((m, kind), n)| format!("{n} of 3, {kind}, sha256:{}", m.pae_digest()));
    let head = [
        format!("sha256:{}, computed: none was asked for", good().address()),
        format!("lists 3 about {PURL}"),
        format!("sha256:{} over the 3 listed", spine.root),
    ];
    assert_eq!(told, head.into_iter().chain(members).collect::<Vec<_>>());
    let asked = Asked {
        address: Some(good().address()),
        digest: Some(digest()),
        name: Some(subject_name(PURL)),
    };
    assert_eq!(judged(&bench(), &good(), &asked, &NothingKnown).code, Code::Ok);
}

#[test]
fn another_address_artifact_or_name_is_another_proof() {
    let elsewhere = DigestSet::parse_spec(&format!("sha256:{}", "0".repeat(64))).expect("a digest");
    let ask = |address, digest, name: Option<&str>| Asked {
        address,
        digest,
        name: name.map(subject_name),
    };
    for (asked, code) in [
        (ask(Some(Sha256::of(b"x")), None, None), Code::ProofAddress),
        (ask(None, Some(elsewhere), Some(PURL)), Code::SubjectMismatch),
        (
            ask(None, Some(digest()), Some("pkg:npm/right-pad")),
            Code::SubjectOtherName,
        ),
        (ask(None, None, Some("pkg:npm/right-pad")), Code::SubjectOtherName),
    ] {
        let judgement = judged(&bench(), &good(), &asked, &NothingKnown);
        assert_eq!((judgement.verdict, judgement.code), (Verdict::Fail, code));
    }
    let mut strict = bench();
    strict.policy.require_purl = true;
    let unnamed = ask(None, Some(digest()), None);
    assert_eq!(
        judged(&strict, &good(), &unnamed, &NothingKnown).code,
        Code::SubjectUnbound
    );
    assert_eq!(judged(&bench(), &good(), &unnamed, &NothingKnown).code, Code::Ok);
}

#[test]
fn every_member_dropped_doubled_moved_or_replaced_is_noticed() {
    let bench = bench();
    let all = members();
    let case = |changed: Vec<SignedPayload>| plain(&bench, &bundle(good_spine(), changed));
    for n in 0..all.len() {
        let mut dropped = all.clone();
        dropped.remove(n);
        assert_eq!(codes(&case(dropped)), [Code::ProofMemberMissing], "without {n}");
        for place in 0..=all.len() {
            let mut doubled = all.clone();
            doubled.insert(place, all[n].clone());
            let found = codes(&case(doubled));
            assert!(
                found.contains(&Code::ProofMemberExtra),
                "{n} again at {place}: {found:?}"
            );
        }
        // Signed by the right key, about the right subject, of the right type.
        let mut replaced = all.clone();
        replaced[n] = signed(n, &statement(Some(PURL), KINDS[n], 99));
        assert_eq!(
            codes(&case(replaced)),
            [Code::ProofMemberMissing, Code::ProofMemberExtra],
            "{n} replaced"
        );
        for m in n + 1..all.len() {
            let mut swapped = all.clone();
            swapped.swap(n, m);
            let found = codes(&case(swapped));
            assert!(!found.is_empty() && found.iter().all(|c| *c == Code::ProofMemberOrder));
        }
        // Its own signature taken from another statement.
        let mut mixed = all.clone();
        let envelope = Envelope {
            payload_type: IN_TOTO_PAYLOAD_TYPE.to_owned(),
            payload: all[n].payload().to_vec(),
            signatures: all[(n + 1) % 3].signatures().to_vec(),
        };
        mixed[n] = SignedPayload::of([envelope]).expect("signed");
        assert_eq!(codes(&case(mixed)), [Code::SignatureInvalid]);
    }
    // One more, listed nowhere, however good.
    let mut more = all.clone();
    more.push(signed(0, &statement(Some(PURL), KINDS[0], 7)));
    assert_eq!(codes(&case(more)), [Code::ProofMemberExtra]);
    assert!(case(vec![good_spine()]).verdict == Verdict::Fail);
}

#[test]
fn no_flipped_bit_passes() {
    let bench = bench();
    let one = members().split_off(2);
    let spine = signed(0, &spine_of(&one).to_payload().expect("canonical"));
    let good = bundle(spine, one);
    assert_eq!(plain(&bench, &good).code, Code::Ok);
    let mut read = 0;
    for bit in 0..good.bytes().len() * 8 {
        let mut flipped = good.bytes().to_vec();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let Ok(other) = ProofBundle::parse(&flipped, &ProofLimits::default()) else {
            continue;
        };
        read += 1;
        assert_ne!(other.address(), good.address());
        let judgement = plain(&bench, &other);
        assert_eq!(judgement.verdict, Verdict::Fail, "bit {bit}: {judgement:?}");
    }
    assert!(read > 1000, "only {read} altered documents could be read at all");
}

#[test]
fn no_cut_off_document_is_read() {
    let good = good();
    for length in 0..good.bytes().len() {
        assert!(ProofBundle::parse(&good.bytes()[..length], &ProofLimits::default()).is_err());
    }
}

#[test]
fn a_spine_that_lies_does_not_pass_whoever_signed_it() {
    let bench = bench();
    let all = members();
    let case = |spine: &Spine, members: Vec<SignedPayload>| {
        let spine = signed(0, &spine.to_payload().expect("canonical"));
        plain(&bench, &bundle(spine, members))
    };
    let mut root = spine_of(&all);
    root.root = Sha256::of(b"another");
    assert_eq!(codes(&case(&root, all.clone())), [Code::ProofRoot]);
    // The root of another order, with that order's list or bundle.
    let mut reordered = spine_of(&all);
    reordered.members.swap(0, 2);
    let judgement = case(&reordered, all.clone());
    assert_eq!(judgement.code, Code::ProofRoot);
    let mut kinds = spine_of(&all);
    kinds.members[0].predicate_type = predicate("cdx-vex.stella/v1").as_uri().to_owned();
    assert_eq!(
        codes(&case(&kinds, all.clone())),
        [Code::ProofSpineInvalid],
        "the list says another type"
    );
    let mut twice = all.clone();
    twice.push(all[0].clone());
    assert_eq!(
        codes(&case(&spine_of(&twice), twice)),
        [Code::ProofSpineInvalid],
        "listed twice"
    );
    // A statement of another type, signed by the right key, in the spine's place.
    let impostor = plain(&bench, &bundle(all[0].clone(), all.clone()));
    assert_eq!(impostor.code, Code::ProofSpineInvalid);
    // The right spine, signed by nobody we trust for it.
    let payload = spine_of(&all).to_payload().expect("canonical");
    assert_eq!(
        plain(&bench, &bundle(signed(3, &payload), all.clone())).code,
        Code::KeyNotAllowed
    );
    // The right spine under another payload type.
    let foreign = Envelope {
        payload_type: "application/vnd.stella.feed+json".to_owned(),
        payload: payload.clone(),
        signatures: vec![EnvelopeSignature {
            keyid: None,
            sig: crate::pair(0)
                .sign(&dsse::pae("application/vnd.stella.feed+json", &payload))
                .as_ref()
                .to_vec(),
        }],
    };
    let foreign = SignedPayload::of([foreign]).expect("signed");
    assert_eq!(
        plain(&bench, &bundle(foreign, all)).code,
        Code::EnvelopePayloadType
    );
}

#[test]
fn members_about_something_else_do_not_count() {
    let bench = bench();
    let with = |member: SignedPayload| {
        let mut all = members();
        all[1] = member;
        let spine = signed(0, &spine_of(&all).to_payload().expect("canonical"));
        plain(&bench, &bundle(spine, all))
    };
    let elsewhere = DigestSet::parse_spec(&format!("sha256:{}", "f".repeat(64))).expect("a digest");
    let other = Subject {
        name: Some(PURL.to_owned()),
        digest: elsewhere,
    };
    let kind = predicate(KINDS[1]);
    let other = Statement::build(&[other], kind.as_uri(), "{}", &StatementLimits::default()).expect("built");
    assert_eq!(codes(&with(signed(1, &other))), [Code::ProofMemberSubject]);
    let renamed = statement(Some("pkg:npm/evil@6.6.6"), KINDS[1], 1);
    assert_eq!(codes(&with(signed(1, &renamed))), [Code::ProofMemberSubject]);
    // Without a name it is about the digest, and judged by the spine's anchor:
    // k3, which only the looser anchor holds, does not count.
    let unnamed = statement(None, KINDS[1], 1);
    assert_eq!(with(signed(1, &unnamed)).code, Code::Ok);
    assert_eq!(codes(&with(signed(3, &unnamed))), [Code::KeyNotAllowed]);
    let garbage = Envelope {
        payload_type: IN_TOTO_PAYLOAD_TYPE.to_owned(),
        payload: b"garbage".to_vec(),
        signatures: vec![EnvelopeSignature {
            keyid: None,
            sig: sign(1, b"garbage"),
        }],
    };
    let garbage = SignedPayload::of([garbage]).expect("signed");
    let mut all = members();
    let listed = MemberRef {
        pae: garbage.pae_digest(),
        predicate_type: kind.as_uri().to_owned(),
    };
    let mut spine = spine_of(&all);
    spine.members[1] = listed;
    let spine = Spine::new(spine.subject, spine.members);
    all[1] = garbage;
    let spine = signed(0, &spine.to_payload().expect("canonical"));
    assert_eq!(
        codes(&plain(&bench, &bundle(spine, all))),
        [Code::StatementInvalid]
    );
}

/// Two anchors of one pattern are two opinions, and no sum of them is a third.
#[test]
fn no_two_anchors_vouch_for_one_half_each() {
    let case = |keys: &[&str]| {
        let mut log = world(AnchorPolicy::default());
        let now = at("2025-01-01T00:00:00Z");
        log.record(now, anchor(3, "pkg:npm/*", AnchorPolicy::default(), keys));
        let all = members();
        let spine = signed(4, &spine_of(&all).to_payload().expect("canonical"));
        plain(&Bench::new(log.state), &bundle(spine, all))
    };
    let halves = case(&["k4"]);
    assert_eq!(
        (halves.verdict, halves.code),
        (Verdict::Fail, Code::KeyNotAllowed)
    );
    assert_eq!(case(&["k0", "k1", "k4"]).verdict, Verdict::Fail);
    let whole = case(&["k0", "k1", "k2", "k4"]);
    assert_eq!(
        (whole.code, whole.anchor_id),
        (Code::Ok, Some(crate::support::anchor_id(3))),
        "one that trusts all of it suffices"
    );
}

/// What was scanned together is attested together.
#[test]
fn a_member_may_be_about_more_as_long_as_it_is_about_this() {
    let called = |digest: DigestSet, name: &str| Subject {
        name: Some(name.to_owned()),
        digest,
    };
    let elsewhere = || DigestSet::parse_spec(&format!("sha256:{}", "f".repeat(64))).expect("a digest");
    let with = |subjects: &[Subject]| {
        let kind = predicate(KINDS[1]);
        let member = Statement::build(subjects, kind.as_uri(), "{}", &StatementLimits::default());
        let mut all = members();
        all[1] = signed(1, &member.expect("built"));
        let spine = signed(0, &spine_of(&all).to_payload().expect("canonical"));
        plain(&bench(), &bundle(spine, all))
    };
    let other = "pkg:npm/right-pad@1.0.0";
    assert_eq!(
        with(&[called(elsewhere(), other), called(digest(), PURL)]).code,
        Code::Ok
    );
    // The right name and the right digest, but of two different subjects.
    let torn = with(&[called(elsewhere(), PURL), called(digest(), other)]);
    assert_eq!(codes(&torn), [Code::ProofMemberSubject]);
}

#[test]
fn an_anchor_that_does_not_allow_spines_fails_the_proof() {
    let policy = AnchorPolicy {
        allowed_predicate_types: Some(KINDS.iter().map(|k| predicate(k)).collect()),
        ..AnchorPolicy::default()
    };
    let judgement = plain(&Bench::new(world(policy).state), &good());
    assert_eq!(codes(&judgement), [Code::PredicateNotAllowed]);
    assert!(PredicateType::from_wire(spine::PREDICATE_TYPE).short() == "proofspine.stella/v1");
}

#[test]
fn what_was_withdrawn_takes_the_proof_with_it() {
    let withdrawn = |pae| {
        let mut log = world(AnchorPolicy::default());
        let body = EventBody::AttestationWithdrawn {
            pae,
            reason: "superseded".parse::<RevokeReason>().expect("a reason"),
            note: None,
        };
        log.record(at("2025-02-01T00:00:00Z"), [body]);
        plain(&Bench::new(log.state), &good())
    };
    assert_eq!(
        codes(&withdrawn(members()[1].pae_digest())),
        [Code::ProofMemberWithdrawn]
    );
    assert_eq!(
        codes(&withdrawn(good_spine().pae_digest())),
        [Code::AttestationWithdrawn]
    );
}

/// The ledger and the store of whoever verifies.
struct Record {
    evidence: BTreeMap<Sha256, Vec<TimeEvidence>>,
    successors: BTreeMap<Sha256, AttestationId>,
}

impl Knowledge for Record {
    fn about(&self, pae: Sha256, _: &EnvelopeSignature) -> (Vec<TimeEvidence>, Ledger) {
        let evidence = self.evidence.get(&pae).cloned().unwrap_or_default();
        (evidence, Ledger::NotConsulted)
    }

    fn successor(&self, pae: Sha256) -> Option<AttestationId> {
        self.successors.get(&pae).copied()
    }
}

#[test]
fn a_key_that_ended_needs_proof_of_time_and_a_successor_is_pointed_at() {
    let mut log = world(AnchorPolicy::default());
    let end = |anchor_id| EventBody::KeyRevoked {
        anchor_id,
        key_id: key_id("k1"),
        reason: "annual-rotation".parse().expect("a reason"),
        effective_at: at("2025-03-01T00:00:00Z"),
        compromised_since: None,
        note: None,
    };
    log.record(
        at("2025-03-01T00:00:00Z"),
        [end(Some(crate::support::anchor_id(1)))],
    );
    let bench = Bench::new(log.state);
    let pae = members()[1].pae_digest();
    let newer = AttestationId(Uuid::from_u128(7));
    let seen = |text: &str| TimeEvidence {
        class: stella_core::evidence::TimeClass::Recorded,
        authority: String::new(),
        bound: stella_core::evidence::Bound::ExistedBy(at(text)),
        accuracy: None,
        recorded_at: at(text),
    };
    let record = |evidence: Option<&str>, successor: bool| Record {
        evidence: evidence.map(|t| (pae, vec![seen(t)])).into_iter().collect(),
        successors: successor.then_some((pae, newer)).into_iter().collect(),
    };
    let ask = |record: &Record| judged(&bench, &good(), &Asked::default(), record);
    assert_eq!(ask(&record(None, false)).code, Code::TimeNotProven);
    assert_eq!(ask(&record(Some("2025-02-01T00:00:00Z"), false)).code, Code::Ok);
    let superseded = ask(&record(None, true));
    assert_eq!(
        (superseded.verdict, superseded.code),
        (Verdict::Indeterminate, Code::ProofMemberSuperseded)
    );
    // While its own signature is good enough, that is a remark and no more.
    let remarked = ask(&record(Some("2025-02-01T00:00:00Z"), true));
    assert_eq!(remarked.code, Code::Ok);
    let remark = remarked
        .trace
        .iter()
        .find(|c| c.status == CheckStatus::Warn)
        .expect("a remark");
    assert_eq!(remark.code, Some(Code::ProofMemberSuperseded));
}

#[test]
fn a_threshold_is_met_by_what_the_bundle_carries() {
    let policy = AnchorPolicy {
        threshold: 2,
        ..AnchorPolicy::default()
    };
    let bench = Bench::new(world(policy).state);
    assert_eq!(plain(&bench, &good()).code, Code::ThresholdNotMet);
    let twofold: Vec<_> = members()
        .iter()
        .map(|m| signed_by(&[0, 1], m.payload()))
        .collect();
    let spine = spine_of(&twofold).to_payload().expect("canonical");
    let whole = bundle(signed_by(&[0, 2], &spine), twofold.clone());
    assert_eq!(plain(&bench, &whole).code, Code::Ok);
    // A signature taken out of it makes another document, and too few.
    let half = bundle(signed(0, &spine), twofold);
    assert_ne!(half.address(), whole.address());
    assert_eq!(plain(&bench, &half).code, Code::ThresholdNotMet);
}

#[test]
fn the_budget_is_one_for_all_of_it() {
    let bench = bench();
    let case = Case {
        bundle: &good(),
        asked: &Asked::default(),
        known: &NothingKnown,
        limits: &ProofLimits::default(),
        statements: &StatementLimits::default(),
    };
    let judgement = judge(bench.at(at(NOW)), case, &mut Budget::new(2));
    assert_eq!(
        (judgement.verdict, judgement.code),
        (Verdict::Indeterminate, Code::BudgetExhausted)
    );
    assert_eq!(judge(bench.at(at(NOW)), case, &mut Budget::new(4)).code, Code::Ok);
}

#[test]
fn without_an_anchor_nothing_is_said() {
    let mut log = crate::support::History::default();
    log.record(
        at("2025-01-01T00:00:00Z"),
        anchor(9, "pkg:maven/*", AnchorPolicy::default(), &[]),
    );
    let judgement = plain(&Bench::new(log.state), &good());
    assert_eq!(
        (judgement.verdict, judgement.code),
        (Verdict::Indeterminate, Code::AnchorNone)
    );
}
