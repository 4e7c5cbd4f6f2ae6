//! Work over more entries than fit in memory: read as they come, answered in
//! their order, and taken up again where an interruption left off.

mod bar;
mod folder;
mod lines;
mod results;
mod threads;

pub use bar::Bar;
pub use folder::{Found, Walk};
pub use lines::{Block, Line, Lines};
pub use results::{Begun, Results, json};
pub use threads::in_order;

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use stella_server::entropy::{Entropy, SystemEntropy};

use crate::context::Context;
use crate::error::CliError;
use crate::exit::Exit;

/// Of results that begin now; `what` is the command.
pub fn begun(context: &Context, what: &str) -> Result<Begun, CliError> {
    let mut run = [0; 16];
    SystemEntropy
        .fill(&mut run)
        .map_err(|e| CliError::new(Exit::Unavailable, "entropy.unavailable", e))?;
    Ok(Begun {
        run: hex::encode(run),
        results: what.to_owned(),
        began_at: context.now().to_string(),
    })
}

/// A file, or standard input, from an offset on.
pub fn open(path: &Path, offset: u64) -> Result<(Box<dyn Read + Send>, Option<u64>), CliError> {
    let failed = |e: io::Error| CliError::file(path, &e);
    if path == Path::new("-") {
        let mut input = BufReader::new(io::stdin());
        skip(&mut input, offset).map_err(failed)?;
        return Ok((Box::new(input), None));
    }
    let mut file = File::open(path).map_err(failed)?;
    let meta = file.metadata().map_err(failed)?;
    if !meta.is_file() {
        skip(&mut file, offset).map_err(failed)?;
        return Ok((Box::new(file), None));
    }
    if meta.len() < offset {
        return Err(other_input(path));
    }
    file.seek(SeekFrom::Start(offset)).map_err(failed)?;
    Ok((Box::new(file), Some(meta.len())))
}

/// What cannot be sought is read up to there.
fn skip(input: &mut impl Read, offset: u64) -> io::Result<()> {
    let skipped = io::copy(&mut input.take(offset), &mut io::sink())?;
    if skipped < offset {
        return Err(io::Error::new(
            io::ErrorKind::UnexpectedEof,
            "it ends before the results do",
        ));
    }
    Ok(())
}

/// Results go on over the input they began with, and over no other.
pub fn other_input(path: &Path) -> CliError {
    CliError::usage(format!("the results are not of {}", path.display()))
        .next("give the file they were begun with, or begin anew with another --results FILE")
}
