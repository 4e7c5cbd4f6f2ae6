//! What a request is answered with.

use std::collections::BTreeSet;

use stella_core::api::attestations::{Attestation, CreateAttestation, SubjectInput};
use stella_core::trust::anchor::AnchorPolicy;

use crate::PAD;
use crate::support::{World, about, sha256};

/// What is answered at once rests on what was read of the request, and later
/// on what the store has.
#[tokio::test]
async fn what_is_answered_at_once_is_what_is_answered_later() {
    let world = World::ready().await;
    world.generate("p1", "pqc").await;
    world
        .anchor("pkg:npm/%40pay/*", &["p1"], AnchorPolicy::default())
        .await;
    let subject = |name: Option<&str>, digit| SubjectInput {
        name: name.map(str::to_owned),
        digest: sha256(digit),
    };
    let cases = [
        vec![subject(Some("pkg:npm/left-pad@1.3.0"), "1")],
        vec![subject(Some("pkg:NPM/Left-Pad@1.3.0?b=2&a=1"), "2")],
        vec![subject(Some("pkg:npm/%40pay/api@2"), "3")],
        vec![subject(Some("a file"), "4")],
        vec![subject(None, "5")],
        vec![subject(Some("pkg:npm/a@1"), "6"), subject(None, "7")],
    ];
    let mut codes = BTreeSet::new();
    for subjects in cases {
        let asked = format!("{subjects:?}");
        let request = CreateAttestation {
            subjects,
            ..about(PAD, "a", "evidence.stella/v1")
        };
        let made = world.create(request.clone()).await.expect("created");
        let now = made.attestations.into_iter().next().expect("one");
        let judged = now.would_verify.clone().expect("judged");
        let later = world.verify(&now.id).await;
        assert_eq!(
            (&judged.verdict, &judged.code),
            (&later.verdict, &later.code),
            "{asked}"
        );
        if judged.verdict == "PASS" {
            let again = world.create(request).await.expect("answered again");
            let again = again.attestations.into_iter().next().expect("one");
            let as_first = Attestation {
                repeated: false,
                ..again
            };
            assert_eq!(format!("{now:?}"), format!("{as_first:?}"));
        }
        codes.insert(judged.code);
    }
    let codes: Vec<_> = codes.iter().map(String::as_str).collect();
    assert_eq!(codes, ["anchor.none", "key.not-allowed", "ok"]);
}
