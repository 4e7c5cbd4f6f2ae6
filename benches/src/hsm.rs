//! Signing through the worker of a module, beside the module itself: raw
//! calls of SoftHSM in a process of their own, and the same token behind the
//! worker. Then the local HSM beside signing in this process.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11 as Raw};
use cryptoki::mechanism::Mechanism;
use cryptoki::object::{Attribute, ObjectClass, ObjectHandle};
use cryptoki::session::{Session, UserType};
use cryptoki::types::AuthPin;
use stella_core::alg::Algorithm;
use stella_keys::entropy::SystemEntropy;
use stella_keys::hsm::{Hsm, HsmOptions, Pin, Silent, TokenSelector, VolatilePinMemory};
use stella_keys::local_hsm::{PinPolicy, initialize};
use stella_keys::pkcs11::Pkcs11;
use stella_keys::software::SoftwareKey;
use stella_keys::{Progress, Sign, sign_verified};
use stella_testkit::token::{Kind, Token};

use crate::figures::{figure, median, ratio};

pub struct Effort {
    pub rounds: usize,
    pub turn: Duration,
}

const CALLERS: [usize; 3] = [1, 4, 16];
const SESSIONS: usize = 4;
const MESSAGE: [u8; 512] = [b'm'; 512];

pub fn run(effort: &Effort) -> Result<(), String> {
    soft_hsm(effort)?;
    for name in ["p256", "gost2012-256", "sm2"] {
        local(effort, name)?;
    }
    Ok(())
}

fn soft_hsm(effort: &Effort) -> Result<(), String> {
    let token = Token::soft_hsm("bench");
    token.generate(Kind::EcdsaP256, "key", "01");
    let mut raw = RawModule::start(&token)?;
    let mut options = HsmOptions::new("bench".parse().map_err(text)?, token.module());
    options.env.extend(token.environment().iter().cloned());
    options.pin = Some(Pin::new(token.pin().as_bytes().to_vec()));
    options.signers = SESSIONS;
    let hsm = module(options);
    let mut at = stella_keys::hsm::KeyReference::token(TokenSelector::Token {
        label: token.label().to_owned(),
        serial: None,
    });
    at.object = Some("key".to_owned());
    let public = hsm.find(&at).map_err(text)?.public_key.ok_or("no public key")?;
    let key = hsm.key(&at, &public).map_err(text)?;

    let mut rates = Rates::default();
    for _ in 0..effort.rounds {
        for sessions in [1, SESSIONS] {
            rates.add(format!("raw-{sessions}"), raw.rate(sessions, effort.turn)?);
        }
        for callers in CALLERS {
            let sign = || key.sign(&MESSAGE).is_ok();
            rates.add(format!("worker-{callers}"), rate(callers, effort.turn, &sign)?);
        }
        rates.add("worker-16-tasks".to_owned(), tasks(16, effort.turn, &key)?);
        let verified = || sign_verified(&*key, &MESSAGE).is_ok();
        rates.add("verified-16".to_owned(), rate(16, effort.turn, &verified)?);
    }
    let rates = rates.medians();
    for (name, rate) in &rates {
        figure(&format!("hsm.softhsm.{name}"), *rate, "1/s");
    }
    let of = |name: &str| {
        rates
            .iter()
            .find(|(n, _)| n == name)
            .map_or(f64::NAN, |(_, rate)| *rate)
    };
    let added = (1.0 / of("worker-1") - 1.0 / of("raw-1")) * 1e6;
    figure("hsm.softhsm.added-at-one-caller", added, "us");
    for callers in CALLERS {
        let share = of(&format!("worker-{callers}")) / of(&format!("raw-{SESSIONS}"));
        ratio(&format!("hsm.softhsm.worker-{callers}-to-raw"), share);
    }
    let share = of("worker-16-tasks") / of(&format!("raw-{SESSIONS}"));
    ratio("hsm.softhsm.worker-16-tasks-to-raw", share);
    Ok(())
}

