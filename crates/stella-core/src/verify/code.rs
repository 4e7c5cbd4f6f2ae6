//! Reason codes: the one closed list, from which the reference is generated.

use std::fmt;

use serde::{Serialize, Serializer};

use crate::verify::Verdict;

macro_rules! codes {
    ($($variant:ident = $code:literal, $verdict:ident, $meaning:literal, $mend:literal;)+) => {
        /// Why a verdict is what it is. Stable: scripts may compare them.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Code { $($variant),+ }

        impl Code {
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $code),+ }
            }

            /// The verdict that this reason alone leads to.
            pub const fn verdict(self) -> Verdict {
                match self { $(Self::$variant => Verdict::$verdict),+ }
            }

            pub const fn meaning(self) -> &'static str {
                match self { $(Self::$variant => $meaning),+ }
            }

            /// What to do about it.
            pub const fn mend(self) -> &'static str {
                match self { $(Self::$variant => $mend),+ }
            }
        }
    };
}

codes! {
    Ok = "ok", Pass, "every check passed", "nothing to do";

    TrustRootInvalid = "trust.root-invalid", Indeterminate, "the trust root cannot be read, or is not signed by enough of its own keys", "fetch it again over a channel you trust: stella trust root --out root.json, on the instance";
    TrustInvalid = "trust.invalid", Indeterminate, "the trust bundle cannot be read, or this version does not know all that it says", "export it again: stella trust export --out trust.json, on the instance; and use the stella version of that instance or a newer one";
    TrustUntrusted = "trust.untrusted", Indeterminate, "the trust bundle is not signed by a feed key of the pinned trust root", "export it again where the root came from; if that instance has a new feed key: stella trust inspect NEW-ROOT --trust-root OLD-ROOT, then pin the new one";
    TrustOtherInstance = "trust.other-instance", Indeterminate, "the trust bundle is of another instance than the pinned trust root", "use the bundle and the root of one instance";
    TrustRollback = "trust.rollback", Indeterminate, "the trust bundle is older than one that this verifier has seen", "use the newest: stella trust export --out trust.json, on the instance";
    TrustForked = "trust.forked", Indeterminate, "another trust bundle of the same number was seen here: somebody else signs with the feed key, or the instance was restored from a copy", "ask whoever runs the instance; stella audit query --type TRUST_EXPORTED lists what it exported";
    TrustStale = "trust.stale", Indeterminate, "the trust bundle has expired, so a revocation may be missing from it", "export it again: stella trust export --out trust.json, on the instance";

    EnvelopeInvalid = "envelope.invalid", Fail, "the envelope is not a DSSE envelope that can be read: invalid attestation", "fetch it again from its source; if it was altered, regenerate it: stella attest create --force";
    EnvelopePayloadType = "envelope.payload-type", Fail, "the payload type is not application/vnd.in-toto+json", "sign an in-toto statement: stella attest create";
    EnvelopeTooManySignatures = "envelope.too-many-signatures", Fail, "more signatures than the limit allows", "split the signatures over several envelopes";
    StatementInvalid = "statement.invalid", Fail, "the payload is not an in-toto v1 statement: invalid attestation", "regenerate it: stella attest create --force";
    StatementTooManySubjects = "statement.too-many-subjects", Fail, "more subjects than the limit allows", "attest the subjects in several statements";
    SubjectMismatch = "subject.mismatch", Fail, "the statement is about another artifact", "check that file, digest and bundle belong together";
    SubjectOtherName = "subject.other-name", Fail, "the statement names another package for this digest", "check --purl; the name in a statement is its signer's claim";
    SubjectName = "subject.name", Fail, "a subject's name begins with pkg: but is no package URL", "regenerate the statement with a valid package URL";
    SubjectUnbound = "subject.unbound", Indeterminate, "nobody said which package the artifact is, and its own claim must not choose its judge", "repeat with --purl";

    AnchorNone = "anchor.none", Indeterminate, "trust anchor not found: no pattern matches this name", "stella anchor explain NAME shows what would match; stella anchor create adds one";
    AnchorDisabled = "anchor.disabled", Fail, "the anchor that decides here is disabled", "stella anchor show ID tells who disabled it and why";
    PredicateNotAllowed = "predicate.not-allowed", Fail, "the deciding anchor does not allow this predicate type", "have the right kind of statement signed, or see stella anchor show ID";

    SignatureInvalid = "signature.invalid", Fail, "signature verification failed: the named key did not make this signature over this payload", "stella attest integrity-check ID tells whether the stored bytes changed";
    KeyNotAllowed = "key.not-allowed", Fail, "no key that this anchor ever held made the signature", "stella anchor show ID lists its keys; if the key is an old one of yours, stella trust-anchors add-key adds its public key";
    KeyRevoked = "key.revoked", Fail, "the key was revoked before the signature was made", "stella attest show ID --details tells who asked for it; re-sign with a current key: stella attest resign ID";
    KeyExpired = "key.expired", Fail, "the key's time in this anchor was over before the signature was made", "re-sign with a current key: stella attest resign ID";
    KeyCompromised = "key.compromised", Fail, "the signature was made after the moment from which the key counts as compromised", "review it, then re-sign: stella attest resign ID --reviewed NOTE";
    KeyNotYetAdded = "key.not-yet-added", Fail, "at the time asked about, the anchor did not hold the key yet", "ask about a later time, or without --at-time";
    KeyWindowUnknown = "key.window-unknown", Indeterminate, "the key is compromised and nobody has stated since when", "state it: stella anchor revoke-key --anchor-id ALL --key-id KEY --reason compromise --compromised-since T";
    TimeNotProven = "time.not-proven", Indeterminate, "nothing proves that the signature existed before the key's validity ended", "present a timestamp or log proof from before the end, or re-sign: stella attest resign ID";
    TimeNotProvenBy = "time.not-proven-by", Indeterminate, "nothing proves that the signature existed by the time asked about", "ask without --at-time, or present evidence from before it";
    EvidenceRequired = "evidence.required", Indeterminate, "the anchor requires a class of time evidence that is not there", "have the signature timestamped by another operator";
    ThresholdNotMet = "threshold.not-met", Fail, "fewer distinct keys signed than the anchor asks for", "have the statement signed with a further key: stella attest create --profiles A,B";
    ThresholdOpen = "threshold.open", Indeterminate, "enough keys signed, but for some of them the time is not proven", "mend the signatures marked in the trace";
    LedgerUnknown = "ledger.unknown", Fail, "the key is ours, yet our ledger holds no such signature", "treat the key as compromised: stella keys impact KEY, then stella keys revoke KEY --reason compromise";
    LedgerNotConsulted = "ledger.not-consulted", Indeterminate, "the anchor requires the ledger, which cannot be asked offline", "verify against the server";

    AttestationWithdrawn = "attestation.withdrawn", Fail, "the statement was withdrawn", "stella attest show ID --details tells who withdrew it and why; create a corrected one";
    AttestationSuperseded = "attestation.superseded", Fail, "a newer attestation takes its place", "verify the newer one";
    AttestationUnsigned = "attestation.unsigned", Indeterminate, "recorded but not signed yet", "stella attest status, then stella attest retry --failed";
    AttestationMissing = "attestation.missing", Indeterminate, "no attestation of the required predicate type speaks about this artifact", "stella attest create --type TYPE --subject ARTIFACT";
    AttestationNone = "attestation.none", Indeterminate, "no attestation speaks about this artifact", "stella attest create --type TYPE --subject ARTIFACT";
    SignerNotWanted = "signer.not-wanted", Fail, "requested by an identity that --signer does not match", "stella attest show ID --details tells who asked for it";

    ProofInvalid = "proof.invalid", Fail, "the proof bundle cannot be read, or is not in its canonical form", "fetch it again from its source: stella proof export ADDRESS --out FILE";
    ProofAddress = "proof.address", Fail, "the proof bundle does not have the address it was asked for by", "fetch it again from its source: stella proof export ADDRESS --out FILE";
    ProofSpineInvalid = "proof.spine-invalid", Fail, "the statement that should list the members is no spine", "make a proof anew: stella proof create";
    ProofRoot = "proof.root", Fail, "the Merkle root in the spine is not that of the members it lists", "make a proof anew: stella proof create";
    ProofMemberMissing = "proof.member-missing", Fail, "the spine lists a statement that the bundle does not hold", "fetch it again from its source: stella proof export ADDRESS --out FILE";
    ProofMemberExtra = "proof.member-extra", Fail, "the bundle holds a statement that the spine does not list, or holds one twice", "fetch it again from its source: stella proof export ADDRESS --out FILE";
    ProofMemberOrder = "proof.member-order", Fail, "the bundle holds the statements in another order than the spine", "fetch it again from its source: stella proof export ADDRESS --out FILE";
    ProofMemberSubject = "proof.member-subject", Fail, "a member is about something else than the spine", "make a proof of statements about one subject: stella proof create --subject SUBJECT";
    ProofMemberWithdrawn = "proof.member-withdrawn", Fail, "a member was withdrawn", "have a corrected statement signed, then stella proof create";
    ProofMemberSuperseded = "proof.member-superseded", Indeterminate, "a member was signed again, and the signature in the bundle is not enough any more", "make a proof with the newer signature: stella proof create";

    BudgetExhausted = "budget.exhausted", Indeterminate, "judging it took more signature checks than the limit allows", "raise verify.maxSignatureChecks, or present fewer signatures";
}

