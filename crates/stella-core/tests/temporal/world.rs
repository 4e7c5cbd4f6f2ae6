//! A random world: what was said about two anchors and five keys, what
//! signatures there are, what is known about their time, and who asks when.
//! Moments are whole seconds after a base, few enough to collide often.

use std::collections::BTreeMap;
use std::time::Duration;

use stella_core::evidence::{Authority, Bound, Ledger, TimeClass, TimeEvidence};
use stella_core::time::Timestamp;
use stella_core::trust::anchor::AnchorPolicy;
use stella_core::trust::{Event, EventBody, RevokeReason, TrustState};
use stella_core::verify::{
    Budget, Judgement, Moment, SignatureCase, SignedStatement, Verifier, VerifyPolicy,
};

use crate::support::{
    HEX, History, PURL, anchor_id, authority, entered, key_id, open, pair, payload, predicate, profile, sign,
    subject_name,
};

pub const KEYS: usize = 5;
const BASE: i64 = 1_750_000_000;

pub fn t(tick: i64) -> Timestamp {
    Timestamp::from_secs(BASE + tick)
}

#[derive(Debug, Clone)]
pub struct World {
    pub keys: Vec<KeyFacts>,
    pub said: Vec<Said>,
    pub signatures: Vec<Sig>,
    pub asker: Asker,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    Exclusive,
    Shared,
    Foreign,
}

#[derive(Debug, Clone, Copy)]
pub struct KeyFacts {
    pub owner: Owner,
    pub created: Option<i64>,
}

/// One recorded act, in the order of recording.
#[derive(Debug, Clone)]
pub struct Said {
    pub recorded: i64,
    pub act: Act,
}

#[derive(Debug, Clone)]
pub enum Act {
    Create {
        anchor: usize,
        policy: Policy,
    },
    Update {
        anchor: usize,
        policy: Policy,
    },
    Disable {
        anchor: usize,
    },
    Enable {
        anchor: usize,
    },
    Add {
        anchor: usize,
        key: usize,
        added: i64,
        expires: Option<i64>,
    },
    Revoke {
        anchor: usize,
        key: usize,
        effective: i64,
    },
    Compromise {
        anchor: usize,
        key: usize,
        effective: i64,
        since: Option<i64>,
    },
    Withdraw,
}

#[derive(Debug, Clone)]
pub struct Policy {
    pub allows: Option<bool>,
    pub threshold: usize,
    pub floor: TimeClass,
    pub operators: usize,
    pub require: Option<TimeClass>,
    pub require_ledger: bool,
}

#[derive(Debug, Clone)]
pub struct Sig {
    /// `None`: no key made it.
    pub maker: Option<usize>,
    pub hint: Hint,
    pub evidence: Vec<Proof>,
    pub ledger: Log,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hint {
    Absent,
    Unknown,
    Key(usize),
}

#[derive(Debug, Clone, Copy)]
pub struct Proof {
    pub class: TimeClass,
    pub authority: &'static str,
    /// Made after, rather than existed by.
    pub lower: bool,
    /// `None` is zero, which is no time.
    pub stated: Option<i64>,
    pub accuracy: Option<i64>,
    pub recorded: i64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Log {
    Signed(i64),
    Unknown,
    NotConsulted,
}

#[derive(Debug, Clone, Copy)]
pub struct Asker {
    pub now: i64,
    pub at_time: Option<i64>,
    pub floor: Option<TimeClass>,
    pub recorded_for_compromise: bool,
}

/// Names of authorities; `nobody` is not configured.
const AUTHORITIES: [&str; 8] = ["a1", "a2", "b", "c", "own", "distrusted", "windowed", "nobody"];
pub const WINDOW: (i64, i64) = (5, 15);

pub fn authorities() -> BTreeMap<String, Authority> {
    let mut all = BTreeMap::from([
        authority("a1", "A"),
        authority("a2", "A"),
        authority("b", "B"),
        authority("c", "C"),
        authority("own", "self"),
        authority("distrusted", "D"),
        authority("windowed", "W"),
    ]);
    if let Some(a) = all.get_mut("distrusted") {
        a.trusted = false;
    }
    if let Some(a) = all.get_mut("windowed") {
        (a.valid_from, a.valid_until) = (t(WINDOW.0), Some(t(WINDOW.1)));
    }
    all
}

/// Reads a world out of bytes; when they run out, the plainest choice.
pub struct Draw<'a>(pub std::slice::Iter<'a, u8>);

impl Draw<'_> {
    pub fn below(&mut self, n: usize) -> usize {
        usize::from(self.0.next().copied().unwrap_or(0)) % n
    }

