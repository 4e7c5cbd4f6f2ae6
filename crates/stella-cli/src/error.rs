//! The one error a person sees: what happened, why, and the command that
//! mends it.

use std::fmt;

use stella_core::api::problem::Problem;
use stella_server::instance::InstanceError;

use crate::client::ClientError;
use crate::exit::Exit;

#[derive(Debug, Clone)]
pub struct CliError {
    pub exit: Exit,
    /// Stable.
    pub code: String,
    pub what: String,
    /// The causes behind it, outermost first.
    pub why: Vec<String>,
    pub next: Option<String>,
    /// As the server told it.
    pub problem: Option<Box<Problem>>,
}

impl CliError {
    pub fn new(exit: Exit, code: &str, what: impl fmt::Display) -> Self {
        Self {
            exit,
            code: code.to_owned(),
            what: what.to_string(),
            why: Vec::new(),
            next: None,
            problem: None,
        }
    }

    pub fn usage(what: impl fmt::Display) -> Self {
        Self::new(Exit::Usage, "cli.usage", what)
    }

    pub fn failed(code: &str, what: impl fmt::Display) -> Self {
        Self::new(Exit::Failed, code, what)
    }

    /// A file of the caller's that cannot be read or written.
    pub fn file(path: &std::path::Path, error: &std::io::Error) -> Self {
        let exit = match error.kind() {
            std::io::ErrorKind::NotFound => Exit::NotFound,
            _ => Exit::Failed,
        };
        Self::new(exit, "cli.file", format!("{}: {error}", path.display()))
    }

    #[must_use]
    pub fn because(mut self, why: impl fmt::Display) -> Self {
        self.why.push(why.to_string());
        self
    }

    #[must_use]
    pub fn next(mut self, command: impl Into<String>) -> Self {
        self.next = Some(command.into());
        self
    }

    /// The problem document that `-o json` prints.
    pub fn to_problem(&self) -> Problem {
        if let Some(problem) = &self.problem {
            return Problem {
                causes: self.why.clone(),
                next: self.next.clone(),
                ..(**problem).clone()
            };
        }
        Problem {
            kind: format!("urn:stella:problem:{}", self.code),
            title: title(self.exit).to_owned(),
            status: status(self.exit),
            detail: self.what.clone(),
            code: self.code.clone(),
            causes: self.why.clone(),
            next: self.next.clone(),
            trace: None,
        }
    }
}

impl From<Problem> for CliError {
    fn from(problem: Problem) -> Self {
        Self {
            exit: Exit::of_status(problem.status),
            code: problem.code.clone(),
            what: problem.detail.clone(),
            why: problem.causes.clone(),
            next: problem.next.clone(),
            problem: Some(Box::new(problem)),
        }
    }
}

impl From<ClientError> for CliError {
    fn from(error: ClientError) -> Self {
        if let ClientError::Problem(problem) = error {
            return Self::from(*problem);
        }
        Self {
            next: error.next(),
            ..Self::new(error.exit(), error.code(), &error)
        }
    }
}

impl From<InstanceError> for CliError {
    fn from(error: InstanceError) -> Self {
        Self::from(ClientError::from(error))
    }
}

impl fmt::Display for CliError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error: {}", self.what)?;
        for cause in &self.why {
            write!(f, "\n  because: {cause}")?;
        }
        if let Some(next) = &self.next {
            write!(f, "\n  next: {next}")?;
        }
        Ok(())
    }
}

impl std::error::Error for CliError {}

fn title(exit: Exit) -> &'static str {
    match exit {
        Exit::Usage => "the command makes no sense",
        Exit::NotFound => "not found",
        Exit::Denied => "not allowed",
        Exit::Unavailable => "unavailable",
        _ => "failed",
    }
}

/// What the API would have answered.
fn status(exit: Exit) -> u16 {
    match exit {
        Exit::Usage => 400,
        Exit::NotFound => 404,
        Exit::Denied => 403,
        Exit::Unavailable => 503,
        _ => 500,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_says_what_why_and_what_next() {
        let error = CliError::failed("x.y", "signing failed")
            .because("HSM unavailable")
            .next("stella attest retry");
        assert_eq!(
            error.to_string(),
            "error: signing failed\n  because: HSM unavailable\n  next: stella attest retry"
        );
        assert_eq!(error.to_problem().code, "x.y");
    }

    #[test]
    fn the_servers_problem_is_kept_whole() {
        let told = Problem {
            kind: "urn:stella:problem:key.unknown".into(),
            title: "not found".into(),
            status: 404,
            detail: "no key named x".into(),
            code: "key.unknown".into(),
            causes: vec![],
            next: Some("stella keys list".into()),
            trace: None,
        };
        let error = CliError::from(told.clone());
        assert_eq!(error.exit, Exit::NotFound);
        assert_eq!(error.to_problem(), told);
    }
}
