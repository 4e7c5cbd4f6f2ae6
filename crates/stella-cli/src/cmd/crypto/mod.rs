//! `crypto ...`.

mod hsm;
mod providers;

use super::later::Later;

super::verbs! {
    /// What can sign and verify with which algorithm
    #[command(subcommand)]
    Providers(providers::Verb),
    /// Hardware security modules: are they there, and do they sign
    #[command(subcommand)]
    Hsm(hsm::Verb),
    #[command(hide = true)]
    Cert(Later),
}
