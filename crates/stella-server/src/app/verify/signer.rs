//! `--signer`: only what a certain requester had signed is to count.

use stella_store::AttestationRow;

use super::evidence::KnownSignature;

/// A pattern of identities; without one, everybody's counts.
#[derive(Clone, Copy)]
pub(super) struct Signer<'a>(pub Option<&'a str>);

impl Signer<'_> {
    /// Whoever brings somebody else's envelope has asked for no signature.
    pub fn asked_for(self, row: &AttestationRow) -> bool {
        self.0
            .is_none_or(|pattern| !row.imported && glob(pattern, &row.requested.identity))
    }

    /// Those of them that count.
    pub fn of(self, known: impl IntoIterator<Item = KnownSignature>) -> Vec<KnownSignature> {
        let counts = |known: &KnownSignature| {
            self.0
                .is_none_or(|pattern| known.requested_by.iter().any(|who| glob(pattern, who)))
        };
        known.into_iter().filter(counts).collect()
    }
}

/// `*` stands for any run of characters.
fn glob(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = text.strip_prefix(parts.next().unwrap_or_default()) else {
        return false;
    };
    let parts: Vec<_> = parts.collect();
    let Some((last, middle)) = parts.split_last() else {
        return rest.is_empty();
    };
    for part in middle {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_stand_for_any_run_of_characters() {
        for (pattern, text, matches) in [
            ("token:ci-*", "token:ci-pay", true),
            ("token:ci-*", "token:cd-pay", false),
            ("*pay", "token:ci-pay", true),
            ("t*:*-pay", "token:ci-pay", true),
            ("token:ci-pay", "token:ci-pay", true),
            ("token:ci-pay", "token:ci-pay2", false),
            ("*", "", true),
            ("a*a", "a", false),
        ] {
            assert_eq!(glob(pattern, text), matches, "{pattern} {text}");
        }
    }
}
