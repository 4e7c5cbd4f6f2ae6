//! `db ...`.

mod copy;
mod migrate;
mod status;
mod verify;

use stella_server::config::StoreUrl;
use stella_server::instance::StoreChoice;

use crate::error::CliError;

super::verbs! {
    Verify(verify::Verify),
    Status(status::Status),
    Migrate(migrate::Migrate),
    Copy(copy::Copy),
}

/// Where everything is kept, as flags say it.
#[derive(clap::Args)]
pub struct StoreFlags {
    /// Where everything is kept: postgres://USER@HOST/DATABASE
    #[arg(long, value_name = "URL")]
    pub store: Option<String>,
    /// A file with the password for it alone
    #[arg(long, value_name = "FILE", requires = "store")]
    pub password_file: Option<std::path::PathBuf>,
}

impl StoreFlags {
    pub fn choice(&self) -> Result<Option<StoreChoice>, CliError> {
        let Some(text) = &self.store else {
            return Ok(None);
        };
        let url: StoreUrl = text
            .parse()
            .map_err(|why: String| CliError::usage(format!("--store {why}")))?;
        let absolute =
            |file: &std::path::PathBuf| std::path::absolute(file).map_err(|e| CliError::file(file, &e));
        Ok(Some(StoreChoice {
            url,
            password_file: self.password_file.as_ref().map(absolute).transpose()?,
        }))
    }
}

/// It is written into the home's configuration.
pub fn expect_no_password(choice: &StoreChoice) -> Result<(), CliError> {
    match &choice.url {
        StoreUrl::Postgres(url) if url.holds_a_password() => Err(CliError::usage(
            "the URL holds a password, which the home's configuration would then hold as well",
        )
        .next("give the password in a file: --password-file FILE")),
        _ => Ok(()),
    }
}
