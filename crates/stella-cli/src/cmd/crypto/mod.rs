//! `crypto ...`.

mod providers;

use super::later::Later;

super::verbs! {
    /// What can sign and verify with which algorithm
    #[command(subcommand)]
    Providers(providers::Verb),
    #[command(hide = true)]
    Hsm(Later),
    #[command(hide = true)]
    Cert(Later),
}
