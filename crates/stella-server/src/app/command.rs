//! Commands that people copy into a shell.

use std::borrow::Cow;

/// One word of a POSIX shell that means exactly this text: a name may come
/// from somebody who hopes that the command is pasted.
pub fn word(text: &str) -> Cow<'_, str> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"@%_+=:,./-".contains(&b);
    if !text.is_empty() && text.bytes().all(plain) {
        Cow::Borrowed(text)
    } else {
        Cow::Owned(format!("'{}'", text.replace('\'', r"'\''")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_reads_back_one_word_that_is_the_text() {
        for text in [
            "pkg:npm/%40acme/app@1.0.0",
            "test:$(touch /tmp/x)",
            "a b; c",
            "it's",
            "*",
            "pkg:oci/app?repository_url=ghcr.io&x=`id`",
            "",
        ] {
            let shell = std::process::Command::new("sh")
                .args(["-c", &format!("printf '%s|' {}", word(text))])
                .output()
                .expect("a shell");
            assert_eq!(String::from_utf8_lossy(&shell.stdout), format!("{text}|"));
        }
        assert_eq!(word("pkg:npm/left-pad@1.3.0"), "pkg:npm/left-pad@1.3.0");
    }
}
