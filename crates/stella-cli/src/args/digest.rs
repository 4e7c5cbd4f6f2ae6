//! Digests on the command line: `sha256:HEX`, or 64 hex digits.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::str::FromStr;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use stella_core::digest::Sha256Stream;

use crate::error::CliError;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Digest {
    pub algorithm: String,
    pub hex: String,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotADigest {
    #[error("\"{0}\" is not a digest: write sha256:HEX (64 hex digits)")]
    Form(String),
    #[error("{algorithm} takes {expected} hex digits, {found} were given")]
    Length {
        algorithm: String,
        expected: usize,
        found: usize,
    },
    #[error("{0} digests are not accepted: two files can be made to share one; use sha256")]
    Weak(String),
}

/// in-toto's names of digest algorithms and their lengths in hex digits.
const LENGTHS: &[(&str, usize)] = &[
    ("sha256", 64),
    ("sha384", 96),
    ("sha512", 128),
    ("sha3_256", 64),
    ("sha3_384", 96),
    ("sha3_512", 128),
];
/// Files from here on show their progress.
const BIG: u64 = 64 << 20;

impl Digest {
    pub fn sha256(hex: String) -> Self {
        Self {
            algorithm: "sha256".to_owned(),
            hex,
        }
    }

    /// Of a file of any size, read once and never held whole.
    pub fn of_file(path: &Path, show_progress: bool) -> Result<Self, CliError> {
        let failed = |e: std::io::Error| CliError::file(path, &e);
        let mut file = File::open(path).map_err(failed)?;
        let size = file.metadata().map_err(failed)?.len();
        let bar = (show_progress && size >= BIG).then(|| progress(size, path));
        let mut stream = Sha256Stream::new();
        let mut buffer = vec![0; 1 << 20];
        loop {
            let read = file.read(&mut buffer).map_err(failed)?;
            let Some(chunk) = buffer.get(..read).filter(|c| !c.is_empty()) else {
                break;
            };
            stream.update(chunk);
            if let Some(bar) = &bar {
                bar.inc(chunk.len() as u64);
            }
        }
        if let Some(bar) = bar {
            bar.finish_and_clear();
        }
        Ok(Self::sha256(stream.finish().to_hex()))
    }

    /// Whether the text has the form of a digest at all, right or wrong.
    pub fn looks_like(text: &str) -> bool {
        text.split_once(':').is_some_and(|(algorithm, _)| {
            LENGTHS.iter().any(|(name, _)| *name == algorithm) || is_weak(algorithm)
        })
    }
}

impl FromStr for Digest {
    type Err = NotADigest;

    fn from_str(text: &str) -> Result<Self, NotADigest> {
        let refuse = || NotADigest::Form(text.chars().take(80).collect());
        let (algorithm, hex) = match text.split_once(':') {
            Some(parts) => parts,
            None if text.len() == 64 => ("sha256", text),
            None => return Err(refuse()),
        };
        let algorithm = algorithm.to_ascii_lowercase();
        if is_weak(&algorithm) {
            return Err(NotADigest::Weak(algorithm));
        }
        let expected = LENGTHS
            .iter()
            .find_map(|(name, length)| (*name == algorithm).then_some(*length))
            .ok_or_else(refuse)?;
        if !hex.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(refuse());
        }
        if hex.len() != expected {
            return Err(NotADigest::Length {
                algorithm,
                expected,
                found: hex.len(),
            });
        }
        Ok(Self {
            algorithm,
            hex: hex.to_ascii_lowercase(),
        })
    }
}

fn is_weak(algorithm: &str) -> bool {
    matches!(algorithm, "md5" | "sha1")
}

fn progress(size: u64, path: &Path) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(size), ProgressDrawTarget::stderr());
    if let Ok(style) = ProgressStyle::with_template("{msg} {bar:30} {bytes}/{total_bytes} {eta}") {
        bar.set_style(style);
    }
    let name = path.file_name().unwrap_or(path.as_os_str());
    bar.set_message(format!("reading {}", name.to_string_lossy()));
    bar
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn digests_name_their_algorithm_or_are_sha256() {
        let hex = "AB".repeat(32);
        let digest: Digest = format!("sha256:{hex}").parse().expect("a digest");
        assert_eq!(digest.hex, hex.to_lowercase());
        assert_eq!(hex.parse::<Digest>(), Ok(digest));
        assert!(matches!("sha1:aa".parse::<Digest>(), Err(NotADigest::Weak(_))));
        assert!(matches!(
            "sha256:aa".parse::<Digest>(),
            Err(NotADigest::Length {
                expected: 64,
                found: 2,
                ..
            })
        ));
        for bad in [
            "",
            "sha256:",
            "crc32:aabbccdd",
            "aa",
            &format!("sha256:{}", "zz".repeat(32)),
        ] {
            assert!(bad.parse::<Digest>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_files_digest_is_that_of_its_bytes() {
        let mut file = tempfile::NamedTempFile::new().expect("a file");
        file.write_all(b"abc").expect("written");
        let digest = Digest::of_file(file.path(), false).expect("read");
        // FIPS 180-4's own example.
        assert_eq!(
            digest.hex,
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }
}
