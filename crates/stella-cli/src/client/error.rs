//! What can go wrong between the command and the instance; each with its exit
//! code and with what to do.

use std::path::PathBuf;

use http::StatusCode;
use stella_core::api::problem::Problem;
use stella_server::home::HomeError;
use stella_server::instance::InstanceError;

use super::target::Reached;
use super::transport::Failure;
use crate::exit::Exit;

#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    #[error("no server was named and there is no home here")]
    NoTarget,
    #[error("{0}")]
    Usage(String),
    #[error(transparent)]
    Instance(Box<InstanceError>),
    /// The home's lock is held, so somebody lives there, and yet.
    #[error("a server holds this home but refuses at {}: {source}", .socket.display())]
    SocketRefuses { socket: PathBuf, source: std::io::Error },
    #[error("the socket {} cannot be used by this user", .0.display())]
    SocketDenied(PathBuf),
    #[error("{place} cannot be reached: {why}")]
    Unreachable { place: String, why: String },
    #[error("TLS with {place} failed, nothing was sent: {why}")]
    Untrusted { place: String, why: String },
    /// After something had been sent: it may have been done.
    #[error("{place} broke off before it had answered: {why}")]
    BrokenOff { place: String, why: String },
    #[error("the token was not sent: {0} is plain HTTP, and others could read it on the way")]
    TokenInClear(String),
    #[error("what came could not be written: {0}")]
    NotTaken(std::io::Error),
    #[error("the instance answered")]
    Problem(Box<Problem>),
    #[error("the answer ({status}) was not understood: {why}")]
    NotUnderstood { status: StatusCode, why: String },
}

impl From<InstanceError> for ClientError {
    fn from(error: InstanceError) -> Self {
        Self::Instance(Box::new(error))
    }
}

impl ClientError {
    pub(super) fn usage(message: impl Into<String>) -> Self {
        Self::Usage(message.into())
    }

    pub(super) fn of(failure: Failure, reached: &Reached) -> Self {
        let place = reached.to_string();
        match failure {
            Failure::NotSent(why) => Self::Unreachable { place, why },
            Failure::Tls(why) => Self::Untrusted { place, why },
            Failure::Broken(why) => Self::BrokenOff { place, why },
            Failure::TokenInClear => Self::TokenInClear(place),
            Failure::Invalid(why) => Self::Usage(why),
            Failure::NotTaken(why) => Self::NotTaken(why),
        }
    }

    pub fn exit(&self) -> Exit {
        match self {
            Self::NoTarget | Self::Usage(_) | Self::TokenInClear(_) => Exit::Usage,
            Self::SocketDenied(_) => Exit::Denied,
            Self::SocketRefuses { .. } | Self::Unreachable { .. } | Self::Untrusted { .. } => {
                Exit::Unavailable
            }
            Self::BrokenOff { .. } | Self::NotUnderstood { .. } | Self::NotTaken(_) => Exit::Failed,
            Self::Problem(problem) => Exit::of_status(problem.status),
            Self::Instance(e) => match &**e {
                InstanceError::Home(HomeError::InUse(_) | HomeError::ReadOnly { .. }) => Exit::Unavailable,
                InstanceError::Home(HomeError::Owner { .. }) => Exit::Denied,
                InstanceError::Home(HomeError::Io { .. }) => Exit::Failed,
                InstanceError::Store(_) if e.code() == "store.moved" => Exit::Usage,
                InstanceError::Home(_)
                | InstanceError::Config(_)
                | InstanceError::Shared(_)
                | InstanceError::NotMoved(_) => Exit::Usage,
                InstanceError::SealingKeyLost(_)
                | InstanceError::SealingKeyElsewhere(_)
                | InstanceError::SealingKeyOfAnother { .. }
                | InstanceError::SealingKey(_)
                | InstanceError::Store(_)
                | InstanceError::Clock(_) => Exit::Unavailable,
                InstanceError::App(e) if e.kind == stella_server::app::ErrorKind::Unavailable => {
                    Exit::Unavailable
                }
                InstanceError::App(_) => Exit::Failed,
            },
        }
    }

    /// Stable.
    pub fn code(&self) -> &str {
        match self {
            Self::NoTarget => "client.no-target",
            Self::Usage(_) => "client.usage",
            Self::Instance(e) => e.code(),
            Self::SocketRefuses { .. } => "client.socket-refuses",
            Self::SocketDenied(_) => "client.socket-denied",
            Self::Unreachable { .. } => "client.unreachable",
            Self::Untrusted { .. } => "client.tls",
            Self::BrokenOff { .. } => "client.broken-off",
            Self::TokenInClear(_) => "client.token-in-clear",
            Self::Problem(problem) => &problem.code,
            Self::NotTaken(_) => "client.not-taken",
            Self::NotUnderstood { .. } => "client.not-understood",
        }
    }

    /// What mends it.
    pub fn next(&self) -> Option<String> {
        let next = match self {
            Self::NoTarget => {
                "name a server with --server URL (or STELLA_SERVER), or make a home here with: stella init"
            }
            Self::Usage(_) => return None,
            Self::Instance(e) => return e.next(),
            Self::SocketRefuses { .. } => "repeat; if it stays so, look at the server's log and restart it",
            Self::SocketDenied(_) => {
                "run it as the user that the server runs as, or use --server with a token"
            }
            Self::Untrusted { .. } => {
                "have the server's certificate issued by an authority that this machine trusts, or name the file with that authority's certificate: SSL_CERT_FILE=ca.pem"
            }
            Self::Unreachable { .. } => {
                "check the address, and that stella serve runs there; it is safe to repeat"
            }
            Self::BrokenOff { .. } => {
                "see whether it was done before repeating it: stella audit query, stella attest list"
            }
            Self::TokenInClear(_) => "use https://, or the Unix socket of the home (--home)",
            Self::Problem(problem) => return problem.next.clone(),
            Self::NotTaken(_) => "see that there is room and that the place can be written, and repeat it",
            Self::NotUnderstood { .. } => {
                "check that the address is a Stella server, and its version: stella attest status"
            }
        };
        Some(next.to_owned())
    }
}
