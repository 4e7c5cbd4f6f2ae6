//! A proof: made of what passes, addressed by its bytes, judged whole.

use std::sync::Arc;

use serde_json::{Value, json};
use stella_core::api::attestations::{
    CreateAttestation, ImportAttestation, Resign, Retry, SubjectInput, Withdraw,
};
use stella_core::api::proofs::{CreateProof, Proof, ProofVerdict, VerifyProof};
use stella_core::api::verify::Times;
use stella_core::digest::Sha256;
use stella_core::id::AnchorId;
use stella_core::predicate::PredicateType;
use stella_core::trust::EventBody;
use stella_core::trust::anchor::AnchorPolicy;
use stella_server::app::proof::ProofQuery;
use stella_server::app::{Caller, Error, ErrorKind, Result};
use stella_server::config::Settings;
use stella_store::ProofRow;

use crate::PAD;
use crate::support::{Fault, World, about, as_of, payload, scoped, sha256, times};

const KINDS: [&str; 3] = ["evidence.stella/v1", "reasoning.stella/v1", "cdx-vex.stella/v1"];

impl World {
    async fn attest(&self, name: &str, digit: &str, kind: &str) -> String {
        self.create(about(name, digit, kind)).await.expect("created").id
    }

    /// Evidence, reasoning and VEX about the same artifact.
    async fn evidence(&self) -> [String; 3] {
        // In another order than a proof has them.
        let [e, r, v] = KINDS;
        let vex = self.attest(PAD, "a", v).await;
        let evidence = self.attest(PAD, "a", e).await;
        let reasoning = self.attest(PAD, "a", r).await;
        [evidence, reasoning, vex]
    }

    async fn prove(&self, request: CreateProof) -> Result<Proof> {
        self.app.create_proof(&self.owner, request).await
    }

    async fn judge(&self, request: VerifyProof) -> ProofVerdict {
        let judged = self.app.verify_proof(&self.owner, request).await;
        judged.expect("a verdict")
    }

    async fn judge_at(&self, proof: &Proof, times: Times) -> ProofVerdict {
        self.judge(VerifyProof {
            times,
            ..asked(proof)
        })
        .await
    }

    async fn bytes(&self, proof: &Proof) -> String {
        let bytes = self.app.export_proof(id(proof)).await.expect("exported");
        String::from_utf8(bytes).expect("text")
    }

    async fn withdraw(&self, attestation: &str) {
        let request = Withdraw {
            reason: "policy-violation".to_owned(),
            note: None,
        };
        let done = self
            .app
            .withdraw_attestation(&self.owner, attestation, request)
            .await;
        done.expect("withdrawn");
    }

    async fn resign(&self, attestation: &str) -> String {
        let request = Resign {
            profile: None,
            reviewed: None,
        };
        let done = self
            .app
            .resign_attestation(&self.owner, attestation, request)
            .await;
        done.expect("signed again").id
    }
}

/// About the digest of the artifact, or of these attestations.
fn of(members: &[&str]) -> CreateProof {
    CreateProof {
        subject: members.is_empty().then(|| SubjectInput {
            name: None,
            digest: sha256("a"),
        }),
        members: members.iter().map(|m| (*m).to_owned()).collect(),
        profiles: Vec::new(),
        force: false,
    }
}

fn id(proof: &Proof) -> &str {
    proof.id.as_deref().expect("an address")
}

fn asked(proof: &Proof) -> VerifyProof {
    VerifyProof {
        proof: proof.id.clone(),
        document: None,
        digests: Default::default(),
        purl: None,
        times: times(),
    }
}

fn brought(document: String) -> VerifyProof {
    VerifyProof {
        proof: None,
        document: Some(document),
        digests: Default::default(),
        purl: None,
        times: times(),
    }
}

fn refused<T: std::fmt::Debug>(answer: Result<T>) -> Error {
    answer.expect_err("refused")
}

fn told(verdict: &ProofVerdict) -> (&str, &str) {
    (&verdict.report.verdict, &verdict.report.code)
}

fn attestations(proof: &Proof) -> Vec<&str> {
    proof
        .members
        .iter()
        .flat_map(|m| &m.attestations)
        .map(String::as_str)
        .collect()
}

