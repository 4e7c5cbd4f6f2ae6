//! `keys show`.

use clap::Args;
use stella_core::alg::PublicKey;
use stella_core::api::keys::Key;

use crate::api::Route;
use crate::args::ids::KeyArg;
use crate::context::{Context, Outcome};
use crate::error::CliError;
use crate::exit::Exit;
use crate::printer::Format;

/// Show one key
#[derive(Args)]
pub struct Show {
    #[command(flatten)]
    key: KeyArg,
    /// Only the public key, as PEM (or DER: --der)
    #[arg(long)]
    public: bool,
    /// With --public: as DER, to standard output
    #[arg(long, requires = "public")]
    der: bool,
}

impl Show {
    pub async fn run(self, context: &Context) -> Outcome {
        let route = Route::to(&["signer", "keys", self.key.id()]);
        let key: Key = context.api().await?.get(&route).await?;
        if self.der {
            let public = PublicKey::from_pem(&key.public_key).map_err(|e| {
                CliError::failed(e.code(), format!("the server's public key cannot be read: {e}"))
            })?;
            context.printer.raw(public.spki_der())?;
        } else if self.public && context.printer.format == Format::Table {
            let pem = format!("{}\n", key.public_key.trim_end());
            context.printer.raw(pem.as_bytes())?;
        } else {
            context.printer.answer(&key, |page| super::describe(page, &key))?;
        }
        Ok(Exit::Done)
    }
}
