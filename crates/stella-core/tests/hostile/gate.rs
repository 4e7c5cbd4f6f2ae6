//! The gate: which statements speak about an artifact, and whether they are
//! enough.

use super::*;

fn candidate(reference: &str, maker: usize, name: Option<&str>, predicate_type: &str) -> Candidate {
    let body = payload(name, predicate_type);
    Candidate {
        reference: reference.to_owned(),
        unsigned: false,
        other_signer: false,
        statement: open(&body, vec![signature(maker, &body)]),
    }
}

fn ours(name: Option<&str>, types: &[&str]) -> Artifact {
    Artifact {
        digest: digest(),
        name: name.map(subject_name),
        require_types: types.iter().map(|t| predicate(t)).collect(),
    }
}

fn asked(bench: &Bench, artifact: &Artifact, candidates: &[Candidate]) -> ArtifactJudgement {
    let forward = artifact::judge(bench.at(at(NOW)), artifact, candidates, &mut Budget::new(500));
    assert_eq!(forward.attestations.len(), candidates.len());
    assert!(!forward.trace.is_empty());
    forward
}

fn requiring(types: &[&str]) -> AnchorPolicy {
    AnchorPolicy {
        required_predicate_types: types.iter().map(|t| predicate(t)).collect(),
        ..AnchorPolicy::default()
    }
}

#[test]
fn a_key_of_another_package_does_not_speak_for_ours() {
    let bench = bench(AnchorPolicy::default());
    // k3 is trusted for everything but npm, and claims our digest.
    for other in [
        "pkg:cargo/evil@1.0.0",
        "pkg:npm/left-pad@1.3.1",
        "pkg:npm/left-pad",
        "pkg:npm/left-pad@1.3.0?arch=x",
    ] {
        let judged = asked(
            &bench,
            &ours(Some(PURL), &[]),
            &[candidate("a", 3, Some(other), SLSA)],
        );
        assert_eq!(
            (judged.verdict, judged.code),
            (Verdict::Fail, Code::SubjectOtherName),
            "{other}"
        );
        assert!(!judged.attestations[0].counts);
    }
    // Without our name, or with none that could be another package's, it
    // is judged by our anchor, which does not know that key.
    for name in [None, Some("left-pad.tgz"), Some(PURL)] {
        let judged = asked(&bench, &ours(Some(PURL), &[]), &[candidate("a", 3, name, SLSA)]);
        assert_eq!(judged.code, Code::KeyNotAllowed);
        let judged = asked(&bench, &ours(Some(PURL), &[]), &[candidate("a", 0, name, SLSA)]);
        assert_eq!(judged.code, Code::Ok);
    }
    let spelt = asked(
        &bench,
        &ours(Some(PURL), &[]),
        &[candidate("a", 0, Some("pkg:NPM/left-pad@1.3.0"), SLSA)],
    );
    assert_eq!(spelt.code, Code::Ok, "the same name in another spelling");
    let broken = asked(
        &bench,
        &ours(Some(PURL), &[]),
        &[candidate("a", 0, Some("pkg:"), SLSA)],
    );
    assert_eq!(broken.code, Code::SubjectName);
}

/// What came closest is told, wherever in the statement it stands.
#[test]
fn of_several_subjects_the_nearest_miss_is_told() {
    let bench = bench(AnchorPolicy::default());
    let subject = |name: &str, digest| stella_core::statement::Subject {
        name: Some(name.to_owned()),
        digest,
    };
    let another = stella_core::statement::DigestSet::sha256(&Sha256::of(b"other"));
    let near = subject("pkg:npm/right-pad@1.0.0", digest());
    let far = subject(PURL, another);
    let unreadable = subject("pkg:", digest());
    for (subjects, told) in [
        ([&near, &far], Code::SubjectOtherName),
        ([&far, &near], Code::SubjectOtherName),
        ([&near, &unreadable], Code::SubjectOtherName),
        ([&unreadable, &near], Code::SubjectOtherName),
        ([&unreadable, &far], Code::SubjectName),
        ([&far, &unreadable], Code::SubjectName),
    ] {
        let subjects = subjects.map(Clone::clone);
        let body =
            stella_core::statement::Statement::build(&subjects, SLSA, "{}", &StatementLimits::default())
                .expect("built");
        let mut candidate = candidate("a", 0, None, SLSA);
        candidate.statement = open(&body, vec![signature(0, &body)]);
        assert_eq!(asked(&bench, &ours(Some(PURL), &[]), &[candidate]).code, told);
    }
}