    fn tick(&mut self, from: i64, to: i64) -> i64 {
        let span = usize::try_from(to - from + 1).expect("a span");
        from + i64::try_from(self.below(span)).expect("a tick")
    }

    fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == n - 1
    }

    fn class(&mut self) -> TimeClass {
        [TimeClass::Recorded, TimeClass::Attested][self.below(2)]
    }

    pub fn world(&mut self) -> World {
        let keys = (0..KEYS).map(|_| self.key()).collect();
        let said = self.history();
        let signatures = (0..=self.below(4)).map(|_| self.signature()).collect();
        let now = self.tick(12, 32);
        let asker = Asker {
            now,
            at_time: if self.one_in(4) {
                Some(self.tick(0, now))
            } else {
                None
            },
            floor: if self.one_in(4) { Some(self.class()) } else { None },
            recorded_for_compromise: self.one_in(3),
        };
        World {
            keys,
            said,
            signatures,
            asker,
        }
    }

    fn key(&mut self) -> KeyFacts {
        KeyFacts {
            owner: [Owner::Exclusive, Owner::Shared, Owner::Foreign][self.below(3)],
            created: if self.one_in(3) {
                Some(self.tick(0, 12))
            } else {
                None
            },
        }
    }

    fn history(&mut self) -> Vec<Said> {
        let mut recorded = 0;
        let mut said = vec![Said {
            recorded,
            act: Act::Create {
                anchor: 0,
                policy: self.policy(),
            },
        }];
        if self.one_in(4) {
            said.push(Said {
                recorded,
                act: Act::Create {
                    anchor: 1,
                    policy: self.policy(),
                },
            });
        }
        let anchors = said.len();
        // Most keys come at once, so that most worlds have something to judge.
        for key in 0..3 {
            let anchor = self.below(anchors);
            let (added, expires) = (self.tick(0, 8), self.expiry());
            said.push(Said {
                recorded,
                act: Act::Add {
                    anchor,
                    key,
                    added,
                    expires,
                },
            });
        }
        for _ in 0..self.below(8) {
            recorded += self.tick(0, 4);
            let act = self.act(anchors);
            let follows = match act {
                Act::Add { anchor, key, .. } => !holds(&said, anchor, key),
                Act::Revoke { anchor, key, .. } | Act::Compromise { anchor, key, .. } => {
                    holds(&said, anchor, key)
                }
                _ => true,
            };
            if follows {
                said.push(Said { recorded, act });
            }
        }
        said
    }

    fn act(&mut self, anchors: usize) -> Act {
        let (anchor, key) = (self.below(anchors), self.below(KEYS));
        match self.below(12) {
            0..=3 => Act::Revoke {
                anchor,
                key: key % 3,
                effective: self.tick(0, 25),
            },
            4..=6 => Act::Compromise {
                anchor,
                key: key % 3,
                effective: self.tick(8, 25),
                since: if self.one_in(3) {
                    None
                } else {
                    Some(self.tick(0, 20))
                },
            },
            7 | 8 => Act::Add {
                anchor,
                key,
                added: self.tick(0, 20),
                expires: self.expiry(),
            },
            9 => Act::Update {
                anchor,
                policy: self.policy(),
            },
            10 => match self.below(3) {
                0 => Act::Disable { anchor },
                _ => Act::Enable { anchor },
            },
            _ => match self.below(4) {
                0 => Act::Withdraw,
                _ => Act::Enable { anchor },
            },
        }
    }

    fn expiry(&mut self) -> Option<i64> {
        self.one_in(4).then(|| self.tick(4, 26))
    }

    fn policy(&mut self) -> Policy {
        Policy {
            allows: [None, None, None, Some(true), Some(true), Some(false)][self.below(6)],
            threshold: [1, 1, 1, 2, 3][self.below(5)],
            floor: [TimeClass::Recorded, TimeClass::Recorded, TimeClass::Attested][self.below(3)],
            operators: [1, 1, 2, 3][self.below(4)],
            require: [
                None,
                None,
                None,
                Some(TimeClass::Recorded),
                Some(TimeClass::Attested),
            ][self.below(5)],
            require_ledger: self.one_in(5),
        }
    }

    fn signature(&mut self) -> Sig {
        let maker = self.below(11);
        let maker = (maker < 10).then_some([0, 0, 0, 1, 1, 1, 2, 2, 3, 4][maker % 10]);
        Sig {
            maker,
            hint: match self.below(8) {
                0..=2 => Hint::Absent,
                3 => Hint::Unknown,
                4 => Hint::Key(self.below(KEYS)),
                _ => maker.map_or(Hint::Absent, Hint::Key),
            },
            evidence: (0..self.below(6)).map(|_| self.proof()).collect(),
            ledger: match self.below(4) {
                0 | 1 => Log::NotConsulted,
                2 => Log::Unknown,
                _ => Log::Signed(self.tick(0, 24)),
            },
        }
    }

    pub fn proof(&mut self) -> Proof {
        let class = [
            TimeClass::Recorded,
            TimeClass::Recorded,
            TimeClass::Attested,
            TimeClass::Attested,
            TimeClass::Attested,
            TimeClass::Claimed,
        ][self.below(6)];
        let stated = (!self.one_in(12)).then(|| self.tick(0, 28));
        Proof {
            class,
            authority: AUTHORITIES[[0, 0, 1, 2, 2, 3, 3, 4, 5, 6, 7][self.below(11)]],
            lower: self.one_in(5),
            stated,
            accuracy: [None, Some(0), Some(3)][self.below(3)],
            recorded: if self.one_in(3) {
                self.tick(0, 30)
            } else {
                stated.unwrap_or(0)
            },
        }
    }
}

