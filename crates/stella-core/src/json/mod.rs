//! Strict JSON intake: what two readers could read differently is refused.

mod bounded;
mod members;
mod object;
mod quick;

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, MapAccess, SeqAccess, Visitor};

pub use bounded::{Bounded, bounded};
pub(crate) use members::{List, Members, Value, members};
pub use object::Object;

/// Bounds of one document; settings under `limits.`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JsonLimits {
    pub max_bytes: usize,
    pub max_depth: usize,
}

impl Default for JsonLimits {
    fn default() -> Self {
        Self {
            max_bytes: 32 * 1024 * 1024,
            max_depth: 64,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JsonError {
    #[error("the document has {size} bytes, at most {max} are allowed")]
    TooLarge { size: usize, max: usize },
    #[error("the JSON nests deeper than {max} levels")]
    TooDeep { max: usize },
    #[error("the JSON object has the key {key:?} twice (line {line})")]
    DuplicateKey { key: String, line: usize },
    #[error("not UTF-8: byte {at} is not part of a character")]
    Utf8 { at: usize },
    #[error("not JSON: {message} (line {line}, column {column})")]
    Syntax {
        message: String,
        line: usize,
        column: usize,
    },
    #[error("not the expected JSON: {message}")]
    Shape { message: String },
}

impl JsonError {
    pub fn code(&self) -> &'static str {
        match self {
            Self::TooLarge { .. } => "json.too-large",
            Self::TooDeep { .. } => "json.too-deep",
            Self::DuplicateKey { .. } => "json.duplicate-key",
            Self::Utf8 { .. } => "json.utf8",
            Self::Syntax { .. } => "json.syntax",
            Self::Shape { .. } => "json.shape",
        }
    }

    pub(crate) fn missing(field: &str) -> Self {
        Self::Shape {
            message: format!("missing field `{field}`"),
        }
    }
}

/// The bytes as text, if they are one JSON text without duplicate keys (RFC
/// 8259 section 4 leaves those to the reader, so no two need agree).
pub fn check<'a>(bytes: &'a [u8], limits: &JsonLimits) -> Result<&'a str, JsonError> {
    if bytes.len() > limits.max_bytes {
        return Err(JsonError::TooLarge {
            size: bytes.len(),
            max: limits.max_bytes,
        });
    }
    let text = std::str::from_utf8(bytes).map_err(|e| JsonError::Utf8 { at: e.valid_up_to() })?;
    let mut deserializer = serde_json::Deserializer::from_str(text);
    // The bound below is ours, so that it can be set and is told clearly.
    deserializer.disable_recursion_limit();
    let mut refused = None;
    let seed = Strict {
        left: limits.max_depth.min(MAX_DEPTH),
        open: &mut Vec::new(),
        refused: &mut refused,
    };
    let outcome = seed
        .deserialize(&mut deserializer)
        .and_then(|()| deserializer.end());
    outcome.map(|()| text).map_err(|e| match refused {
        Some(Refused::Depth) => JsonError::TooDeep {
            max: limits.max_depth.min(MAX_DEPTH),
        },
        Some(Refused::Duplicate(key)) => JsonError::DuplicateKey { key, line: e.line() },
        None => syntax(&e),
    })
}

/// Checked first, then read into its type; unknown fields are the type's affair.
pub fn parse<'de, T: Deserialize<'de>>(bytes: &'de [u8], limits: &JsonLimits) -> Result<T, JsonError> {
    read(check(bytes, limits)?)
}

/// Reads a document, or a value in it, that passed [`check`].
pub fn read<'de, T: Deserialize<'de>>(checked: &'de str) -> Result<T, JsonError> {
    serde_json::from_str(checked).map_err(|e| shape(&e))
}

/// Ours, whatever the setting: each level costs stack.
const MAX_DEPTH: usize = 120;

/// Up to here keys are compared one by one, which is faster and allocates less.
const LINEAR_KEYS: usize = 16;

enum Refused {
    Depth,
    Duplicate(String),
}

/// Walks a value and keeps nothing of it but the keys of open objects.
struct Strict<'a, 'de> {
    left: usize,
    /// The keys of each open object behind those of the one around it.
    open: &'a mut Vec<Cow<'de, str>>,
    refused: &'a mut Option<Refused>,
}

