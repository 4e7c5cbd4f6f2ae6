//! What a promotion gate lets through, and what it does not.

use stella_core::api::attestations::{CreateAttestation, ImportAttestation};
use stella_core::api::verify::{VerdictReport, VerifyArtifact, VerifyAttestation};
use stella_core::trust::anchor::AnchorPolicy;
use stella_server::app::Caller;
use stella_server::config::Settings;

use crate::PAD;
use crate::support::{World, about, base64, payload, sha256, times};

#[tokio::test]
async fn the_gate_holds() {
    let world = World::ready().await;
    world.generate("p1", "pqc").await;
    world
        .anchor("pkg:npm/evil", &["p1"], AnchorPolicy::default())
        .await;
    assert_eq!(world.gate("a", Some(PAD), &[]).await.code, "attestation.none");

    // Another package's key speaks about our digest, under its own name.
    let evil = CreateAttestation {
        profiles: vec!["pqc".to_owned()],
        ..about("pkg:npm/evil@6.6.6", "a", "evidence.stella/v1")
    };
    world.create(evil).await.expect("created");
    let report = world.gate("a", Some(PAD), &[]).await;
    assert_eq!(report.code, "subject.other-name");
    assert_ne!(report.verdict, "PASS");
    assert!(report.artifact_bound);

    let id = world
        .create(about(PAD, "a", "evidence.stella/v1"))
        .await
        .expect("created")
        .id;
    let report = world.gate("a", Some(PAD), &[]).await;
    assert_eq!((report.verdict.as_str(), report.parts.len()), ("PASS", 2));
    // Each under the name it claims, which over the network is not good enough.
    assert_eq!(world.gate("a", None, &[]).await.verdict, "PASS");
    let remote = Caller {
        remote: true,
        ..world.owner.clone()
    };
    assert_eq!(
        world.gate_as(&remote, "a", None, &[]).await.code,
        "subject.unbound"
    );

    // One of the required types is missing; then it is there, unsigned; then signed.
    let both = ["evidence.stella/v1", "cyclonedx"];
    let missing = world.gate("a", Some(PAD), &both).await;
    assert_eq!(
        (missing.verdict.as_str(), missing.code.as_str()),
        ("INDETERMINATE", "attestation.missing")
    );
    let sbom = CreateAttestation {
        profiles: vec!["fips".to_owned()],
        ..about(PAD, "a", "cyclonedx")
    };
    let made = world.create(sbom).await.expect("recorded");
    assert_eq!(made.attestations[0].state, "recorded");
    assert_eq!(
        world.gate("a", Some(PAD), &both).await.code,
        "attestation.unsigned"
    );
    world.create(about(PAD, "a", "cyclonedx")).await.expect("signed");
    let report = world.gate("a", Some(PAD), &both).await;
    assert_eq!(report.verdict, "PASS", "{report:?}");
    assert_eq!(report.parts.iter().filter(|p| p.verdict == "PASS").count(), 2);

    // The wanted requester is another one.
    let wanted = |pattern: &str| VerifyAttestation {
        attestation: Some(id.clone()),
        last: false,
        signer: Some(pattern.to_owned()),
        times: times(),
    };
    let theirs = world
        .app
        .verify_attestation(&world.owner, wanted("token:ci-*"))
        .await
        .expect("a verdict");
    assert_eq!(theirs.code, "signer.not-wanted");
    let ours = world
        .app
        .verify_attestation(&world.owner, wanted("local:*"))
        .await
        .expect("a verdict");
    assert_eq!(ours.verdict, "PASS");
}

async fn gate_for(world: &World, digit: &str, signer: &str) -> VerdictReport {
    let request = VerifyArtifact {
        digests: sha256(digit),
        purl: Some(PAD.to_owned()),
        require_types: Vec::new(),
        signer: Some(signer.to_owned()),
        times: times(),
    };
    let report = world.app.verify_artifact(&world.owner, request).await;
    report.expect("a verdict")
}

async fn attested_for(world: &World, id: &str, signer: &str) -> VerdictReport {
    let request = VerifyAttestation {
        attestation: Some(id.to_owned()),
        last: false,
        signer: Some(signer.to_owned()),
        times: times(),
    };
    let report = world.app.verify_attestation(&world.owner, request).await;
    report.expect("a verdict")
}

/// Who brings a signature here is not who had it made.
#[tokio::test]
async fn an_import_makes_nobody_the_one_who_asked_for_the_signature() {
    let world = World::ready().await;
    let made = world.create(about(PAD, "a", "openvex")).await.expect("created");
    let envelope = world.app.attestation_envelope(&made.id).await.expect("signed");
    let thief = Caller {
        identity: "token:ci-pay".to_owned(),
        ..world.owner.clone()
    };
    // A key id is not signed: whoever copies an envelope may change it.
    let text = String::from_utf8(envelope).expect("text");
    for document in [text.clone(), text.replace("\"k1\"", "\"k1-copy\"")] {
        let imported = world
            .app
            .import_attestation(&thief, ImportAttestation { document })
            .await
            .expect("imported");
        let report = attested_for(&world, &imported.id, "token:ci-pay").await;
        assert_eq!(report.code, "signer.not-wanted", "{report:?}");
        assert_eq!(world.verify(&imported.id).await.verdict, "PASS");
    }
    assert_ne!(gate_for(&world, "a", "token:ci-pay").await.verdict, "PASS");
    assert_eq!(gate_for(&world, "a", "local:*").await.verdict, "PASS");
}

