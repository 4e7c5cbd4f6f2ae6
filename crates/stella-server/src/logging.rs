//! The server's own words, to stderr.

use tracing_subscriber::EnvFilter;

/// `STELLA_LOG` says what is told (`info`, `debug`, `stella_server=debug`),
/// `STELLA_LOG_FORMAT=json` how. Does nothing when it was called before.
pub fn to_stderr() {
    let asked = std::env::var(FILTER).ok().filter(|text| !text.is_empty());
    let read = asked.as_deref().unwrap_or(DEFAULT).parse::<EnvFilter>();
    let refused = read.as_ref().err().map(ToString::to_string);
    let filter = read.unwrap_or_else(|_| EnvFilter::new(DEFAULT));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(false);
    let json = std::env::var("STELLA_LOG_FORMAT").is_ok_and(|f| f == "json");
    // The error is that somebody else was first, as in tests.
    let _ = if json {
        builder.json().try_init()
    } else {
        builder.try_init()
    };
    if let Some(why) = refused {
        tracing::warn!("{FILTER} cannot be read, so {DEFAULT} is told: {why}");
    }
}

const FILTER: &str = "STELLA_LOG";
const DEFAULT: &str = "info";