impl Code {
    /// Of several verdicts the first in the order of exit codes 12, 13, 11, 10
    /// wins: the least number.
    pub fn gravity(self) -> u8 {
        match (self.verdict(), self) {
            (Verdict::Fail, _) => 0,
            (_, Self::AnchorNone) => 1,
            (Verdict::Indeterminate, Self::AttestationNone) => 3,
            (Verdict::Indeterminate, _) => 2,
            (Verdict::Pass, _) => 4,
        }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl Serialize for Code {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn codes_are_unique_and_only_ok_passes() {
        let names: BTreeSet<_> = Code::ALL.iter().map(|c| c.as_str()).collect();
        assert_eq!(names.len(), Code::ALL.len());
        let passing: Vec<_> = Code::ALL
            .iter()
            .filter(|c| c.verdict() == Verdict::Pass)
            .collect();
        assert_eq!(passing, [&Code::Ok]);
    }

    #[test]
    fn the_gravest_of_several_verdicts_wins() {
        let mut codes = [
            Code::Ok,
            Code::AttestationNone,
            Code::TimeNotProven,
            Code::AnchorNone,
            Code::KeyRevoked,
        ];
        codes.sort_by_key(|c| c.gravity());
        assert_eq!(
            codes,
            [
                Code::KeyRevoked,
                Code::AnchorNone,
                Code::TimeNotProven,
                Code::AttestationNone,
                Code::Ok
            ]
        );
    }
}