/// An answer that was reached says more than one for which nothing was left.
#[test]
fn a_spent_budget_is_told_only_where_nothing_else_is_open() {
    let bench = bench(AnchorPolicy {
        require_evidence: Some(stella_core::evidence::TimeClass::Recorded),
        ..AnchorPolicy::default()
    });
    let candidates = [
        candidate("a", 0, Some(PURL), SLSA),
        candidate("b", 0, Some(PURL), SBOM),
    ];
    let judge = |budget| {
        let mut budget = Budget::new(budget);
        artifact::judge(
            bench.at(at(NOW)),
            &ours(Some(PURL), &[]),
            &candidates,
            &mut budget,
        )
        .code
    };
    assert_eq!(
        (judge(0), judge(1)),
        (Code::BudgetExhausted, Code::EvidenceRequired)
    );
}

#[test]
fn another_digest_is_another_artifact() {
    let bench = bench(AnchorPolicy::default());
    let mut artifact = ours(Some(PURL), &[]);
    artifact.digest = stella_core::statement::DigestSet::sha256(&Sha256::of(b"other"));
    let judged = asked(&bench, &artifact, &[candidate("a", 0, Some(PURL), SLSA)]);
    assert_eq!(
        (judged.code, judged.attestations[0].counts),
        (Code::SubjectMismatch, false)
    );
    let judged = asked(&bench, &artifact, &[]);
    assert_eq!(
        (judged.verdict, judged.code),
        (Verdict::Indeterminate, Code::AttestationNone)
    );
}

#[test]
fn each_required_type_must_be_there_once() {
    let bench = bench(requiring(&["cyclonedx", "slsaprovenance1"]));
    let anchors_list = ours(Some(PURL), &[]);
    let (sbom, slsa) = (
        |k| candidate("sbom", k, Some(PURL), SBOM),
        |k| candidate("slsa", k, Some(PURL), SLSA),
    );
    assert_eq!(asked(&bench, &anchors_list, &[sbom(0), slsa(1)]).code, Code::Ok);
    let missing = asked(&bench, &anchors_list, &[sbom(0)]);
    assert_eq!(
        (missing.verdict, missing.code),
        (Verdict::Indeterminate, Code::AttestationMissing)
    );
    assert_eq!(
        asked(&bench, &ours(Some(PURL), &["cyclonedx"]), &[sbom(0)]).code,
        Code::Ok,
        "the asker's list instead"
    );
    assert_eq!(
        asked(&bench, &anchors_list, &[sbom(0), slsa(3)]).code,
        Code::KeyNotAllowed
    );
    let one_bad = [
        slsa(3),
        sbom(0),
        slsa(0),
        candidate("vex", 3, Some(PURL), "https://openvex.dev/ns"),
    ];
    let judged = asked(&bench, &anchors_list, &one_bad);
    assert_eq!(
        judged.code,
        Code::Ok,
        "one bad beside a good one, and one that nobody asked for"
    );
    assert_eq!(judged.attestations[0].judgement.code, Code::KeyNotAllowed);
    assert!(judged.attestations[0].counts);
    // FAIL wins over what is merely missing.
    let both = asked(
        &bench,
        &ours(Some(PURL), &["openvex", "cyclonedx", "slsaprovenance1"]),
        &[sbom(0), slsa(3)],
    );
    assert_eq!(both.code, Code::KeyNotAllowed);
}

/// The type `cyclonedx`, written as such in a statement, is not the type
/// that people call cyclonedx.
#[test]
fn a_short_name_on_the_wire_is_a_type_of_its_own() {
    let bench = bench(requiring(&["cyclonedx"]));
    let judged = asked(
        &bench,
        &ours(Some(PURL), &[]),
        &[candidate("a", 0, Some(PURL), "cyclonedx")],
    );
    assert_eq!(judged.code, Code::AttestationMissing);
}

