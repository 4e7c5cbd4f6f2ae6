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