#[tokio::test]
async fn a_proof_is_found_made_exported_and_passes() {
    let world = World::ready().await;
    let [evidence, reasoning, vex] = world.evidence().await;
    world.attest("pkg:npm/other@1.0.0", "b", KINDS[0]).await;
    let proof = world.prove(of(&[])).await.expect("made");
    assert_eq!(attestations(&proof), [&evidence, &reasoning, &vex]);
    assert_eq!(
        proof.subject.name.as_deref(),
        Some(PAD),
        "the one name that all of them give"
    );
    assert_eq!(proof.state, "signed");
    assert_eq!(
        proof.would_verify.as_ref().map(|w| w.verdict.as_str()),
        Some("PASS")
    );

    // The address is the digest of the bytes, now and at every export.
    let bytes = world.bytes(&proof).await;
    assert_eq!(id(&proof), format!("sha256:{}", Sha256::of(bytes.as_bytes())));
    world.pass(86_400);
    assert_eq!(world.bytes(&proof).await, bytes);

    let verdict = world.judge(asked(&proof)).await;
    assert_eq!(told(&verdict), ("PASS", "ok"), "{verdict:?}");
    assert_eq!(verdict.id, proof.id);
    assert!(!verdict.report.artifact_bound);
    let names: Vec<_> = verdict.report.trace.iter().map(|c| c.name.as_str()).collect();
    assert_eq!(names, ["address", "spine", "root", "member", "member", "member"]);
    let time = |c: &Value| c["name"] == "time" && c["detail"].to_string().contains("recorded");
    let members = verdict.report.trace.iter().filter(|c| c.name == "member");
    assert!(members.clone().count() == 3 && members.into_iter().all(|m| m.children.iter().any(time)));
    // The same document from a file; bound to the artifact at hand.
    let mut from_file = brought(bytes.clone());
    from_file.digests = sha256("a");
    from_file.purl = Some(PAD.to_owned());
    let verdict = world.judge(from_file.clone()).await;
    assert_eq!(told(&verdict), ("PASS", "ok"));
    assert!(verdict.report.artifact_bound && verdict.id == proof.id);
    from_file.digests = sha256("b");
    assert_eq!(
        told(&world.judge(from_file.clone()).await),
        ("FAIL", "subject.mismatch")
    );
    from_file.digests = sha256("a");
    from_file.purl = Some("pkg:npm/evil".to_owned());
    assert_eq!(
        told(&world.judge(from_file).await),
        ("FAIL", "subject.other-name")
    );

    // Made again it is the same, by whatever part of its address it is called.
    let again = world
        .prove(of(&[&evidence, &reasoning, &vex]))
        .await
        .expect("again");
    assert!(again.repeated && again.id == proof.id);
    let shown = world.app.show_proof(&id(&proof)[..19]).await.expect("by prefix");
    assert_eq!(shown.id, proof.id);
    let other_order = world.prove(of(&[&vex, &evidence])).await.expect("made");
    assert_ne!(other_order.id, proof.id);
    let list = |subject: &str| {
        let query = ProofQuery {
            subject: Some(subject.to_owned()),
            ..ProofQuery::default()
        };
        world.app.list_proofs(query)
    };
    let listed = list(PAD).await.expect("listed").proofs;
    assert_eq!(listed.len(), 2);
    assert_eq!(listed[1].predicate_types, KINDS);
    assert_eq!(
        list(&format!("sha256:{}", "a".repeat(64)))
            .await
            .expect("listed")
            .proofs,
        listed
    );
    assert!(list("pkg:npm/other").await.expect("listed").proofs.is_empty());
    assert_eq!(world.ledger_entries().await, 6);
}