fn local(effort: &Effort, name: &str) -> Result<(), String> {
    let algorithm: Algorithm = name.parse().map_err(text)?;
    let folder = tempfile::tempdir().map_err(text)?;
    let path = folder.path().join("bench");
    let module_name = "bench".parse().map_err(text)?;
    let pin = Pin::new(b"a pin of the bench".to_vec());
    initialize(
        &path,
        &module_name,
        &pin,
        PinPolicy::default(),
        &mut SystemEntropy,
    )
    .map_err(text)?;
    let mut options = HsmOptions::local(module_name, &path);
    options.pin = Some(pin);
    options.signers = SESSIONS;
    let hsm = module(options);
    let token = TokenSelector::Token {
        label: "bench".to_owned(),
        serial: None,
    };
    let (at, public) = hsm.generate(&token, "key", algorithm).map_err(text)?;
    let key = hsm.key(&at, &public).map_err(text)?;
    let here = SoftwareKey::generate(algorithm, &mut SystemEntropy).map_err(text)?;

    let mut rates = Rates::default();
    for _ in 0..effort.rounds {
        for callers in [1, SESSIONS] {
            let sign = || here.sign(&MESSAGE).is_ok();
            rates.add(format!("here-{callers}"), rate(callers, effort.turn, &sign)?);
        }
        for callers in CALLERS {
            let sign = || key.sign(&MESSAGE).is_ok();
            rates.add(format!("worker-{callers}"), rate(callers, effort.turn, &sign)?);
        }
        rates.add("worker-16-tasks".to_owned(), tasks(16, effort.turn, &key)?);
    }
    let rates = rates.medians();
    for (what, rate) in &rates {
        figure(&format!("hsm.local.{name}.{what}"), *rate, "1/s");
    }
    let of = |name: &str| {
        rates
            .iter()
            .find(|(n, _)| n == name)
            .map_or(f64::NAN, |(_, rate)| *rate)
    };
    let added = (1.0 / of("worker-1") - 1.0 / of("here-1")) * 1e6;
    figure(&format!("hsm.local.{name}.added-at-one-caller"), added, "us");
    for callers in ["16", "16-tasks"] {
        let share = of(&format!("worker-{callers}")) / of(&format!("here-{SESSIONS}"));
        ratio(&format!("hsm.local.{name}.worker-{callers}-to-here"), share);
    }
    Ok(())
}

fn module(options: HsmOptions) -> Pkcs11 {
    Pkcs11::new(options, Arc::new(VolatilePinMemory::default()), Arc::new(Silent))
}

