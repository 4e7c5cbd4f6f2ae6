use std::sync::Arc;

use stella_core::digest::Sha256;

use super::fixture::*;
use crate::{Inserted, ProofFilter, ProofKept, ProofRow, Store};

/// With attestations 1 to `n`, signed.
async fn stored(store: &Arc<dyn Store>, n: u64) -> Fixture {
    let fixture = Fixture::with_a_key(Arc::clone(store)).await;
    for n in 1..=n {
        let done = store
            .insert_attestation(fixture.signed_attestation(n).into())
            .await;
        assert_eq!(done.unwrap(), Inserted::Done);
    }
    fixture
}

pub(super) async fn an_address_stands_for_its_parts_in_their_order(store: Arc<dyn Store>) {
    let fixture = stored(&store, 4).await;
    let proof = fixture.proof(&[4], &[&[3], &[1], &[2]]).await;
    assert_eq!(store.proof(&proof.address).await.unwrap(), None);
    assert_eq!(store.insert_proof(proof.clone()).await.unwrap(), ProofKept::Done);
    assert_eq!(store.proof(&proof.address).await.unwrap(), Some(proof.clone()));
    // The first to keep it stays the one who did.
    let again = ProofRow {
        created_by: "token:other".into(),
        created_at: at(900),
        ..proof.clone()
    };
    let earlier = store.insert_proof(again).await.unwrap();
    assert_eq!(earlier, ProofKept::Earlier(proof.clone()));
    assert_eq!(store.proof(&proof.address).await.unwrap(), Some(proof));
}

pub(super) async fn only_what_is_signed_is_part_of_a_proof(store: Arc<dyn Store>) {
    let fixture = stored(&store, 2).await;
    store.insert_attestation(attestation(3).into()).await.unwrap();
    let proof = fixture.proof(&[2], &[&[1]]).await;
    for (spine, members) in [
        (vec![attestation_id(3)], proof.members.clone()),
        (proof.spine.clone(), vec![vec![attestation_id(9)]]),
        (Vec::new(), proof.members.clone()),
        (proof.spine.clone(), Vec::new()),
        (proof.spine.clone(), vec![proof.spine.clone(), Vec::new()]),
    ] {
        let bad = ProofRow {
            spine,
            members,
            ..proof.clone()
        };
        assert!(store.insert_proof(bad).await.is_err());
        assert_eq!(store.proof(&proof.address).await.unwrap(), None);
    }
    store.insert_proof(proof).await.unwrap();
}

pub(super) async fn lists_and_prefixes(store: Arc<dyn Store>) {
    let fixture = stored(&store, 4).await;
    let mut proofs = Vec::new();
    for (spine, member) in [(1, 2), (3, 4), (1, 4)] {
        let proof = fixture.proof(&[spine], &[&[member]]).await;
        store.insert_proof(proof.clone()).await.unwrap();
        proofs.push(proof);
    }
    let ask = async |set: &dyn Fn(&mut ProofFilter)| -> Vec<Sha256> {
        let mut filter = ProofFilter {
            limit: 10,
            ..ProofFilter::default()
        };
        set(&mut filter);
        let found = store.list_proofs(filter).await.unwrap();
        found.into_iter().map(|p| p.address).collect()
    };
    let pick = |numbers: &[usize]| -> Vec<_> { numbers.iter().map(|n| proofs[*n].address).collect() };
    assert_eq!(ask(&|_| ()).await, pick(&[2, 1, 0]));
    assert_eq!(ask(&|f| f.limit = 2).await, pick(&[2, 1]));
    assert_eq!(ask(&|f| f.before = Some(proofs[1].address)).await, pick(&[0]));
    // The spine's subject, not a member's.
    assert_eq!(
        ask(&|f| f.subject = Some("pkg:npm/app@1".into())).await,
        pick(&[2, 0])
    );
    assert_eq!(ask(&|f| f.subject = Some("pkg:npm/app@2".into())).await, []);
    let hex = Sha256::of(&3_u64.to_be_bytes()).to_hex();
    assert_eq!(
        ask(&|f| f.digest = Some(("sha256".into(), hex.clone()))).await,
        pick(&[1])
    );
    assert_eq!(
        ask(&|f| f.attestation = Some(attestation_id(4))).await,
        pick(&[2, 1])
    );
    let address = proofs[0].address;
    let hex = address.to_hex();
    for length in [5, 8, 64] {
        let found = store.proofs_by_prefix(&hex[..length].to_uppercase(), 5).await;
        assert_eq!(found.unwrap(), [address], "{length} digits");
    }
    let mut all = store.proofs_by_prefix("", 5).await.unwrap();
    all.sort_unstable();
    let mut expected = pick(&[0, 1, 2]);
    expected.sort_unstable();
    assert_eq!(all, expected);
    assert_eq!(store.proofs_by_prefix("", 2).await.unwrap().len(), 2);
    for nothing in ["%", "zz", "0123456789abcdef0"] {
        assert_eq!(store.proofs_by_prefix(nothing, 5).await.unwrap(), []);
    }
}