#[tokio::test]
async fn no_altered_document_passes_for_it() {
    let world = World::ready().await;
    world.evidence().await;
    let proof = world.prove(of(&[])).await.expect("made");
    let bytes = world.bytes(&proof).await;
    let good: Value = serde_json::from_str(&bytes).expect("JSON");
    let canonical = |value: &Value| {
        let bytes = stella_core::canonical::to_canonical(value).expect("canonical");
        String::from_utf8(bytes).expect("text")
    };
    assert_eq!(canonical(&good), bytes);
    let changed = |change: &dyn Fn(&mut Vec<Value>)| {
        let mut value = good.clone();
        change(value["members"].as_array_mut().expect("members"));
        canonical(&value)
    };
    for (what, document, code) in [
        ("dropped", changed(&|m| drop(m.pop())), "proof.member-missing"),
        (
            "doubled",
            changed(&|m| m.push(m[0].clone())),
            "proof.member-extra",
        ),
        ("swapped", changed(&|m| m.swap(0, 1)), "proof.member-order"),
        (
            "the spine in it",
            changed(&|m| m[0] = good["spine"].clone()),
            "proof.member-missing",
        ),
        ("spaced", format!("{bytes}\n"), "proof.invalid"),
        ("cut off", bytes[..bytes.len() - 1].to_owned(), "proof.invalid"),
        ("nothing", String::new(), "proof.invalid"),
        (
            "an envelope",
            good["spine"][0]["dsseEnvelope"].to_string(),
            "proof.invalid",
        ),
    ] {
        let verdict = world.judge(brought(document.clone())).await;
        assert_eq!(told(&verdict), ("FAIL", code), "{what}");
        let with_address = VerifyProof {
            proof: proof.id.clone(),
            ..brought(document)
        };
        assert_eq!(world.judge(with_address).await.report.verdict, "FAIL", "{what}");
    }
    // Another proof, good in itself, under this one's address.
    let other = world.prove(of(&[attestations(&proof)[0]])).await.expect("made");
    let other = VerifyProof {
        proof: proof.id.clone(),
        ..brought(world.bytes(&other).await)
    };
    assert_eq!(told(&world.judge(other).await), ("FAIL", "proof.address"));
    let nobody = VerifyProof {
        proof: Some(format!("sha256:{}", "0".repeat(64))),
        ..asked(&proof)
    };
    let missing = refused(world.app.verify_proof(&world.owner, nobody).await);
    assert_eq!(
        (missing.kind, missing.code.as_str()),
        (ErrorKind::NotFound, "proof.unknown")
    );
    let neither = VerifyProof {
        proof: None,
        ..asked(&proof)
    };
    let neither = refused(world.app.verify_proof(&world.owner, neither).await);
    assert_eq!(neither.code, "verify.which");
}

#[tokio::test]
async fn what_is_kept_under_a_wrong_address_is_not_given_out_for_it() {
    let world = World::ready().await;
    world.evidence().await;
    let proof = world.prove(of(&[])).await.expect("made");
    let address = id(&proof).parse().expect("an address");
    let kept = world.app.store.proof(&address).await.expect("read");
    let wrong = Sha256::of(b"another");
    let swapped = ProofRow {
        address: wrong,
        ..kept.expect("kept")
    };
    world.app.store.insert_proof(swapped).await.expect("kept");
    let wrong = format!("sha256:{wrong}");
    let by_wrong = VerifyProof {
        proof: Some(wrong.clone()),
        ..asked(&proof)
    };
    assert_eq!(told(&world.judge(by_wrong).await), ("FAIL", "proof.address"));
    let error = refused(world.app.export_proof(&wrong).await);
    assert_eq!(error.code, "store.corrupt");
    let report = world.app.verify_store().await.expect("a report");
    assert!(!report.ok && report.findings[0].contains(&wrong), "{report:?}");
}

