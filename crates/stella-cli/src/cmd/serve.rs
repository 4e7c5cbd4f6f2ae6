//! `serve`.

use clap::Args;
use stella_server::instance::{Instance, OpenMode, OpenOptions};
use stella_server::serve::{ServeError, ServeOptions, serve};

use crate::context::{Context, Outcome};
use crate::error::CliError;
use crate::exit::Exit;

/// Run the server of a home: on its socket, and on a TCP address if asked to
#[derive(Args)]
pub struct Serve {
    /// HOST:PORT to listen on as well (default: server.listen)
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<String>,
}

impl Serve {
    pub async fn run(self, context: &Context) -> Outcome {
        let options = OpenOptions {
            config: context.global.config.clone(),
        };
        let instance = Instance::open(&context.home()?, OpenMode::Server, &options).await?;
        serve(instance, ServeOptions { listen: self.listen })
            .await
            .map_err(refused)?;
        Ok(Exit::Done)
    }
}

fn refused(error: ServeError) -> CliError {
    let exit = match &error {
        ServeError::Listen { .. } | ServeError::Signals(_) => Exit::Failed,
        ServeError::Address(_) | ServeError::PlainHttp(_) | ServeError::Tls { .. } => Exit::Usage,
    };
    let told = CliError::new(exit, error.code(), &error);
    match error.next() {
        Some(next) => told.next(next),
        None => told,
    }
}