fn holds(said: &[Said], anchor: usize, key: usize) -> bool {
    said.iter()
        .any(|s| matches!(s.act, Act::Add { anchor: a, key: k, .. } if a == anchor && k == key))
}

impl World {
    pub fn holds(&self, anchor: usize, key: usize) -> bool {
        holds(&self.said, anchor, key)
    }

    pub fn has_anchor(&self, anchor: usize) -> bool {
        self.said
            .iter()
            .any(|s| matches!(s.act, Act::Create { anchor: a, .. } if a == anchor))
    }

    /// The log. Beside the two anchors stands a looser one that holds every
    /// key and asks for nothing; it must never matter.
    pub fn events(&self) -> Vec<Event> {
        let mut log = History::default();
        for (n, facts) in self.keys.iter().enumerate() {
            let of = match facts.owner {
                Owner::Exclusive => Some("mine"),
                Owner::Shared => Some("shared"),
                Owner::Foreign => None,
            };
            let body = EventBody::KeyImported(entered(&format!("k{n}"), n, facts.created.map(t), of));
            log.record(t(-1), [body]);
        }
        log.record(t(-1), looser());
        for said in &self.said {
            log.record(t(said.recorded), [said.act.body()]);
        }
        log.events
    }

    pub fn statement(&self) -> SignedStatement {
        let signatures = self.signatures.iter().map(Sig::case).collect();
        open(the_payload(), signatures)
    }

    pub fn judge(&self, budget: &mut Budget) -> Judgement {
        let trust = TrustState::fold(&self.events()).expect("a log that follows its rules");
        self.judge_with(&trust, budget)
    }

    pub fn judge_with(&self, trust: &TrustState, budget: &mut Budget) -> Judgement {
        self.judge_by(trust, &authorities(), &self.policy(), budget)
    }

    pub fn policy(&self) -> VerifyPolicy {
        VerifyPolicy {
            shared_profiles: [profile("shared")].into(),
            recorded_for_compromise: self.asker.recorded_for_compromise,
            ..VerifyPolicy::default()
        }
    }

    pub fn judge_by(
        &self,
        trust: &TrustState,
        authorities: &BTreeMap<String, Authority>,
        policy: &VerifyPolicy,
        budget: &mut Budget,
    ) -> Judgement {
        let verifier = Verifier {
            trust,
            authorities,
            policy,
            moment: Moment {
                now: t(self.asker.now),
                at_time: self.asker.at_time.map(t),
            },
            min_time_evidence: self.asker.floor,
        };
        self.statement().judge(verifier, &subject_name(PURL), budget)
    }
}

fn looser() -> Vec<EventBody> {
    let mut events = vec![EventBody::AnchorCreated {
        anchor_id: anchor_id(99),
        purl_pattern: "*".parse().expect("a pattern"),
        policy: AnchorPolicy::default(),
    }];
    events.extend((0..KEYS).map(|n| EventBody::KeyAdded {
        anchor_id: anchor_id(99),
        key_id: key_id(&format!("k{n}")),
        added_at: t(-1),
        expires_at: None,
    }));
    events
}