#[tokio::test]
async fn only_what_passes_becomes_a_member() {
    let world = World::ready().await;
    world.generate("p1", "pqc").await;
    let code = async |request: CreateProof| refused(world.prove(request).await).code;
    assert_eq!(code(of(&[])).await, "proof.no-members");
    let [evidence, reasoning, vex] = world.evidence().await;
    let elsewhere = world.attest("pkg:npm/other@1.0.0", "b", KINDS[0]).await;
    assert_eq!(
        code(of(&[&evidence, &elsewhere])).await,
        "proof.member-does-not-pass"
    );
    assert_eq!(code(of(&[&evidence, &evidence])).await, "proof.member-twice");
    let nothing = CreateProof {
        subject: None,
        ..of(&[])
    };
    assert_eq!(code(nothing).await, "proof.which");
    let proof = world.prove(of(&[&evidence, &reasoning])).await.expect("made");
    let spine = proof.spine.attestations[0].clone();
    assert_eq!(code(of(&[&evidence, &spine])).await, "proof.member-is-spine");

    // Signed by a key that the anchor does not hold: named it is refused, with
    // the whole trace, and found it stands in the way, being our own.
    let foreign = CreateAttestation {
        profiles: vec!["pqc".to_owned()],
        ..about(PAD, "a", "openvex")
    };
    let foreign = world.create(foreign).await.expect("created").id;
    let error = refused(world.prove(of(&[&evidence, &foreign])).await);
    assert_eq!(error.code, "proof.member-does-not-pass");
    assert!(error.message.contains("key.not-allowed") && error.trace.is_some());
    assert!(error.next.expect("a command").contains(&foreign));
    assert_eq!(code(of(&[])).await, "proof.member-does-not-pass");
    world.withdraw(&foreign).await;

    // What somebody imports does not stand in the way, and is told.
    let junk = world.sign_outside("p1", &payload(PAD, "a", "vuln")).await;
    let junk = ImportAttestation { document: junk };
    let junk = world
        .app
        .import_attestation(&world.owner, junk)
        .await
        .expect("imported")
        .id;
    let proof = world.prove(of(&[])).await.expect("made");
    assert_eq!(attestations(&proof), [&evidence, &reasoning, &vex]);
    let over: Vec<_> = proof
        .passed_over
        .iter()
        .map(|p| (p.attestation_id.as_str(), p.code.as_str()))
        .collect();
    assert_eq!(over, [(junk.as_str(), "key.not-allowed")]);

    // Of two good ones the newer; of a withdrawn one the one before it.
    world.pass(1);
    let newer = CreateAttestation {
        predicate: Some("{\"newer\": true}".to_owned()),
        ..about(PAD, "a", KINDS[0])
    };
    let newer = world.create(newer).await.expect("created").id;
    let proof = world.prove(of(&[])).await.expect("made");
    assert_eq!(attestations(&proof)[0], newer);
    world.withdraw(&newer).await;
    assert_eq!(
        told(&world.judge(asked(&proof)).await),
        ("FAIL", "proof.member-withdrawn")
    );
    let proof = world.prove(of(&[])).await.expect("made");
    assert_eq!(attestations(&proof)[0], evidence);

    // A proof that was itself withdrawn is not made again of the same parts.
    world.withdraw(&proof.spine.attestations[0]).await;
    let verdict = world.judge(asked(&proof)).await;
    assert_eq!(told(&verdict), ("FAIL", "attestation.withdrawn"));
    let next = verdict.report.next.as_deref().expect("a command");
    assert!(next.contains(&proof.spine.attestations[0]), "{next}");
    assert_eq!(code(of(&[])).await, "proof.withdrawn");
}

#[tokio::test]
async fn a_signer_has_only_proofs_signed_that_lie_within_its_scope() {
    let world = World::ready().await;
    world.evidence().await;
    let may = |purl: &str, kind: &str| {
        let caller = scoped(purl, kind);
        let app = Arc::clone(&world.app);
        async move { app.create_proof(&caller, of(&[])).await }
    };
    for (purl, kind) in [
        ("pkg:npm/*", "evidence.stella/v1"),
        ("pkg:maven/*", "proofspine.stella/v1"),
    ] {
        assert_eq!(refused(may(purl, kind).await).code, "signer.not-allowed");
    }
    assert_eq!(world.ledger_entries().await, 3, "nothing was signed for it");
    may("pkg:npm/*", "proofspine.stella/v1").await.expect("made");
}

#[tokio::test]
async fn a_proof_outlives_rotation_and_says_what_it_was_worth_then() {
    let world = World::empty().await;
    world.generate("k1", "default").await;
    let anchor = world.anchor("pkg:npm/*", &["k1"], AnchorPolicy::default()).await;
    world.pass(3600);
    let [evidence, ..] = world.evidence().await;
    let before = world.now();
    world.pass(3600);
    let proof = world.prove(of(&[])).await.expect("made");
    let made = world.now();
    world.pass(86_400);
    let rotation = "annual-rotation".parse().expect("a reason");
    world.revoke(anchor, "k1", rotation, None).await;
    world.pass(86_400);
    let at = |t: &str| Times {
        at_time: Some(t.to_owned()),
        ..times()
    };
    // Signed and recorded before the end: nothing is broken.
    assert_eq!(told(&world.judge(asked(&proof)).await), ("PASS", "ok"));
    assert_eq!(told(&world.judge_at(&proof, at(&made)).await), ("PASS", "ok"));
    // The spine did not exist by then, nor was the proof known then.
    assert_eq!(
        told(&world.judge_at(&proof, at(&before)).await),
        ("INDETERMINATE", "time.not-proven-by")
    );
    let then = VerifyProof {
        times: as_of(&before),
        ..asked(&proof)
    };
    let unknown = refused(world.app.verify_proof(&world.owner, then).await);
    assert_eq!(unknown.code, "proof.unknown");
    assert_eq!(told(&world.judge_at(&proof, as_of(&made)).await), ("PASS", "ok"));

    // Now the key turns out to be stolen since before all of it.
    let theft = EventBody::KeyRevoked {
        anchor_id: Some(anchor),
        key_id: "k1".parse().expect("a key id"),
        reason: "compromise".parse().expect("a reason"),
        effective_at: made.parse().expect("a time"),
        compromised_since: Some(before.parse().expect("a time")),
        note: None,
    };
    world.append(vec![theft]).await;
    let verdict = world.judge(asked(&proof)).await;
    assert_ne!(verdict.report.verdict, "PASS");
    // What it was worth in the eyes of that day stays answerable.
    assert_eq!(told(&world.judge_at(&proof, as_of(&made)).await), ("PASS", "ok"));
    let error = refused(world.prove(of(&[&evidence])).await);
    assert_eq!(error.code, "proof.member-does-not-pass");
}

