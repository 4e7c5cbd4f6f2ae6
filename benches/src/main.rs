//! `./bench NAME`.

mod bulk;
mod cold;
mod figures;
mod hsm;
mod http;
mod verify;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};

/// What Stella costs beside the bare limit; prints medians and never judges
#[derive(Parser)]
#[command(name = "bench")]
struct Bench {
    /// How often each figure is taken
    #[arg(long, global = true, default_value_t = 21)]
    rounds: usize,
    /// The program to measure
    #[arg(
        long,
        global = true,
        env = "STELLA_EXE",
        default_value = "target/release/stella"
    )]
    exe: PathBuf,
    #[command(subcommand)]
    name: Name,
}

#[derive(Subcommand)]
enum Name {
    /// A whole attestation judged, beside the bare signature check
    Verify {
        /// Size of the statement
        #[arg(long, default_value_t = 2048)]
        statement_bytes: usize,
        /// How long each contender runs in a round
        #[arg(long, default_value_t = 60)]
        turn_ms: u64,
    },
    /// Whole commands from start to end, beside other people's clients
    Cold {
        /// Where other people's clients are installed
        #[arg(long, env = "STELLA_PEERS", default_value = "target/peers")]
        peers: PathBuf,
        /// How they are called
        #[arg(long, default_value = "benches/peers")]
        scripts: PathBuf,
    },
    /// Signing through a module's worker, beside the module itself
    Hsm {
        /// How long each contender runs in a round
        #[arg(long, default_value_t = 200)]
        turn_ms: u64,
    },
    /// A server with callers, beside the same HTTP stack without a store
    Http {
        /// Size of the statement
        #[arg(long, default_value_t = 2048)]
        statement_bytes: usize,
        /// How long each contender runs in a round
        #[arg(long, default_value_t = 2000)]
        turn_ms: u64,
        /// Only on this store
        #[arg(long, value_parser = ["sqlite", "postgres"])]
        store: Option<String>,
        /// Connections at once
        #[arg(long, value_delimiter = ',', default_value = "1,8,64")]
        callers: Vec<usize>,
        #[arg(long, value_delimiter = ',', value_parser = http::ALGORITHMS, default_value = "ecdsa-p256,ed25519")]
        algorithms: Vec<String>,
    },
    /// The same requests to a server with little in its store and with much
    Growth {
        /// In the end, from 1,000 on
        #[arg(long, default_value_t = 1_000_000)]
        attestations: u64,
        /// In the end, from one on
        #[arg(long, default_value_t = 1_000)]
        anchors: u64,
        #[arg(long, default_value_t = 10)]
        keys_per_anchor: u64,
        /// Size of each statement
        #[arg(long, default_value_t = 2048)]
        statement_bytes: usize,
        /// How long the callers ask in a round
        #[arg(long, default_value_t = 2000)]
        turn_ms: u64,
        #[arg(long, value_parser = ["sqlite", "postgres"], default_value = "sqlite")]
        store: String,
    },
    /// A file of bundles judged offline on all cores, beside bare signature
    /// checks on as many
    Bulk {
        #[arg(long, default_value_t = 100_000)]
        bundles: u32,
        /// Size of each statement
        #[arg(long, default_value_t = 2048)]
        statement_bytes: usize,
        /// How long the bare checks run in a round
        #[arg(long, default_value_t = 2000)]
        turn_ms: u64,
    },
    #[command(hide = true)]
    BareServer { algorithm: String },
    #[command(hide = true)]
    RawModule {
        module: PathBuf,
        label: String,
        pin: String,
    },
    #[command(hide = true)]
    Peak {
        #[arg(last = true)]
        command: Vec<String>,
    },
}

fn main() -> ExitCode {
    stella_keys::worker::run_if_asked();
    let bench = Bench::parse();
    let done = match bench.name {
        Name::Verify {
            statement_bytes,
            turn_ms,
        } => verify::run(&verify::Effort {
            rounds: bench.rounds.max(1),
            turn: Duration::from_millis(turn_ms),
            statement_bytes,
        }),
        Name::Cold { peers, scripts } => cold::run(&cold::Effort {
            rounds: bench.rounds.max(1),
            exe: bench.exe,
            peers,
            scripts,
        }),
        Name::Hsm { turn_ms } => hsm::run(&hsm::Effort {
            rounds: bench.rounds.max(1),
            turn: Duration::from_millis(turn_ms),
        }),
        Name::Http {
            statement_bytes,
            turn_ms,
            store,
            callers,
            algorithms,
        } => http::run(&http::Effort {
            store,
            callers,
            algorithms,
            rounds: bench.rounds.max(1),
            turn: Duration::from_millis(turn_ms),
            statement_bytes,
            exe: bench.exe,
        }),
        Name::Growth {
            attestations,
            anchors,
            keys_per_anchor,
            statement_bytes,
            turn_ms,
            store,
        } => http::growth(&http::Growth {
            rounds: bench.rounds.max(1),
            turn: Duration::from_millis(turn_ms),
            statement_bytes,
            exe: bench.exe,
            store,
            attestations,
            anchors,
            keys_per_anchor,
        }),
        Name::Bulk {
            bundles,
            statement_bytes,
            turn_ms,
        } => bulk::run(&bulk::Effort {
            rounds: bench.rounds.max(1),
            exe: bench.exe,
            bundles,
            statement_bytes,
            turn: Duration::from_millis(turn_ms),
        }),
        Name::BareServer { algorithm } => http::bare_server(&algorithm),
        Name::RawModule { module, label, pin } => hsm::raw_module(&module, &label, &pin),
        Name::Peak { command } => cold::print_peak(&command),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("error: {why}");
            ExitCode::FAILURE
        }
    }
}

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;
