//! Documents that somebody shows: what is asked about each, and about all of
//! them together.

use std::collections::BTreeMap;

use stella_core::api::verify::VerdictReport;
use stella_core::bundle;
use stella_core::digest::Sha256;
use stella_core::dsse::{Envelope, EnvelopeLimits, EnvelopeSignature, IN_TOTO_PAYLOAD_TYPE};
use stella_core::statement::{Statement, StatementLimits, Subject};
use stella_core::trust::anchor::AnchorPolicy;
use stella_core::verify::Budget;
use stella_core::verify::ask::Wanted;
use stella_core::verify::document::{self, DocumentLimits};

use crate::support::{Bench, HEX, PURL, at, digest, payload, sign};
use crate::{NOW, SBOM, SLSA, bench};

fn envelope(payload: &[u8], makers: &[usize]) -> Vec<u8> {
    let signatures = makers.iter().map(|n| EnvelopeSignature {
        keyid: None,
        sig: sign(*n, payload),
    });
    let envelope = Envelope {
        payload_type: IN_TOTO_PAYLOAD_TYPE.to_owned(),
        payload: payload.to_vec(),
        signatures: signatures.collect(),
    };
    envelope.to_json()
}

fn about(names: &[&str]) -> Vec<u8> {
    let subject = |name: &&str| Subject {
        name: Some((*name).to_owned()),
        digest: digest(),
    };
    let subjects: Vec<Subject> = names.iter().map(subject).collect();
    Statement::build(&subjects, SLSA, "{}", &StatementLimits::default()).expect("a statement")
}

fn wanted(digest: Option<&str>, purl: Option<&str>, types: &[&str]) -> Wanted {
    let digests: BTreeMap<_, _> = digest
        .map(|hex| ("sha256".to_owned(), hex.to_owned()))
        .into_iter()
        .collect();
    let types: Vec<String> = types.iter().map(|t| (*t).to_owned()).collect();
    Wanted::parse(digests, purl, &types).expect("a question")
}

fn asked(bench: &Bench, wanted: &Wanted, shown: &[u8]) -> VerdictReport {
    let opened = document::open(shown, &DocumentLimits::default());
    document::judge(bench.at(at(NOW)), wanted, opened, &mut Budget::new(100))
}

fn all_of(bench: &Bench, wanted: &Wanted, shown: &[(&str, Vec<u8>)]) -> VerdictReport {
    let artifact = wanted.artifact.as_ref().expect("an artifact");
    let opened = shown
        .iter()
        .map(|(name, bytes)| {
            let opened = document::open(bytes, &DocumentLimits::default());
            ((*name).to_owned(), opened)
        })
        .collect();
    document::judge_artifact(bench.at(at(NOW)), artifact, opened, &mut Budget::new(100))
}

/// The short codes of the checks, and what they say.
fn told(report: &VerdictReport) -> Vec<(&str, &str)> {
    let checks = report.trace.iter();
    checks.map(|c| (c.name.as_str(), c.detail.as_str())).collect()
}

#[test]
fn of_several_subjects_the_gravest_speaks_for_the_document() {
    let bench = bench(AnchorPolicy::default());
    let pypi = "pkg:pypi/left-pad@1.3.0";
    for names in [[PURL, pypi], [pypi, PURL]] {
        let report = asked(&bench, &Wanted::default(), &envelope(&about(&names), &[0]));
        assert_eq!(
            (report.verdict.as_str(), report.code.as_str()),
            ("FAIL", "key.not-allowed")
        );
        assert_eq!(report.subject, pypi);
        assert_eq!(report.predicate_type.as_deref(), Some("slsaprovenance1"));
        assert_eq!(told(&report)[0].0, "envelope");
        let parts: Vec<_> = report
            .parts
            .iter()
            .map(|p| (p.subject.as_str(), p.code.as_str()))
            .collect();
        let expected = names.map(|n| (n, if n == pypi { "key.not-allowed" } else { "ok" }));
        assert_eq!(parts, expected, "as they stand in the statement");
        assert!(report.next.is_some(), "what to do about it");
    }
    let good = asked(&bench, &Wanted::default(), &envelope(&about(&[PURL]), &[0]));
    assert_eq!((good.code.as_str(), good.next), ("ok", None));
}