#[tokio::test]
async fn a_member_that_was_signed_again_is_remarked() {
    let world = World::empty().await;
    world.generate("k1", "default").await;
    let anchor = world.anchor("pkg:npm/*", &["k1"], AnchorPolicy::default()).await;
    world.pass(3600);
    let [evidence, reasoning, vex] = world.evidence().await;
    let proof = world.prove(of(&[])).await.expect("made");
    world.generate("k2", "default").await;
    world.activate("k2").await;
    world.pass(60);
    let mut newer = Vec::new();
    for old in [&evidence, &reasoning, &vex] {
        newer.push(world.resign(old).await);
    }
    // What was superseded does not step in for a successor that does not pass.
    let error = refused(world.prove(of(&[])).await);
    assert!(error.message.contains("key.not-allowed"), "{error:?}");
    let added = EventBody::KeyAdded {
        anchor_id: anchor,
        key_id: "k2".parse().expect("a key id"),
        added_at: world.now().parse().expect("a time"),
        expires_at: None,
    };
    world.append(vec![added]).await;
    let verdict = world.judge(asked(&proof)).await;
    assert_eq!(told(&verdict), ("PASS", "ok"));
    let remarks: Vec<_> = verdict
        .report
        .trace
        .iter()
        .filter_map(|c| c.code.as_deref())
        .collect();
    assert_eq!(remarks, ["proof.member-superseded"; 3]);
    // A new one carries the newer signatures, and has nothing to remark.
    let next = world.prove(of(&[])).await.expect("made");
    assert_eq!(attestations(&next), newer);
    assert_eq!(next.merkle_root, proof.merkle_root, "the same statements");
    assert_ne!(next.id, proof.id);
    let verdict = world.judge(asked(&next)).await;
    assert!(
        verdict.report.trace.iter().all(|c| c.code.is_none()),
        "{verdict:?}"
    );
}

/// The runbook's "re-sign critical proofs with new key if needed".
#[tokio::test]
async fn after_a_theft_the_members_are_signed_again_and_a_new_proof_carries_that() {
    let world = World::empty().await;
    world.generate("k1", "default").await;
    let anchor = world.anchor("pkg:npm/*", &["k1"], AnchorPolicy::default()).await;
    world.pass(3600);
    let members = world.evidence().await;
    world.pass(60);
    let theft = world.now();
    world.generate("k2", "default").await;
    world.activate("k2").await;
    let added = EventBody::KeyAdded {
        anchor_id: anchor,
        key_id: "k2".parse().expect("a key id"),
        added_at: world.now().parse().expect("a time"),
        expires_at: None,
    };
    world.append(vec![added]).await;
    let old = world.prove(of(&[])).await.expect("made");
    assert_eq!(told(&world.judge(asked(&old)).await), ("PASS", "ok"));
    world.pass(60);
    let compromise = "compromise".parse().expect("a reason");
    world.revoke(anchor, "k1", compromise, Some(&theft)).await;
    assert_eq!(
        told(&world.judge(asked(&old)).await),
        ("INDETERMINATE", "time.not-proven"),
        "our own record does not count for a stolen key"
    );
    for member in &members {
        world.resign(member).await;
    }
    let verdict = world.judge(asked(&old)).await;
    assert_eq!(told(&verdict), ("INDETERMINATE", "proof.member-superseded"));
    let next = verdict.report.next.as_deref().expect("a command");
    assert!(next.contains("proof create"), "{next}");
    let new = world.prove(of(&[])).await.expect("made");
    assert_eq!(new.merkle_root, old.merkle_root, "the same statements");
    assert_eq!(told(&world.judge(asked(&new)).await), ("PASS", "ok"));
}

