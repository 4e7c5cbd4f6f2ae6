//! `keys generate`.

use clap::Args;
use stella_core::api::keys::{GenerateKey, Key};

use crate::api::Route;
use crate::args::key_type;
use crate::context::{Context, Outcome};
use crate::exit::Exit;

/// Make a key in its profile's store
#[derive(Args)]
pub struct Generate {
    /// The profile that will sign with it (default: the algorithm's)
    #[arg(long)]
    profile: Option<String>,
    /// Your name for it, unique for ever (default: made from profile and date)
    #[arg(long = "key-id", value_name = "KEY_ID")]
    key_id: Option<String>,
    /// Long or short name; must agree with the profile's
    #[arg(long)]
    algorithm: Option<String>,
    /// What it signs
    #[arg(long = "type", value_name = "TYPE", default_value = "signing", value_parser = key_type())]
    key_type: String,
    /// Accepted by anchors, signs only when the active key cannot
    #[arg(long)]
    standby: bool,
    /// Where a standby key is made, such as hsm://pkcs11/token/TOKEN?module=NAME
    /// (default: the profile's store)
    #[arg(long, value_name = "URI", requires = "standby")]
    key_store: Option<String>,
}

impl Generate {
    pub async fn run(self, context: &Context) -> Outcome {
        let request = GenerateKey {
            profile: self.profile,
            key_id: self.key_id,
            algorithm: self.algorithm,
            key_type: Some(self.key_type),
            standby: self.standby,
            key_store: self.key_store,
        };
        let api = context.api().await?;
        let key: Key = api.post(&Route::to(&["signer", "keys"]), &request).await?;
        context.printer.answer(&key, |page| {
            super::describe(page, &key);
            page.brief(&key.id);
        })?;
        let add = format!(
            "  next: {} anchor add-key --anchor-id ALL --key-id {}",
            context.program, key.id
        );
        match (key.key_type.as_str(), key.status.as_str()) {
            ("signing", "pending") => {
                let note = format!("it signs once the anchors hold it\n{add}");
                context.printer.note(&note);
            }
            // The first of its profile has no anchors that held another.
            ("signing", _) => context.printer.note(&format!(
                "what it signs verifies once an anchor holds it\n{add}\n    or: {} anchor create --purl-pattern PATTERN --key-ids {}",
                context.program, key.id
            )),
            _ => {}
        }
        Ok(Exit::Done)
    }
}