#[test]
fn withdrawn_superseded_and_unsigned_ones_carry_nothing() {
    let mut log = world(AnchorPolicy::default());
    let (withdrawn, superseded) = (
        candidate("w", 0, Some(PURL), SLSA),
        candidate("s", 0, Some(PURL), SBOM),
    );
    log.record(
        at(NOW),
        [
            EventBody::AttestationWithdrawn {
                pae: withdrawn.statement.pae,
                reason: RevokeReason::PolicyViolation,
                note: None,
            },
            EventBody::AttestationSuperseded {
                pae: superseded.statement.pae,
                successor: AttestationId(Uuid::from_u128(7)),
            },
        ],
    );
    let bench = Bench::new(log.state);
    let name = ours(Some(PURL), &[]);
    let judged = asked(&bench, &name, std::slice::from_ref(&withdrawn));
    assert_eq!(
        (judged.verdict, judged.code, judged.attestations[0].counts),
        (Verdict::Fail, Code::AttestationWithdrawn, false)
    );
    let judged = asked(&bench, &name, std::slice::from_ref(&superseded));
    assert_eq!(
        (judged.verdict, judged.code, judged.attestations[0].counts),
        (Verdict::Fail, Code::AttestationSuperseded, false)
    );
    let good = || candidate("g", 1, Some(PURL), "https://openvex.dev/ns");
    let waiting = || Candidate {
        unsigned: true,
        ..candidate("u", 1, Some(PURL), "https://spdx.dev/Document")
    };
    assert_eq!(
        asked(&bench, &name, &[withdrawn, superseded, good()]).code,
        Code::Ok
    );
    let judged = asked(&bench, &name, &[waiting()]);
    assert_eq!(
        (judged.verdict, judged.code, judged.attestations[0].counts),
        (Verdict::Indeterminate, Code::AttestationUnsigned, true)
    );
    assert_eq!(
        asked(
            &bench,
            &name,
            &[
                waiting(),
                candidate("x", 3, Some(PURL), SLSA.trim_end_matches("v1"))
            ]
        )
        .code,
        Code::AttestationUnsigned,
        "open before final"
    );
    // Recorded, and withdrawn before it was signed.
    let gone = Candidate {
        unsigned: true,
        ..candidate("w", 0, Some(PURL), SLSA)
    };
    assert_eq!(asked(&bench, &name, &[gone]).code, Code::AttestationWithdrawn);
    let elsewhere = Candidate {
        unsigned: true,
        ..candidate("o", 0, Some("pkg:npm/other@1"), SLSA)
    };
    assert_eq!(asked(&bench, &name, &[elsewhere]).code, Code::SubjectOtherName);
}

/// A statement signed again keeps its PAE: what it replaced is older.
#[test]
fn a_successor_replaces_what_came_before_it_and_not_itself() {
    let mut log = world(AnchorPolicy::default());
    let of = |n: u128| candidate(&Uuid::from_u128(n).to_string(), 0, Some(PURL), SLSA);
    let replaced = |successor: u128| EventBody::AttestationSuperseded {
        pae: of(1).statement.pae,
        successor: AttestationId(Uuid::from_u128(successor)),
    };
    log.record(at(NOW), [replaced(5), replaced(7)]);
    let bench = Bench::new(log.state);
    let judged = asked(&bench, &ours(Some(PURL), &[]), &[1, 5, 6, 7, 8].map(of));
    let counts: Vec<_> = judged.attestations.iter().map(|a| a.counts).collect();
    assert_eq!(counts, [false, false, false, true, true]);
    assert_eq!(judged.code, Code::Ok);
}

#[test]
fn what_somebody_else_asked_for_is_not_wanted() {
    let bench = bench(AnchorPolicy::default());
    let other = Candidate {
        other_signer: true,
        ..candidate("a", 0, Some(PURL), SLSA)
    };
    let judged = asked(&bench, &ours(Some(PURL), &[]), &[other]);
    assert_eq!(
        (judged.verdict, judged.code),
        (Verdict::Fail, Code::SignerNotWanted)
    );
    let other = Candidate {
        other_signer: true,
        ..candidate("a", 0, Some(PURL), SLSA)
    };
    assert_eq!(
        asked(
            &bench,
            &ours(Some(PURL), &[]),
            &[other, candidate("b", 0, Some(PURL), SBOM)]
        )
        .code,
        Code::Ok
    );
}

#[test]
fn without_a_name_the_claims_are_judged_and_said_to_be_claims() {
    let mut bench = bench(AnchorPolicy::default());
    let nameless = ours(None, &[]);
    let judged = asked(
        &bench,
        &nameless,
        &[candidate("a", 3, Some("pkg:cargo/x@1"), SLSA)],
    );
    assert_eq!(judged.code, Code::Ok);
    assert_eq!(
        (judged.trace[0].status, judged.trace[0].code),
        (CheckStatus::Warn, Some(Code::SubjectUnbound))
    );
    assert_eq!(
        asked(&bench, &nameless, &[candidate("a", 0, None, SLSA)]).code,
        Code::SubjectUnbound
    );
    bench.policy.require_purl = true;
    let judged = asked(
        &bench,
        &nameless,
        &[candidate("a", 3, Some("pkg:cargo/x@1"), SLSA)],
    );
    assert_eq!(
        (judged.verdict, judged.code),
        (Verdict::Indeterminate, Code::SubjectUnbound)
    );
    assert_eq!(
        judged.attestations[0].judgement.code,
        Code::Ok,
        "listed all the same"
    );
    assert_eq!(
        asked(&bench, &ours(Some(PURL), &[]), &[candidate("a", 0, None, SLSA)]).code,
        Code::Ok
    );
}