/// Two anchors of one pattern: neither trusts all of it.
#[tokio::test]
async fn anchors_of_one_pattern_do_not_share_a_proof_between_them() {
    let world = World::ready().await;
    world.evidence().await;
    world.generate("p1", "pqc").await;
    let other = world.anchor("pkg:npm/*", &["p1"], AnchorPolicy::default()).await;
    let request = CreateProof {
        profiles: vec!["pqc".to_owned()],
        ..of(&[])
    };
    let proof = world.prove(request).await.expect("made");
    assert!(!proof.warnings.is_empty(), "told when it is made: {proof:?}");
    assert_eq!(
        told(&world.judge(asked(&proof)).await),
        ("FAIL", "key.not-allowed")
    );
    let added = EventBody::KeyAdded {
        anchor_id: other,
        key_id: "k1".parse().expect("a key id"),
        added_at: world.now().parse().expect("a time"),
        expires_at: None,
    };
    world.append(vec![added]).await;
    assert_eq!(told(&world.judge(asked(&proof)).await), ("PASS", "ok"));
}

#[tokio::test]
async fn while_the_signer_is_down_the_spine_waits_and_the_proof_comes_with_it() {
    let world = World::ready().await;
    world.evidence().await;
    let inner = world.break_key("k1", Fault::Down).await;
    let waiting = world.prove(of(&[])).await.expect("recorded");
    assert_eq!((waiting.id.as_ref(), waiting.state.as_str()), (None, "recorded"));
    assert!(
        waiting
            .next
            .as_deref()
            .is_some_and(|n| n.contains("attest retry"))
    );
    let again = world.prove(of(&[])).await.expect("still recorded");
    assert_eq!(
        again.spine.attestations, waiting.spine.attestations,
        "not recorded a second time"
    );
    assert!(
        world
            .app
            .list_proofs(ProofQuery::default())
            .await
            .expect("listed")
            .proofs
            .is_empty()
    );
    world
        .app
        .signers
        .keep(&"k1".parse().expect("a key id"), "software://", &inner)
        .await;
    let retry = Retry { last_seconds: None };
    world.app.retry_attestations(retry).await.expect("tried");
    let proof = world.prove(of(&[])).await.expect("made");
    assert_eq!(proof.spine.attestations, waiting.spine.attestations);
    assert_eq!(told(&world.judge(asked(&proof)).await), ("PASS", "ok"));
}

#[tokio::test]
async fn a_spine_is_no_evidence_of_its_own() {
    let world = World::ready().await;
    let evidence = world.attest(PAD, "a", KINDS[0]).await;
    world.prove(of(&[])).await.expect("made");
    let gate = async |types: &[&str]| world.gate("a", Some(PAD), types).await.verdict;
    assert_eq!(gate(&[]).await, "PASS");
    world.withdraw(&evidence).await;
    assert_eq!(gate(&[]).await, "FAIL", "what it lists was taken back");
    assert_eq!(
        gate(&["proofspine.stella/v1"]).await,
        "PASS",
        "whoever asks for one gets it"
    );
}

#[tokio::test]
async fn where_two_keys_must_sign_the_bundle_carries_both() {
    let world = World::ready().await;
    world.generate("p1", "pqc").await;
    let policy = AnchorPolicy {
        threshold: 2,
        ..AnchorPolicy::default()
    };
    let name = "pkg:npm/@acme/app@1.0.0";
    world.anchor("pkg:npm/%40acme/*", &["k1", "p1"], policy).await;
    let both = vec!["default".to_owned(), "pqc".to_owned()];
    for kind in KINDS {
        let request = CreateAttestation {
            profiles: both.clone(),
            ..about(name, "a", kind)
        };
        world.create(request).await.expect("created");
    }
    let half = world.prove(of(&[])).await.expect("made");
    assert_eq!(
        half.would_verify.as_ref().map(|w| w.code.as_str()),
        Some("threshold.not-met"),
        "the spine has one signature"
    );
    assert!(!half.warnings.is_empty() && half.next.is_some());
    let request = CreateProof {
        profiles: both,
        ..of(&[])
    };
    let proof = world.prove(request.clone()).await.expect("made");
    assert!(
        proof
            .members
            .iter()
            .all(|m| m.key_ids.len() == 2 && m.attestations.len() == 2)
    );
    assert_eq!(told(&world.judge(asked(&proof)).await), ("PASS", "ok"));
    assert_eq!(world.prove(request).await.expect("again").id, proof.id);
}