impl<'de> DeserializeSeed<'de> for Strict<'_, 'de> {
    type Value = ();

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Strict<'_, 'de> {
    fn within(&mut self, left: usize) -> Strict<'_, 'de> {
        Strict {
            left,
            open: self.open,
            refused: self.refused,
        }
    }

    fn descend<E: serde::de::Error>(&mut self) -> Result<usize, E> {
        self.left.checked_sub(1).ok_or_else(|| {
            *self.refused = Some(Refused::Depth);
            E::custom("too deep")
        })
    }
}

impl<'de> Visitor<'de> for Strict<'_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut seq: A) -> Result<(), A::Error> {
        let left = self.descend()?;
        while seq.next_element_seed(self.within(left))?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        let left = self.descend()?;
        let mut keys = Keys::of(&self);
        while let Some(Text(key)) = map.next_key()? {
            keys.enter(&mut self, key)?;
            map.next_value_seed(self.within(left))?;
        }
        keys.leave(self);
        Ok(())
    }
}

/// The keys of one open object.
struct Keys<'de> {
    /// Where they begin among those of all open objects.
    first: usize,
    many: Option<HashSet<Cow<'de, str>>>,
}

impl<'de> Keys<'de> {
    fn of(strict: &Strict<'_, 'de>) -> Self {
        Self {
            first: strict.open.len(),
            many: None,
        }
    }

    fn enter<E: serde::de::Error>(
        &mut self,
        strict: &mut Strict<'_, 'de>,
        key: Cow<'de, str>,
    ) -> Result<(), E> {
        let few = strict.open.get(self.first..).unwrap_or_default();
        if few.contains(&key) || self.many.as_ref().is_some_and(|many| many.contains(&key)) {
            let shown = key.chars().take(64).collect();
            *strict.refused = Some(Refused::Duplicate(shown));
            return Err(E::custom("duplicate key"));
        }
        if few.len() < LINEAR_KEYS {
            strict.open.push(key);
        } else {
            self.many.get_or_insert_default().insert(key);
        }
        Ok(())
    }

    fn leave(self, strict: Strict<'_, 'de>) {
        strict.open.truncate(self.first);
    }
}

/// Borrowed unless it had escapes.
struct Text<'de>(Cow<'de, str>);

impl<'de> serde::Deserialize<'de> for Text<'de> {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct V;
        impl<'de> Visitor<'de> for V {
            type Value = Text<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_borrowed_str<E>(self, s: &'de str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Borrowed(s)))
            }

            fn visit_str<E>(self, s: &str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Owned(s.to_owned())))
            }
        }
        d.deserialize_str(V)
    }
}

fn shape(e: &serde_json::Error) -> JsonError {
    JsonError::Shape {
        message: without_position(e).chars().take(200).collect(),
    }
}

fn syntax(e: &serde_json::Error) -> JsonError {
    JsonError::Syntax {
        message: without_position(e),
        line: e.line(),
        column: e.column(),
    }
}

fn without_position(e: &serde_json::Error) -> String {
    let text = e.to_string();
    text.split(" at line ").next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(text: &[u8]) -> &'static str {
        check(
            text,
            &JsonLimits {
                max_bytes: 4096,
                max_depth: 8,
            },
        )
        .map_or_else(|e| e.code(), |_| "ok")
    }

    #[test]
    fn every_vector_is_answered_with_the_code_its_folder_names() {
        crate::vectors::walk_by_code("json", |bytes| {
            check(bytes, &JsonLimits::default())
                .map(|_| ())
                .map_err(|e| e.code())
        });
    }

    #[test]
    fn what_two_readers_could_read_differently_is_refused() {
        assert_eq!(code(br#"{"a":[1,2.5e3,null,true,"x"],"b":{"a":{}}}"#), "ok");
        assert_eq!(code(br#"{"a":1,"b":{"c":1,"c":2}}"#), "json.duplicate-key");
        assert_eq!(code(br#"{"a":1,"\u0061":2}"#), "json.duplicate-key");
        assert_eq!(code(b"[[[[[[[[]]]]]]]]"), "ok");
        assert_eq!(code(b"[[[[[[[[[]]]]]]]]]"), "json.too-deep");
        assert_eq!(code(b"{\"a\":\"\xff\"}"), "json.utf8");
        assert_eq!(code(b"{} {}"), "json.syntax");
        assert_eq!(code(b""), "json.syntax");
        assert_eq!(code(b"{\"a\":1,}"), "json.syntax");
        assert_eq!(code(&vec![b' '; 5000]), "json.too-large");
    }

    #[test]
    fn duplicates_are_found_among_many_keys() {
        let mut object: String = (0..200).map(|i| format!("\"k{i}\":0,")).collect();
        object.push_str("\"last\":1");
        assert_eq!(code(format!("{{{object}}}").as_bytes()), "ok");
        for again in ["k7", "k150", "k199"] {
            let object = object.replace("last", again);
            assert_eq!(
                code(format!("{{{object}}}").as_bytes()),
                "json.duplicate-key",
                "{again}"
            );
        }
    }
}