impl Act {
    pub fn body(&self) -> EventBody {
        let id = |n: &usize| anchor_id(u128::try_from(*n).expect("a number"));
        let key = |n: &usize| key_id(&format!("k{n}"));
        match self {
            Self::Create { anchor, policy } => EventBody::AnchorCreated {
                anchor_id: id(anchor),
                purl_pattern: "pkg:npm/*".parse().expect("a pattern"),
                policy: policy.real(),
            },
            Self::Update { anchor, policy } => EventBody::AnchorUpdated {
                anchor_id: id(anchor),
                policy: policy.real(),
                note: None,
            },
            Self::Disable { anchor } => EventBody::AnchorDisabled {
                anchor_id: id(anchor),
                note: None,
            },
            Self::Enable { anchor } => EventBody::AnchorEnabled {
                anchor_id: id(anchor),
                note: None,
            },
            Self::Add {
                anchor,
                key: k,
                added,
                expires,
            } => EventBody::KeyAdded {
                anchor_id: id(anchor),
                key_id: key(k),
                added_at: t(*added),
                expires_at: expires.map(t),
            },
            Self::Revoke {
                anchor,
                key: k,
                effective,
            } => EventBody::KeyRevoked {
                anchor_id: Some(id(anchor)),
                key_id: key(k),
                reason: RevokeReason::AnnualRotation,
                effective_at: t(*effective),
                compromised_since: None,
                note: None,
            },
            Self::Compromise {
                anchor,
                key: k,
                effective,
                since,
            } => EventBody::KeyRevoked {
                anchor_id: Some(id(anchor)),
                key_id: key(k),
                reason: RevokeReason::Compromise,
                effective_at: t(*effective),
                compromised_since: since.map(t),
                note: None,
            },
            Self::Withdraw => EventBody::AttestationWithdrawn {
                pae: open(the_payload(), Vec::new()).pae,
                reason: RevokeReason::Unspecified,
                note: None,
            },
        }
    }
}

impl Policy {
    fn real(&self) -> AnchorPolicy {
        AnchorPolicy {
            allowed_predicate_types: self.allows.map(|allowed| {
                let mut types = std::collections::BTreeSet::from([predicate("cyclonedx")]);
                if allowed {
                    types.insert(predicate("slsaprovenance1"));
                }
                types
            }),
            threshold: u32::try_from(self.threshold).expect("small"),
            min_time_evidence: self.floor,
            time_operators: u32::try_from(self.operators).expect("small"),
            require_evidence: self.require,
            require_ledger: self.require_ledger,
            ..AnchorPolicy::default()
        }
    }
}

impl Sig {
    pub fn case(&self) -> SignatureCase {
        SignatureCase {
            keyid: match self.hint {
                Hint::Absent => None,
                Hint::Unknown => Some("somebody else's/name".to_owned()),
                Hint::Key(n) => Some(format!("k{n}")),
            },
            sig: made_by(self.maker),
            evidence: self.evidence.iter().map(Proof::real).collect(),
            ledger: match self.ledger {
                Log::Signed(at) => Ledger::Signed { at: t(at) },
                Log::Unknown => Ledger::Unknown,
                Log::NotConsulted => Ledger::NotConsulted,
            },
        }
    }
}

impl Proof {
    pub fn real(&self) -> TimeEvidence {
        let stated = self.stated.map_or(Timestamp::UNIX_EPOCH, t);
        TimeEvidence {
            class: self.class,
            authority: self.authority.to_owned(),
            bound: if self.lower {
                Bound::MadeAfter(stated)
            } else {
                Bound::ExistedBy(stated)
            },
            accuracy: self
                .accuracy
                .map(|s| Duration::from_secs(u64::try_from(s).expect("not negative"))),
            recorded_at: t(self.recorded),
        }
    }
}

fn the_payload() -> &'static [u8] {
    static PAYLOAD: std::sync::OnceLock<Vec<u8>> = std::sync::OnceLock::new();
    PAYLOAD.get_or_init(|| payload(Some(PURL), "https://slsa.dev/provenance/v1"))
}

/// Signing costs more than judging does, so each signature is made once.
fn made_by(maker: Option<usize>) -> Vec<u8> {
    static MADE: std::sync::OnceLock<Vec<Vec<u8>>> = std::sync::OnceLock::new();
    let made = MADE.get_or_init(|| (0..KEYS).map(|n| sign(n, the_payload())).collect());
    match maker {
        Some(n) => made[n].clone(),
        None => pair(0).sign(HEX.as_bytes()).as_ref().to_vec(),
    }
}