#[tokio::test]
async fn an_anchor_must_allow_spines_too() {
    let world = World::empty().await;
    world.generate("k1", "default").await;
    let types = |names: &[&str]| AnchorPolicy {
        allowed_predicate_types: Some(
            names
                .iter()
                .map(|n| PredicateType::from_name(n).expect("a type"))
                .collect(),
        ),
        ..AnchorPolicy::default()
    };
    let anchor: AnchorId = world.anchor("pkg:npm/*", &["k1"], types(&KINDS)).await;
    world.evidence().await;
    let proof = world.prove(of(&[])).await.expect("made");
    assert_eq!(
        told(&world.judge(asked(&proof)).await),
        ("FAIL", "predicate.not-allowed")
    );
    let mut all = KINDS.to_vec();
    all.push("proofspine.stella/v1");
    let update = EventBody::AnchorUpdated {
        anchor_id: anchor,
        policy: types(&all),
        note: None,
    };
    world.append(vec![update]).await;
    assert_eq!(told(&world.judge(asked(&proof)).await), ("PASS", "ok"));
}

#[tokio::test]
async fn over_the_network_a_proof_of_an_artifact_needs_its_name() {
    let world = World::ready().await;
    world.evidence().await;
    let proof = world.prove(of(&[])).await.expect("made");
    let remote = Caller {
        remote: true,
        ..world.owner.clone()
    };
    let judge = async |digests, purl: Option<&str>| {
        let request = VerifyProof {
            digests,
            purl: purl.map(str::to_owned),
            ..asked(&proof)
        };
        let verdict = world.app.verify_proof(&remote, request).await;
        verdict.expect("a verdict").report.code
    };
    assert_eq!(judge(Default::default(), None).await, "ok");
    assert_eq!(judge(sha256("a"), None).await, "subject.unbound");
    assert_eq!(judge(sha256("a"), Some(PAD)).await, "ok");
}

#[tokio::test]
async fn bounds_are_told_before_anything_is_signed() {
    let mut settings = Settings::default();
    settings.limits.max_proof_members = 2;
    settings.limits.max_body_bytes = 3_000;
    let world = World::with(settings).await.with_key().await;
    let [evidence, reasoning, vex] = world.evidence().await;
    let error = refused(world.prove(of(&[&evidence, &reasoning, &vex])).await);
    assert_eq!(
        (error.kind, error.code.as_str()),
        (ErrorKind::Invalid, "proof.too-many-members")
    );
    let error = refused(world.prove(of(&[])).await);
    assert!(error.message.contains("limits.maxProofMembers"), "{error:?}");
    let error = refused(world.prove(of(&[&evidence, &vex])).await);
    assert_eq!(
        (error.kind, error.code.as_str()),
        (ErrorKind::TooLarge, "json.too-large")
    );
    assert!(error.message.contains("limits.maxBodyBytes"), "{error:?}");
    assert_eq!(world.ledger_entries().await, 3);
}

#[tokio::test]
async fn the_same_over_http() {
    let world = World::ready().await;
    world.evidence().await;
    let body = json!({ "subject": { "name": PAD, "digest": sha256("a") } }).to_string();
    let (status, made) = world.post("/v1/proofs", body.clone(), None).await;
    assert_eq!(status, 201, "{made}");
    let (status, again) = world.post("/v1/proofs", body, None).await;
    assert_eq!((status, &again["id"]), (200, &made["id"]));
    let question = json!({ "proof": made["id"], "atTime": world.now() }).to_string();
    let (status, verdict) = world.post("/v1/verify/proof", question, None).await;
    assert_eq!((status, &verdict["verdict"]), (200, &json!("PASS")), "{verdict}");
    assert_eq!(verdict["id"], made["id"]);
    let (status, problem) = world
        .post("/v1/verify/proof", r#"{"proof":"sha256:abc123..."}"#, None)
        .await;
    assert_eq!((status, &problem["code"]), (404, &json!("proof.unknown")));
}