#[test]
fn among_very_many_the_answer_is_the_same_and_a_pass_is_told_briefly() {
    let two = AnchorPolicy {
        threshold: 2,
        ..AnchorPolicy::default()
    };
    let mut seen = BTreeMap::new();
    for policy in [AnchorPolicy::default(), two] {
        let bench = bench(policy);
        for names in [&[PURL][..], &[PURL, "pkg:pypi/a@1"], &[PURL, "pkg:", "b"], &["b"]] {
            for makers in [&[0][..], &[2], &[3], &[5, 1], &[0, 2]] {
                let shown = envelope(&about(names), makers);
                for (checks, types) in (0..8).flat_map(|n| [(n, &[][..]), (n, &["cyclonedx"][..])]) {
                    let question = wanted(None, None, types);
                    let opened = || document::open(&shown, &DocumentLimits::default());
                    let v = bench.at(at(NOW));
                    let whole = document::judge(v, &question, opened(), &mut Budget::new(checks));
                    let brief = document::judge_briefly(v, &question, opened(), &mut Budget::new(checks));
                    *seen.entry(whole.code.clone()).or_insert(0) += 1;
                    let expected = match whole.code.as_str() {
                        "ok" => VerdictReport {
                            trace: Vec::new(),
                            parts: Vec::new(),
                            ..whole
                        },
                        // It would have passed, and is told as far as that.
                        "attestation.missing" => VerdictReport {
                            trace: brief.trace.clone(),
                            parts: Vec::new(),
                            ..whole
                        },
                        _ => whole,
                    };
                    assert_eq!(brief, expected, "{names:?} {makers:?} {checks}");
                }
            }
        }
    }
    for code in ["ok", "attestation.missing", "key.not-allowed", "budget.exhausted"] {
        assert!(seen.contains_key(code), "{seen:?}");
    }
}

#[test]
fn a_bundle_and_its_envelope_are_answered_alike() {
    let bench = bench(AnchorPolicy::default());
    for maker in [0, 3] {
        let envelope = envelope(&about(&[PURL]), &[maker]);
        let bundle = bundle::build(&envelope, &EnvelopeLimits::default()).expect("a bundle");
        let question = wanted(Some(HEX), Some(PURL), &[]);
        assert_eq!(
            asked(&bench, &question, &envelope),
            asked(&bench, &question, &bundle)
        );
    }
    let nothing = asked(&bench, &wanted(None, Some(PURL), &[]), b"{}");
    assert_eq!(
        (
            nothing.verdict.as_str(),
            nothing.code.as_str(),
            nothing.subject.as_str()
        ),
        ("FAIL", "envelope.invalid", PURL)
    );
    assert_eq!(nothing.predicate_type, None, "nobody knows it");
}

#[test]
fn a_document_of_another_type_is_not_the_one_that_was_required() {
    let bench = bench(AnchorPolicy::default());
    let shown = envelope(&payload(Some(PURL), SLSA), &[0]);
    for digest in [None, Some(HEX)] {
        let right = asked(&bench, &wanted(digest, Some(PURL), &["slsaprovenance1"]), &shown);
        assert_eq!(right.code, "ok");
        let other = asked(&bench, &wanted(digest, Some(PURL), &["cyclonedx"]), &shown);
        assert_eq!(
            (other.verdict.as_str(), other.code.as_str()),
            ("INDETERMINATE", "attestation.missing")
        );
        assert!(other.next.is_some());
        let both = asked(
            &bench,
            &wanted(digest, Some(PURL), &["cyclonedx", "slsaprovenance1"]),
            &shown,
        );
        assert_eq!(both.code, "attestation.missing");
    }
    let other = asked(&bench, &wanted(None, Some(PURL), &["cyclonedx"]), &shown);
    assert_eq!(
        told(&other).last(),
        Some(&("type", "cyclonedx: not in this document"))
    );

    // What fails anyway says why it does.
    let forged = envelope(&payload(Some(PURL), SLSA), &[4]);
    let report = asked(&bench, &wanted(None, Some(PURL), &["cyclonedx"]), &forged);
    assert_eq!(report.code, "key.not-allowed");
    assert!(told(&report).iter().all(|(name, _)| *name != "type"));
}

