//! `crypto ...`.

mod hsm;
mod local_hsm;
mod providers;

use super::later::Later;

super::verbs! {
    /// What can sign and verify with which algorithm
    #[command(subcommand)]
    Providers(providers::Verb),
    /// Keys in a process of our own: making one, its PIN
    #[command(subcommand, name = "local-hsm")]
    LocalHsm(local_hsm::Verb),
    Hsm(hsm::Hsm),
    #[command(hide = true)]
    Cert(Later),
}
