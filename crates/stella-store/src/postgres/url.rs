//! `postgres://USER@HOST/DATABASE?...`, read once.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use tokio_postgres::Config;
use tokio_postgres::config::{ChannelBinding, Host, SslMode};

/// Where a database is and how the way there is protected. Never shows a
/// password.
#[derive(Clone, PartialEq, Eq)]
pub struct PostgresUrl {
    pub(super) config: Config,
    pub(super) tls: Tls,
    text: String,
}

/// How a server across a network proves who it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Tls {
    /// A Unix socket; or said so in so many words.
    Off,
    /// Encrypted, to whoever answers: `sslmode=require` without authorities.
    Unverified,
    /// By a certificate of these authorities (else of those that the machine
    /// trusts), and where `name` is set for the name that was asked for.
    Verified {
        authorities: Option<PathBuf>,
        name: bool,
    },
}

/// Why a text is no such address. What was given is not repeated: it may hold
/// a password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadUrl(String);

impl PostgresUrl {
    pub fn user(&self) -> &str {
        self.config.get_user().unwrap_or_default()
    }

    pub fn database(&self) -> &str {
        self.config.get_dbname().unwrap_or(self.user())
    }

    pub fn holds_a_password(&self) -> bool {
        self.config.get_password().is_some()
    }

    /// As it was given, password and all.
    pub fn as_text(&self) -> &str {
        &self.text
    }

    /// For people.
    pub fn place(&self) -> String {
        let hosts: Vec<_> = self.config.get_hosts().iter().map(named).collect();
        format!("database {} at {}", self.database(), hosts.join(", "))
    }
}

impl fmt::Debug for PostgresUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "PostgresUrl({} as {}, {:?})",
            self.place(),
            self.user(),
            self.tls
        )
    }
}

impl FromStr for PostgresUrl {
    type Err = BadUrl;

    fn from_str(text: &str) -> Result<Self, BadUrl> {
        let (base, query) = split(text);
        let mut asked = Asked::default();
        let mut rest = Vec::new();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            match pair.split_once('=') {
                Some(("sslmode", mode)) => asked.mode = Some(mode.to_owned()),
                Some(("sslrootcert", file)) if file.starts_with('/') && !file.contains('%') => {
                    asked.authorities = Some(file.into());
                }
                Some(("sslrootcert", _)) => {
                    return refuse("sslrootcert is a path from the root, written as it is");
                }
                Some((name, _)) if KNOWN.contains(&name) => rest.push(pair),
                _ => {
                    return refuse(&format!(
                        "a postgres:// URL takes the parameters sslmode, sslrootcert, {}",
                        KNOWN.join(", ")
                    ));
                }
            }
        }
        let plain = match rest.is_empty() {
            true => base.to_owned(),
            false => format!("{base}?{}", rest.join("&")),
        };
        let mut config: Config = plain.parse().map_err(|_| {
            BadUrl(
                "no postgres:// URL: write postgres://USER@HOST/DATABASE, with %XX for what is special in it"
                    .into(),
            )
        })?;
        if config.get_user().is_none_or(str::is_empty) {
            return refuse("it names no user: postgres://USER@HOST/DATABASE");
        }
        let tls = asked.settle(config.get_hosts())?;
        config
            .application_name("stella")
            .channel_binding(ChannelBinding::Disable)
            .ssl_mode(match tls {
                Tls::Off => SslMode::Disable,
                _ => SslMode::Require,
            });
        Ok(Self {
            config,
            tls,
            text: text.to_owned(),
        })
    }
}

#[derive(Default)]
struct Asked {
    mode: Option<String>,
    authorities: Option<PathBuf>,
}