#[test]
fn without_a_name_the_anchor_that_let_it_pass_still_asks_for_its_types() {
    let bench = bench(requiring(&["cyclonedx"]));
    let judged = asked(&bench, &ours(None, &[]), &[candidate("a", 0, Some(PURL), SLSA)]);
    assert_eq!(judged.code, Code::AttestationMissing);
    let with_sbom = [
        candidate("a", 0, Some(PURL), SLSA),
        candidate("b", 0, Some(PURL), SBOM),
    ];
    assert_eq!(asked(&bench, &ours(None, &[]), &with_sbom).code, Code::Ok);
}

/// One statement that names the digest twice, once under a name that its
/// signer may speak for.
#[test]
fn a_second_name_in_a_statement_lends_nothing_to_the_first() {
    let bench = bench(AnchorPolicy::default());
    let both = |names: [&str; 2]| {
        let subjects = names.map(|n| stella_core::statement::Subject {
            name: Some(n.to_owned()),
            digest: digest(),
        });
        let body =
            stella_core::statement::Statement::build(&subjects, SLSA, "{}", &StatementLimits::default())
                .expect("built");
        Candidate {
            reference: "a".to_owned(),
            unsigned: false,
            other_signer: false,
            statement: open(&body, vec![signature(3, &body)]),
        }
    };
    for names in [["pkg:cargo/x@1", PURL], [PURL, "pkg:cargo/x@1"]] {
        assert_eq!(
            asked(&bench, &ours(None, &[]), &[both(names)]).code,
            Code::KeyNotAllowed
        );
        assert_eq!(
            asked(&bench, &ours(Some(PURL), &[]), &[both(names)]).code,
            Code::KeyNotAllowed
        );
        assert_eq!(
            asked(&bench, &ours(Some("pkg:cargo/x@1"), &[]), &[both(names)]).code,
            Code::Ok
        );
    }
}

/// Of two open answers the one that nobody is there to judge is told.
#[test]
fn a_name_without_an_anchor_outweighs_one_that_is_merely_unproven() {
    let mut log = History::default();
    log.record(at(NOW), [EventBody::KeyImported(entered("k0", 0, None, None))]);
    log.record(at(NOW), anchor(1, "pkg:npm/*", AnchorPolicy::default(), &["k0"]));
    log.record(
        at(NOW),
        [EventBody::KeyRevoked {
            anchor_id: Some(anchor_id(1)),
            key_id: key_id("k0"),
            reason: RevokeReason::Superseded,
            effective_at: at("2025-02-01T00:00:00Z"),
            compromised_since: None,
            note: None,
        }],
    );
    let bench = Bench::new(log.state);
    let both = ours(None, &["slsaprovenance1", "cyclonedx"]);
    for (unproven, unjudged) in [(SLSA, SBOM), (SBOM, SLSA)] {
        let set = [
            candidate("a", 0, Some(PURL), unproven),
            candidate("b", 0, Some("pkg:cargo/x@1"), unjudged),
        ];
        assert_eq!(asked(&bench, &both, &set).code, Code::AnchorNone);
    }
}

#[test]
fn a_looser_anchor_never_rescues_what_a_stricter_one_rejects() {
    let mut log = world(AnchorPolicy::default());
    log.record(
        at(NOW),
        anchor(3, "pkg:npm/left-pad*", AnchorPolicy::default(), &["k4"]),
    );
    let bench = Bench::new(log.state);
    for (maker, code) in [(0, Code::KeyNotAllowed), (3, Code::KeyNotAllowed), (4, Code::Ok)] {
        assert_eq!(
            asked(
                &bench,
                &ours(Some(PURL), &[]),
                &[candidate("a", maker, None, SLSA)]
            )
            .code,
            code
        );
    }
}

