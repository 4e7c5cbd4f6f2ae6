//! A file of bundles judged by the whole program on all cores, beside bare
//! signature checks on as many; and what it holds in memory meanwhile.

use std::fs::File;
use std::hint::black_box;
use std::io::{BufWriter, Write as _};
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use stella_core::alg::Algorithm;
use stella_core::bundle;
use stella_core::dsse::{self, Envelope, EnvelopeLimits, EnvelopeSignature, IN_TOTO_PAYLOAD_TYPE};
use stella_keys::Sign;
use stella_keys::entropy::SystemEntropy;
use stella_keys::software::SoftwareKey;
use stella_testkit::binary::Stella;

use crate::cold::peak;
use crate::figures::{figure, median, ratio};
use crate::verify::{Bare, statement};

pub struct Effort {
    pub rounds: usize,
    pub exe: PathBuf,
    pub bundles: u32,
    pub statement_bytes: usize,
    /// How long the bare checks run in a round.
    pub turn: Duration,
}

pub fn run(effort: &Effort) -> Result<(), String> {
    let exe = effort.exe.to_str().ok_or("the program's path is not UTF-8")?;
    let stella = Stella::new(exe);
    let p256: Algorithm = "ecdsa-p256".parse().map_err(|_| "no ECDSA P-256")?;
    let key = SoftwareKey::generate(p256, &mut SystemEntropy).map_err(|e| e.to_string())?;
    let pem = stella.file("build.pem", key.public_key().to_pem());
    stella.ok("init --no-key");
    stella.ok(&format!("keys import --key-id build --public-key {pem}"));
    stella.ok("anchor create --purl-pattern pkg:npm/* --key-ids build");
    let place = |name: &str| stella.folder().join(name);
    let (root, trust) = (place("root.json"), place("trust.json"));
    stella.ok(&format!("trust root --out {}", root.display()));
    stella.ok(&format!("trust export --out {}", trust.display()));
    let (all, tenth) = (place("all.ndjson"), place("tenth.ndjson"));
    write(&all, &key, effort.bundles, effort.statement_bytes)?;
    write(&tenth, &key, effort.bundles.div_ceil(10), effort.statement_bytes)?;

    let verify = |file: &Path| {
        let mut command = stella.command(["verify", "--offline", "--bundles"]);
        command.arg(file).arg("--trust-bundle").arg(&trust);
        command.arg("--trust-root").arg(&root);
        command
    };
    let cores = thread::available_parallelism().map_or(1, NonZero::get);
    let (mut raw, mut whole) = (Vec::new(), Vec::new());
    for _ in 0..effort.rounds {
        raw.push(bare(&key, cores, effort)?);
        let begun = Instant::now();
        let mut command = verify(&all);
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::inherit());
        ends_well(&mut command)?;
        whole.push(f64::from(effort.bundles) / begun.elapsed().as_secs_f64());
    }
    let (raw, whole) = (median(raw), median(whole));
    figure("bulk.bundles", f64::from(effort.bundles), "bundles");
    figure("bulk.cores", cores as f64, "cores");
    figure("bulk.raw-verify", raw, "1/s");
    figure("bulk.verify", whole, "1/s");
    ratio("bulk.verify-to-raw", whole / raw);
    figure("bulk.verify.peak", peak(&effort.exe, &verify(&all))?, "MiB");
    let of_tenth = peak(&effort.exe, &verify(&tenth))?;
    figure("bulk.verify.peak-of-a-tenth", of_tenth, "MiB");
    Ok(())
}

fn ends_well(command: &mut Command) -> Result<(), String> {
    let status = command.status().map_err(|e| e.to_string())?;
    match status.success() {
        true => Ok(()),
        false => Err(format!("{:?} ended with {status}", command.get_program())),
    }
}

/// Each of another statement.
fn write(path: &Path, key: &SoftwareKey, bundles: u32, statement_bytes: usize) -> Result<(), String> {
    let text = |e: &dyn std::fmt::Display| e.to_string();
    let limits = EnvelopeLimits::default();
    let mut out = BufWriter::new(File::create(path).map_err(|e| text(&e))?);
    let model = String::from_utf8(statement(statement_bytes)?).map_err(|e| text(&e))?;
    for n in 0..bundles {
        let payload = model.replacen("left-pad@1.3.0", &format!("left-pad@1.3.{n}"), 1);
        let pae = dsse::pae(IN_TOTO_PAYLOAD_TYPE, payload.as_bytes());
        let envelope = Envelope {
            payload_type: IN_TOTO_PAYLOAD_TYPE.to_owned(),
            payload: payload.into_bytes(),
            signatures: vec![EnvelopeSignature {
                keyid: Some("build".to_owned()),
                sig: key.sign(&pae).map_err(|e| text(&e))?,
            }],
        };
        let mut line = bundle::build(&envelope.to_json(), &limits).map_err(|e| text(&e))?;
        line.push(b'\n');
        out.write_all(&line).map_err(|e| text(&e))?;
    }
    out.flush().map_err(|e| text(&e))
}

/// How many signatures the bare checks go through. A processor that sees one
/// signature again and again learns its digits, and foresees the branches of a
/// check that it would meet for the first time in a file.
const SIGNATURES: usize = 4096;

/// Checks a second on all cores at once, with nothing around them.
fn bare(key: &SoftwareKey, cores: usize, effort: &Effort) -> Result<f64, String> {
    let text = |e: &dyn std::fmt::Display| e.to_string();
    let pae = dsse::pae(IN_TOTO_PAYLOAD_TYPE, &statement(effort.statement_bytes)?);
    // ECDSA takes a fresh number for each.
    let signatures: Vec<_> = (0..SIGNATURES)
        .map(|_| key.sign(&pae).map_err(|e| text(&e)))
        .collect::<Result<_, _>>()?;
    let bare = Bare::of(key.public_key())?;
    let begun = Instant::now();
    let done: u64 = thread::scope(|scope| {
        let threads: Vec<_> = (0..cores)
            .map(|_| {
                scope.spawn(|| {
                    let mut done = 0_u64;
                    let mut signatures = signatures.chunks(16).cycle();
                    while begun.elapsed() < effort.turn {
                        for signature in signatures.next().unwrap_or_default() {
                            assert!(bare.verify(black_box(&pae), black_box(signature)));
                            done += 1;
                        }
                    }
                    done
                })
            })
            .collect();
        threads.into_iter().map(|t| t.join().unwrap_or(0)).sum()
    });
    Ok(done as f64 / begun.elapsed().as_secs_f64())
}
