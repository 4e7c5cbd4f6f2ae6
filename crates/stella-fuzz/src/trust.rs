//! Trust bundles, roots, and what a verifier remembers of them.

use std::sync::OnceLock;

use stella_core::bundle::trust::{
    BUNDLE_PAYLOAD_TYPE, Offline, ROOT_PAYLOAD_TYPE, Seen, SignedBundle, TrustBundle, TrustRoot,
};
use stella_core::dsse::Envelope;
use stella_core::verify::ask::{Moments, Wanted};

use crate::offline::{FEED, bundle as made, root_content, signed, signed_bundle, signed_root};
use crate::targets;

/// The bytes as they come from a stranger, and as what the feed key signed.
pub fn bundle(data: &[u8]) {
    stranger(data);
    insider(data);
    if let Ok(seen) = Seen::parse(data) {
        assert_eq!(Seen::parse(&seen.to_bytes().unwrap()).unwrap(), seen);
    }
}

/// Nothing opens under the pinned root but what its key signed.
fn stranger(data: &[u8]) {
    let _ = TrustBundle::read_unchecked(data);
    if let Ok(root) = TrustRoot::parse(data) {
        let payload = root.content().to_payload().unwrap();
        assert_eq!(
            TrustRoot::parse(&signed(ROOT_PAYLOAD_TYPE, &payload, &[FEED])).map(|r| r.content().clone()),
            Ok(root.content().clone())
        );
    }
    if let Ok(opened) = SignedBundle::open(data, root()) {
        assert_eq!(
            opened.bundle.to_payload(),
            honest().to_payload(),
            "nobody signed that"
        );
    }
}

/// Whatever the feed key signs is read whole or not at all, and judging by it
/// ends in a verdict.
fn insider(payload: &[u8]) {
    let Ok(opened) = SignedBundle::open(&signed(BUNDLE_PAYLOAD_TYPE, payload, &[FEED]), root()) else {
        return;
    };
    let written = opened.bundle.to_payload().unwrap();
    let again = SignedBundle::open(&signed(BUNDLE_PAYLOAD_TYPE, &written, &[FEED]), root()).unwrap();
    assert_eq!(again.bundle.to_payload().unwrap(), written);
    let moments = Moments {
        as_of: None,
        now: None,
        at_time: None,
        min_time_evidence: None,
    };
    let offline = Offline::at(&opened, moments, opened.bundle.issued_at).unwrap();
    for document in targets::seeds() {
        offline.document(&document, &Wanted::default());
    }
}

fn root() -> &'static TrustRoot {
    static ROOT: OnceLock<TrustRoot> = OnceLock::new();
    ROOT.get_or_init(|| TrustRoot::parse(&signed_root(&root_content(1, &[FEED]), &[FEED])).unwrap())
}

fn honest() -> &'static TrustBundle {
    static HONEST: OnceLock<TrustBundle> = OnceLock::new();
    HONEST.get_or_init(|| made(targets::gate().0.state.clone()))
}

/// A bundle and its payload, a root and its payload, a memory of the bundle.
pub fn seeds() -> Vec<Vec<u8>> {
    let document = signed_bundle(honest());
    let root_document = signed_root(&root_content(1, &[FEED]), &[FEED]);
    let payload_of = |document: &[u8]| Envelope::parse(document, &Default::default()).unwrap().payload;
    let mut seen = Seen::default();
    seen.note(&SignedBundle::open(&document, root()).unwrap())
        .unwrap();
    vec![
        payload_of(&document),
        payload_of(&root_document),
        document,
        root_document,
        seen.to_bytes().unwrap(),
    ]
}