/// One anchor accepts the bill of materials, the other the provenance;
/// neither accepts both.
#[test]
fn anchors_of_one_pattern_judge_whole() {
    let mut log = History::default();
    log.record(
        at(NOW),
        (0..3).map(|n| EventBody::KeyImported(entered(&format!("k{n}"), n, None, None))),
    );
    log.record(
        at(NOW),
        anchor(
            1,
            "pkg:npm/*",
            requiring(&["cyclonedx", "slsaprovenance1"]),
            &["k0"],
        ),
    );
    log.record(
        at(NOW),
        anchor(
            2,
            "pkg:npm/*",
            requiring(&["cyclonedx", "slsaprovenance1"]),
            &["k1"],
        ),
    );
    let bench = Bench::new(log.state.clone());
    let name = ours(Some(PURL), &[]);
    let set = |sbom: usize, slsa: usize| [candidate("b", sbom, None, SBOM), candidate("p", slsa, None, SLSA)];
    for (sbom, slsa, code) in [
        (0, 0, Code::Ok),
        (1, 1, Code::Ok),
        (0, 1, Code::KeyNotAllowed),
        (1, 0, Code::KeyNotAllowed),
    ] {
        assert_eq!(asked(&bench, &name, &set(sbom, slsa)).code, code);
    }
    // A third one asks for less; what it asks for does not bind the others.
    log.record(at(NOW), anchor(3, "pkg:npm/*", requiring(&["openvex"]), &["k2"]));
    let bench = Bench::new(log.state);
    assert_eq!(
        asked(
            &bench,
            &name,
            &[candidate("v", 2, None, "https://openvex.dev/ns")]
        )
        .code,
        Code::Ok
    );
    assert_eq!(asked(&bench, &name, &set(0, 0)).code, Code::Ok);
    assert_ne!(asked(&bench, &name, &set(2, 2)).verdict, Verdict::Pass);
    // Nor do signatures of one statement add up over two anchors.
    let mut log = History::default();
    log.record(
        at(NOW),
        (0..2).map(|n| EventBody::KeyImported(entered(&format!("k{n}"), n, None, None))),
    );
    let two = || AnchorPolicy {
        threshold: 2,
        ..AnchorPolicy::default()
    };
    log.record(at(NOW), anchor(1, "pkg:npm/*", two(), &["k0"]));
    log.record(at(NOW), anchor(2, "pkg:npm/*", two(), &["k1"]));
    let body = payload(Some(PURL), SLSA);
    assert_eq!(
        judged(
            &Bench::new(log.state),
            &body,
            vec![signature(0, &body), signature(1, &body)]
        )
        .code,
        Code::ThresholdNotMet
    );
}

#[test]
fn the_order_of_the_candidates_is_nothing() {
    let bench = bench(AnchorPolicy::default());
    let make: [fn() -> Candidate; 4] = [
        || candidate("a", 3, Some(PURL), SLSA),
        || candidate("b", 0, Some("pkg:npm/other@1"), SLSA),
        || Candidate {
            unsigned: true,
            ..candidate("c", 0, Some(PURL), SBOM)
        },
        || candidate("d", 0, Some("pkg:"), SBOM),
    ];
    let mut answers = BTreeSet::new();
    for turn in 0..4 {
        let mut set: Vec<_> = make.iter().map(|m| m()).collect();
        set.rotate_left(turn);
        answers.insert(asked(&bench, &ours(Some(PURL), &[]), &set).code);
        set.retain(|c| !c.unsigned);
        answers.insert(asked(&bench, &ours(Some(PURL), &[]), &set).code);
    }
    assert_eq!(answers, [Code::AttestationUnsigned, Code::KeyNotAllowed].into());
}

#[test]
fn what_is_open_comes_before_what_is_final_and_what_does_not_count_comes_last() {
    let mut log = world(AnchorPolicy::default());
    let old = || candidate("old", 0, Some(PURL), SBOM);
    log.record(
        at(NOW),
        [EventBody::AttestationSuperseded {
            pae: old().statement.pae,
            successor: AttestationId(Uuid::from_u128(7)),
        }],
    );
    let bench = Bench::new(log.state);
    let good = || candidate("good", 0, Some(PURL), SLSA);
    let bad = || candidate("bad", 3, Some(PURL), SLSA);
    let waiting = || Candidate {
        unsigned: true,
        ..good()
    };
    let unwanted = || Candidate {
        other_signer: true,
        ..good()
    };
    let code = |set: &[Candidate]| asked(&bench, &ours(Some(PURL), &[]), set).code;
    assert_eq!(code(&[waiting(), good(), bad()]), Code::Ok);
    assert_eq!(code(&[unwanted(), waiting()]), Code::AttestationUnsigned);
    assert_eq!(code(&[old(), bad()]), Code::KeyNotAllowed);
}