impl Asked {
    fn settle(self, hosts: &[Host]) -> Result<Tls, BadUrl> {
        let sockets = hosts.iter().filter(|host| matches!(host, Host::Unix(_))).count();
        if hosts.is_empty() {
            return refuse(
                "it names no host: postgres://USER@HOST/DATABASE, or ?host=/FOLDER for a Unix socket",
            );
        }
        if sockets == hosts.len() {
            return Ok(Tls::Off);
        }
        if sockets > 0 {
            return refuse("it names Unix sockets and hosts; name one kind");
        }
        let authorities = self.authorities;
        match (self.mode.as_deref(), authorities) {
            (None | Some("verify-full"), authorities) => Ok(Tls::Verified {
                authorities,
                name: true,
            }),
            // Authorities that are named are asked, as by PostgreSQL's own clients.
            (Some("verify-ca"), authorities) | (Some("require"), authorities @ Some(_)) => {
                Ok(Tls::Verified {
                    authorities,
                    name: false,
                })
            }
            (Some("require"), None) => Ok(Tls::Unverified),
            (Some("disable"), None) => Ok(Tls::Off),
            (Some("disable"), Some(_)) => refuse("sslrootcert says nothing beside sslmode=disable"),
            _ => refuse("sslmode is verify-full, verify-ca, require or disable"),
        }
    }
}

fn refuse<T>(why: &str) -> Result<T, BadUrl> {
    Err(BadUrl(why.to_owned()))
}

/// What stands before the first `@` is user and password, whatever is in it.
fn split(text: &str) -> (&str, &str) {
    let place = text.find('@').map_or(0, |at| at + 1);
    match text.get(place..).and_then(|rest| rest.find('?')) {
        Some(query) => (&text[..place + query], &text[place + query + 1..]),
        None => (text, ""),
    }
}

fn named(host: &Host) -> String {
    match host {
        Host::Tcp(name) => name.clone(),
        Host::Unix(folder) => folder.display().to_string(),
    }
}

/// What is passed on. Timeouts and the like are settings of their own.
const KNOWN: &[&str] = &[
    "host",
    "hostaddr",
    "port",
    "dbname",
    "password",
    "target_session_attrs",
    "tcp_user_timeout",
    "keepalives",
    "keepalives_idle",
    "keepalives_interval",
    "keepalives_retries",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn tls(text: &str) -> Tls {
        text.parse::<PostgresUrl>().expect(text).tls
    }

    #[test]
    fn across_a_network_the_server_proves_its_name_unless_told_otherwise() {
        let verified = |name| Tls::Verified {
            authorities: None,
            name,
        };
        assert_eq!(tls("postgres://u@db.example/stella"), verified(true));
        assert_eq!(
            tls("postgres://u@db.example/stella?sslmode=verify-ca"),
            verified(false)
        );
        assert_eq!(
            tls("postgres://u@db.example/stella?sslmode=require"),
            Tls::Unverified
        );
        assert_eq!(tls("postgres://u@db.example/stella?sslmode=disable"), Tls::Off);
        assert_eq!(tls("postgres://u@/stella?host=/run/postgresql"), Tls::Off);
        assert_eq!(
            tls("postgres://u@db/stella?sslmode=require&sslrootcert=/etc/ca.pem"),
            Tls::Verified {
                authorities: Some("/etc/ca.pem".into()),
                name: false
            }
        );
    }

    #[test]
    fn what_is_refused_says_why_and_repeats_no_password() {
        for (text, says) in [
            ("postgres://u:secret@[", "no postgres:// URL"),
            (
                "postgres://u:secret@db/x?sslmode=prefer",
                "sslmode is verify-full",
            ),
            (
                "postgres://u:secret@db/x?sslrootcert=ca.pem",
                "a path from the root",
            ),
            (
                "postgres://u:secret@db/x?connect_timeout=3",
                "takes the parameters",
            ),
            (
                "postgres://u:secret@db/x?channel_binding=require",
                "takes the parameters",
            ),
            ("postgres://u:secret@/x", "names no host"),
            ("postgres://db/x?password=secret", "names no user"),
            ("postgres://u:secret@db/x?host=/run", "one kind"),
        ] {
            let refused = text.parse::<PostgresUrl>().expect_err(text).to_string();
            assert!(
                refused.contains(says) && !refused.contains("secret"),
                "{text}: {refused}"
            );
        }
    }

    #[test]
    fn a_password_is_used_and_never_shown() {
        for text in [
            "postgres://u:sec?ret@db/x",
            "postgres://u@db/x?password=sec?ret",
            "postgres://u:sec%3Fret@db/x?sslmode=require",
        ] {
            let url: PostgresUrl = text.parse().expect(text);
            assert_eq!(url.config.get_password(), Some(&b"sec?ret"[..]), "{text}");
            let shown = format!("{url:?} {}", url.place());
            assert!(!shown.contains("ret"), "{shown}");
        }
    }
}
