//! The server's own words, to stderr.

use tracing_subscriber::EnvFilter;

/// `STELLA_LOG` says what is told (`info`, `debug`, `stella_server=debug`),
/// `STELLA_LOG_FORMAT=json` how. Does nothing when it was called before.
pub fn to_stderr() {
    let filter = EnvFilter::try_from_env("STELLA_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
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
}