/// Per second, of so many threads together.
fn rate(callers: usize, turn: Duration, act: &(dyn Fn() -> bool + Sync)) -> Result<f64, String> {
    let failed = AtomicU64::new(0);
    let begun = Instant::now();
    let done: u64 = thread::scope(|scope| {
        let hands: Vec<_> = (0..callers)
            .map(|_| {
                scope.spawn(|| {
                    let mut done = 0;
                    while begun.elapsed() < turn {
                        if act() {
                            done += 1;
                        } else {
                            failed.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                    done
                })
            })
            .collect();
        hands.into_iter().map(|hand| hand.join().unwrap_or(0_u64)).sum()
    });
    match failed.into_inner() {
        0 => Ok(done as f64 / begun.elapsed().as_secs_f64()),
        n => Err(format!("{n} signatures failed")),
    }
}

/// Per second, of so many tasks together, as those of a server are.
fn tasks(callers: usize, turn: Duration, key: &Arc<dyn Sign>) -> Result<f64, String> {
    let runtime = tokio::runtime::Runtime::new().map_err(text)?;
    let message: Arc<[u8]> = Arc::from(&MESSAGE[..]);
    let begun = Instant::now();
    let hands: Vec<_> = (0..callers)
        .map(|_| {
            let (key, message) = (Arc::clone(key), Arc::clone(&message));
            runtime.spawn(async move {
                let mut done = 0_u64;
                while begun.elapsed() < turn {
                    let signing = key.begin(&message).ok_or("it does not sign without a thread")?;
                    match signing.await {
                        Progress::Done(Ok(_)) => done += 1,
                        _ => return Err("a signature failed"),
                    }
                }
                Ok(done)
            })
        })
        .collect();
    let done = runtime.block_on(async {
        let mut all = 0;
        for hand in hands {
            all += hand.await.map_err(text)??;
        }
        Ok::<_, String>(all)
    })?;
    Ok(done as f64 / begun.elapsed().as_secs_f64())
}

/// In the order in which they were first measured.
#[derive(Default)]
struct Rates(Vec<(String, Vec<f64>)>);

impl Rates {
    fn add(&mut self, name: String, rate: f64) {
        match self.0.iter_mut().find(|(known, _)| *known == name) {
            Some((_, rates)) => rates.push(rate),
            None => self.0.push((name, vec![rate])),
        }
    }

    fn medians(self) -> Vec<(String, f64)> {
        self.0
            .into_iter()
            .map(|(name, rates)| (name, median(rates)))
            .collect()
    }
}

/// This program once more, with the module loaded and nothing around it: the
/// module reads its configuration from the environment of its process.
struct RawModule {
    process: Child,
    commands: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl RawModule {
    fn start(token: &Token) -> Result<Self, String> {
        let mut process = Command::new(std::env::current_exe().map_err(text)?)
            .arg("raw-module")
            .arg(token.module())
            .args([token.label(), token.pin()])
            .envs(token.environment().iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(text)?;
        Ok(Self {
            commands: process.stdin.take().ok_or("no stdin")?,
            answers: BufReader::new(process.stdout.take().ok_or("no stdout")?),
            process,
        })
    }

    fn rate(&mut self, sessions: usize, turn: Duration) -> Result<f64, String> {
        writeln!(self.commands, "{sessions} {}", turn.as_millis()).map_err(text)?;
        let mut line = String::new();
        self.answers.read_line(&mut line).map_err(text)?;
        line.trim()
            .parse()
            .map_err(|_| format!("the raw module said {line:?}"))
    }
}

impl Drop for RawModule {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The other side: a line `SESSIONS MILLISECONDS` is answered with a rate.
pub fn raw_module(module: &Path, label: &str, pin: &str) -> Result<(), String> {
    let raw = Raw::new(module).map_err(text)?;
    raw.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK))
        .map_err(text)?;
    let slots = raw.get_slots_with_initialized_token().map_err(text)?;
    let named = |slot: &_| raw.get_token_info(*slot).is_ok_and(|info| info.label() == label);
    let slot = slots.into_iter().find(named).ok_or("no such token")?;
    let mut sessions: Vec<(Session, ObjectHandle)> = Vec::new();
    for line in std::io::stdin().lines() {
        let line = line.map_err(text)?;
        let (wanted, millis) = line.split_once(' ').ok_or("two numbers")?;
        let wanted: usize = wanted.parse().map_err(text)?;
        let turn = Duration::from_millis(millis.parse().map_err(text)?);
        while sessions.len() < wanted {
            let session = raw.open_ro_session(slot).map_err(text)?;
            if sessions.is_empty() {
                session
                    .login(UserType::User, Some(&AuthPin::from(pin)))
                    .map_err(text)?;
            }
            let private = [Attribute::Class(ObjectClass::PRIVATE_KEY)];
            let key = session.find_objects(&private).map_err(text)?;
            sessions.push((session, *key.first().ok_or("no key")?));
        }
        let begun = Instant::now();
        let done: u64 = thread::scope(|scope| {
            let hands: Vec<_> = sessions[..wanted]
                .iter_mut()
                .map(|(session, key)| {
                    let key = *key;
                    scope.spawn(move || {
                        let mut done = 0;
                        while begun.elapsed() < turn && session.sign(&Mechanism::Ecdsa, key, &[7; 32]).is_ok()
                        {
                            done += 1;
                        }
                        done
                    })
                })
                .collect();
            hands.into_iter().map(|hand| hand.join().unwrap_or(0_u64)).sum()
        });
        println!("{}", done as f64 / begun.elapsed().as_secs_f64());
    }
    Ok(())
}

fn text(e: impl std::fmt::Display) -> String {
    e.to_string()
}
