//! Paths below `/v1`, every part percent-encoded.

use std::fmt::{self, Display, Write};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    text: String,
    has_query: bool,
}

impl Route {
    pub fn to(segments: &[&str]) -> Self {
        let mut text = "/v1".to_owned();
        for segment in segments {
            text.push('/');
            encode(segment, &mut text);
        }
        Self {
            text,
            has_query: false,
        }
    }

    /// A query parameter, where there is a value.
    #[must_use]
    pub fn with(mut self, name: &str, value: Option<impl Display>) -> Self {
        if let Some(value) = value {
            self.text.push(if self.has_query { '&' } else { '?' });
            self.has_query = true;
            self.text.push_str(name);
            self.text.push('=');
            encode(&value.to_string(), &mut self.text);
        }
        self
    }

    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// RFC 3986 section 2.3: everything but the unreserved characters.
fn encode(text: &str, out: &mut String) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            // Writing to a String does not fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_leave_their_place() {
        let route = Route::to(&["anchors", "../x?y", "keys"])
            .with("name", Some("pkg:npm/@a&b"))
            .with("none", None::<&str>)
            .with("limit", Some(5));
        assert_eq!(
            route.as_str(),
            "/v1/anchors/..%2Fx%3Fy/keys?name=pkg%3Anpm%2F%40a%26b&limit=5"
        );
    }
}