#[test]
fn under_a_name_that_it_does_not_bear_a_document_says_nothing() {
    let bench = bench(AnchorPolicy::default());
    let own = wanted(None, Some(PURL), &[]);
    for (names, code) in [
        (vec![PURL], "ok"),
        (vec!["pkg:npm/other@1", PURL], "ok"),
        (vec!["left-pad.tgz"], "ok"),
        (vec!["pkg:npm/other@1"], "subject.other-name"),
        (vec!["pkg:npm/left-pad@1.3.1"], "subject.other-name"),
    ] {
        let report = asked(&bench, &own, &envelope(&about(&names), &[0]));
        assert_eq!(
            (report.code.as_str(), report.subject.as_str()),
            (code, PURL),
            "{names:?}"
        );
        assert_eq!(report.predicate_type.as_deref(), Some("slsaprovenance1"));
    }
}

#[test]
fn signatures_in_two_documents_over_one_statement_count_together() {
    let bench = bench(AnchorPolicy {
        threshold: 2,
        ..AnchorPolicy::default()
    });
    let statement = payload(Some(PURL), SLSA);
    let question = wanted(Some(HEX), Some(PURL), &[]);
    let (one, two) = (envelope(&statement, &[0]), envelope(&statement, &[1]));
    assert_eq!(asked(&bench, &question, &one).code, "threshold.not-met");
    let report = all_of(&bench, &question, &[("one.json", one.clone()), ("two.json", two)]);
    assert_eq!(report.code, "ok");
    assert!(report.artifact_bound);
    assert_eq!(report.parts.len(), 1);
    assert_eq!(report.parts[0].trace[0].detail, "one.json, two.json");

    // A copy adds nothing, and not to the signatures that may be looked at.
    let copies: Vec<_> = (0..20).map(|_| ("copy.json", one.clone())).collect();
    assert_eq!(all_of(&bench, &question, &copies).code, "threshold.not-met");

    // Another statement lends its signature to nobody.
    let other = envelope(&payload(Some(PURL), SBOM), &[1]);
    let report = all_of(&bench, &question, &[("one.json", one), ("other.json", other)]);
    assert_eq!(report.code, "threshold.not-met");
    let of: Vec<_> = report.parts.iter().map(|p| p.trace[0].detail.as_str()).collect();
    assert_eq!(of, ["one.json", "other.json"]);
}

#[test]
fn what_cannot_be_read_is_told_and_takes_nothing_from_the_others() {
    let bench = bench(AnchorPolicy::default());
    let question = wanted(Some(HEX), Some(PURL), &[]);
    let good = envelope(&payload(Some(PURL), SLSA), &[0]);
    let report = all_of(
        &bench,
        &question,
        &[("bad.json", b"{".to_vec()), ("good.json", good.clone())],
    );
    assert_eq!(report.code, "ok");
    assert_eq!(report.predicate_type.as_deref(), Some("slsaprovenance1"));
    let parts: Vec<_> = report
        .parts
        .iter()
        .map(|p| (p.trace[0].detail.as_str(), p.code.as_str(), p.counts))
        .collect();
    assert_eq!(
        parts,
        [("good.json", "ok", true), ("bad.json", "envelope.invalid", false)]
    );
    // Nothing of it is stored, so no command names it.
    let bad = all_of(
        &bench,
        &question,
        &[("forged.json", envelope(&payload(Some(PURL), SLSA), &[4]))],
    );
    for report in [
        bad,
        asked(&bench, &question, &envelope(&payload(Some(PURL), SLSA), &[4])),
        report,
    ] {
        assert!(report.attestation_id.is_none());
        assert!(report.parts.iter().all(|p| p.attestation_id.is_none()));
        assert!(!report.next.unwrap_or_default().contains("ffff"));
    }
    let named = format!("sha256:{}", Sha256::of(b"another"));
    let other = asked(
        &bench,
        &wanted(Some(&named["sha256:".len()..]), Some(PURL), &[]),
        &good,
    );
    assert_eq!(other.code, "subject.mismatch");
    assert_eq!(other.parts[0].code, "subject.mismatch");
}

/// Of several attestations the one that has the verdict's code explains it.
#[test]
fn the_attestation_that_decided_is_the_one_that_is_named() {
    let bench = bench(AnchorPolicy::default());
    let question = wanted(Some(HEX), Some(PURL), &[]);
    let (good, forged) = (
        ("good.json", envelope(&payload(Some(PURL), SLSA), &[0])),
        ("forged.json", envelope(&payload(Some(PURL), SBOM), &[4])),
    );
    for shown in [[good.clone(), forged.clone()], [forged, good]] {
        let report = all_of(&bench, &question, &shown);
        assert_eq!(report.code, "ok");
        assert_eq!(report.predicate_type.as_deref(), Some("slsaprovenance1"));
        assert!(report.anchor_id.is_some());
    }
}
