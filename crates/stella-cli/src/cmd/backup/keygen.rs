//! `backup keygen`.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;

use clap::Args;
use serde_json::json;
use stella_server::backup::age::Identity;
use stella_server::entropy::{Entropy as _, SystemEntropy};
use zeroize::Zeroizing;

use crate::context::{Context, Outcome};
use crate::error::CliError;
use crate::exit::Exit;

/// Make an identity that opens backups, as age-keygen does; keep it where the
/// backups are not
#[derive(Args)]
pub struct Keygen {
    /// The file to make; never one that is there
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

impl Keygen {
    pub async fn run(self, context: &Context) -> Outcome {
        let no_randomness = |e| CliError::failed("backup.entropy", e);
        let mut secret = Zeroizing::new([0; 32]);
        SystemEntropy.fill(&mut *secret).map_err(no_randomness)?;
        let identity = Identity::new(*secret);
        let recipient = identity
            .recipient()
            .ok_or_else(|| CliError::failed("backup.entropy", "no key came of it: repeat the command"))?
            .to_string();
        let mut text = Zeroizing::new(String::with_capacity(256));
        text.push_str(&format!(
            "# created: {}\n# public key: {recipient}\n",
            context.now()
        ));
        text.push_str(&identity.to_text());
        text.push('\n');
        let failed = |e| CliError::file(&self.out, &e);
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&self.out)
            .map_err(failed)?;
        file.write_all(text.as_bytes()).map_err(failed)?;
        file.sync_all().map_err(failed)?;
        let file = self.out.display().to_string();
        context
            .printer
            .answer(&json!({ "recipient": recipient, "file": file }), |page| {
                page.field("recipient", &recipient);
                page.field("identity", &file);
                page.next(format!(
                    "{} backup create --out FILE --recipient {recipient}",
                    context.program
                ));
                page.brief(&recipient);
            })?;
        Ok(Exit::Done)
    }
}