/// A deterministic algorithm makes one signature for both.
#[tokio::test]
async fn each_of_two_who_asked_for_the_same_statement_is_its_signer() {
    let world = World::ready().await;
    let first = world.create(about(PAD, "a", "openvex")).await.expect("created");
    let ci = Caller {
        identity: "token:ci".to_owned(),
        ..world.owner.clone()
    };
    let second = world
        .app
        .create_attestation(&ci, about(PAD, "a", "openvex"), Default::default())
        .await
        .expect("created");
    assert_ne!(first.id, second.id);
    for signer in ["local:root", "token:ci", "*"] {
        let report = gate_for(&world, "a", signer).await;
        assert_eq!(report.verdict, "PASS", "{signer}: {report:?}");
    }
    assert_eq!(attested_for(&world, &second.id, "token:ci").await.verdict, "PASS");
    assert_ne!(gate_for(&world, "a", "token:cd").await.verdict, "PASS");
}

#[tokio::test]
async fn a_bundle_is_judged_by_the_artifact_it_is_presented_for() {
    let world = World::ready().await;
    let id = world
        .create(about(PAD, "a", "evidence.stella/v1"))
        .await
        .expect("created")
        .id;
    let bundle = world.app.attestation_bundle(&id).await.expect("a bundle");
    let bundle = String::from_utf8(bundle).expect("text");
    let bound = world.verify_bundle(bundle.clone(), Some("a"), Some(PAD)).await;
    assert_eq!((bound.verdict.as_str(), bound.artifact_bound), ("PASS", true));
    let time = bound.parts[0]
        .trace
        .iter()
        .find(|c| c.name == "time")
        .expect("judged");
    assert!(
        time.detail.contains("recorded") && time.detail.contains("ledger"),
        "{}",
        time.detail
    );
    let other = world.verify_bundle(bundle.clone(), Some("b"), Some(PAD)).await;
    assert_eq!(
        (other.verdict.as_str(), other.code.as_str()),
        ("FAIL", "subject.mismatch")
    );
    let named = world
        .verify_bundle(bundle.clone(), None, Some("pkg:npm/right-pad@1.0.0"))
        .await;
    assert_eq!(
        (named.verdict.as_str(), named.code.as_str()),
        ("FAIL", "subject.other-name")
    );
    let free = world.verify_bundle(bundle.clone(), None, None).await;
    assert_eq!((free.verdict.as_str(), free.artifact_bound), ("PASS", false));

    let mut altered: serde_json::Value = serde_json::from_str(&bundle).expect("JSON");
    altered["dsseEnvelope"]["payload"] = base64(&payload(PAD, "b", "evidence.stella/v1")).into();
    let altered = world
        .verify_bundle(altered.to_string(), Some("b"), Some(PAD))
        .await;
    assert_eq!(
        (altered.verdict.as_str(), altered.code.as_str()),
        ("FAIL", "signature.invalid")
    );
    let garbage = world
        .verify_bundle("{\"a\":1,\"a\":2}".to_owned(), None, None)
        .await;
    assert_eq!(
        (garbage.verdict.as_str(), garbage.code.as_str()),
        ("FAIL", "envelope.invalid")
    );
    assert!(garbage.trace[0].detail.contains("json.duplicate-key"));
}

#[tokio::test]
async fn nobody_crowds_a_good_signature_out() {
    let world = World::ready().await;
    let whole = payload(PAD, "a", "evidence.stella/v1");
    for n in 0..20_u8 {
        let envelope = stella_core::dsse::Envelope {
            payload_type: stella_core::dsse::IN_TOTO_PAYLOAD_TYPE.to_owned(),
            payload: whole.clone(),
            signatures: vec![stella_core::dsse::EnvelopeSignature {
                keyid: Some(format!("junk-{n}")),
                sig: vec![n; 64],
            }],
        };
        let document = String::from_utf8(envelope.to_json()).expect("text");
        world
            .app
            .import_attestation(&world.owner, ImportAttestation { document })
            .await
            .expect("imported");
    }
    let request = CreateAttestation {
        statement: Some(base64(&whole)),
        predicate_type: None,
        subjects: Vec::new(),
        predicate: None,
        profiles: Vec::new(),
        force: None,
    };
    let id = world.create(request).await.expect("created").id;
    let report = world.verify(&id).await;
    assert_eq!(report.verdict, "PASS", "{report:?}");
    assert_eq!(world.gate("a", Some(PAD), &[]).await.verdict, "PASS");
}

/// Whoever may import may be quick, and knows the digest.
#[tokio::test]
async fn imports_use_up_no_room_before_our_own() {
    let mut settings = Settings::default();
    settings.limits.max_attestations_per_artifact = 3;
    let world = World::with(settings).await.with_key().await;
    for n in 0..4_u8 {
        let envelope = stella_core::dsse::Envelope {
            payload_type: stella_core::dsse::IN_TOTO_PAYLOAD_TYPE.to_owned(),
            payload: payload(&format!("pkg:npm/junk@{n}.0.0"), "a", "openvex"),
            signatures: vec![stella_core::dsse::EnvelopeSignature {
                keyid: None,
                sig: vec![n; 64],
            }],
        };
        let document = String::from_utf8(envelope.to_json()).expect("text");
        world
            .app
            .import_attestation(&world.owner, ImportAttestation { document })
            .await
            .expect("imported");
    }
    world.pass(1);
    world.create(about(PAD, "a", "openvex")).await.expect("created");
    let report = world.gate("a", Some(PAD), &[]).await;
    assert_eq!(report.verdict, "PASS", "{report:?}");
    assert_eq!(report.parts.len(), 3);
    assert!(
        report
            .trace
            .iter()
            .any(|c| c.detail.contains("limits.maxAttestationsPerArtifact")),
        "what was left out is told: {report:?}"
    );
}
