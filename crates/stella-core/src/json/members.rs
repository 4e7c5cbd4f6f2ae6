//! Documents checked and read in one pass.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use serde::de::{DeserializeSeed, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::{JsonError, JsonLimits, Keys, MAX_DEPTH, Strict, Text, check, object, quick, shape};

/// Reads the members of an object, one by one, into itself.
pub(crate) trait Members<'de>: Clone {
    /// What they are called, in this case of the letters and no other (see
    /// [`super::Object`]). Others are checked and skipped.
    const NAMES: &'static [&'static str];

    fn member<V: Value<'de>>(&mut self, name: &str, value: V) -> Result<(), V::Error>;
}

/// The value of one member, not read yet.
pub(crate) trait Value<'de>: Sized {
    type Error;

    fn text(self) -> Result<Cow<'de, str>, Self::Error>;

    fn text_or_null(self) -> Result<Option<Cow<'de, str>>, Self::Error>;

    /// The value's own bytes. They are not checked: read them with [`members`].
    fn unchecked(self) -> Result<&'de str, Self::Error>;

    /// An object, into `into`.
    fn object<T: Members<'de>>(self, into: &mut T) -> Result<(), Self::Error>;

    /// An object of texts.
    fn texts(self) -> Result<BTreeMap<String, String>, Self::Error>;

    /// Objects, up to the list's bound; what follows costs neither time nor
    /// memory, and the list remembers that there was more.
    fn list<T: Members<'de> + Default>(self, into: &mut List<T>) -> Result<(), Self::Error>;

    fn skip(self) -> Result<(), Self::Error>;
}

/// Reads one object; refuses whatever [`check`] refuses, for the same reason,
/// and what `into` does not take.
pub(crate) fn members<'de, T: Members<'de>>(
    bytes: &'de [u8],
    limits: &JsonLimits,
    into: &mut T,
) -> Result<&'de str, JsonError> {
    // A document in order is read once; the reason for a refusal may cost more.
    let refused = match std::str::from_utf8(bytes) {
        Ok(text) if text.len() <= limits.max_bytes => {
            let untouched = into.clone();
            if quick::read(text, limits, into).is_ok() {
                return Ok(text);
            }
            *into = untouched;
            match read(text, limits, into) {
                Ok(()) => return Ok(text),
                Err(e) => shape(&e),
            }
        }
        _ => shape(&serde_json::Error::custom("not a text within its bounds")),
    };
    check(bytes, limits)?;
    Err(refused)
}

pub(super) fn read<'de, T: Members<'de>>(
    text: &'de str,
    limits: &JsonLimits,
    into: &mut T,
) -> Result<(), serde_json::Error> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    deserializer.disable_recursion_limit();
    let strict = Strict {
        left: limits.max_depth.min(MAX_DEPTH),
        open: &mut Vec::new(),
        refused: &mut None,
    };
    serde::Deserializer::deserialize_map(&mut deserializer, Of { into, strict })?;
    deserializer.end()
}

struct Unread<'a, 'de, A> {
    map: &'a mut A,
    strict: Strict<'a, 'de>,
}

impl<'de, A: MapAccess<'de>> Value<'de> for Unread<'_, 'de, A> {
    type Error = A::Error;

    fn text(self) -> Result<Cow<'de, str>, A::Error> {
        self.map.next_value().map(|Text(text)| text)
    }

    fn text_or_null(self) -> Result<Option<Cow<'de, str>>, A::Error> {
        let text: Option<Text<'de>> = self.map.next_value()?;
        Ok(text.map(|Text(text)| text))
    }

    fn unchecked(self) -> Result<&'de str, A::Error> {
        self.map.next_value().map(RawValue::get)
    }

    fn object<T: Members<'de>>(self, into: &mut T) -> Result<(), A::Error> {
        let strict = self.strict;
        self.map.next_value_seed(Of { into, strict })
    }

    fn texts(self) -> Result<BTreeMap<String, String>, A::Error> {
        let strict = self.strict;
        self.map.next_value_seed(Texts { strict })
    }

    fn list<T: Members<'de> + Default>(self, into: &mut List<T>) -> Result<(), A::Error> {
        let strict = self.strict;
        self.map.next_value_seed(Items { into, strict })
    }

    fn skip(self) -> Result<(), A::Error> {
        self.map.next_value_seed(self.strict)
    }
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct List<T> {
    pub items: Vec<T>,
    pub exceeded: bool,
    pub(super) max: usize,
}

impl<T> List<T> {
    pub fn up_to(max: usize) -> Self {
        Self {
            items: Vec::new(),
            exceeded: false,
            max,
        }
    }
}

struct Of<'a, 'de, T> {
    into: &'a mut T,
    strict: Strict<'a, 'de>,
}

impl<'de, T: Members<'de>> Visitor<'de> for Of<'_, 'de, T> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        let left = self.strict.descend()?;
        let mut keys = Keys::of(&self.strict);
        while let Some(Text(key)) = map.next_key()? {
            let name = object::named(T::NAMES, &key)?;
            keys.enter(&mut self.strict, key)?;
            let value = Unread {
                map: &mut map,
                strict: self.strict.within(left),
            };
            match name {
                Some(name) => self.into.member(name, value)?,
                None => value.skip()?,
            }
        }
        keys.leave(self.strict);
        Ok(())
    }
}

impl<'de, T: Members<'de>> DeserializeSeed<'de> for Of<'_, 'de, T> {
    type Value = ();

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

struct Items<'a, 'de, T> {
    into: &'a mut List<T>,
    strict: Strict<'a, 'de>,
}

impl<'de, T: Members<'de> + Default> DeserializeSeed<'de> for Items<'_, 'de, T> {
    type Value = ();

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de, T: Members<'de> + Default> Visitor<'de> for Items<'_, 'de, T> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut seq: A) -> Result<(), A::Error> {
        let left = self.strict.descend()?;
        while self.into.items.len() < self.into.max {
            let mut item = T::default();
            let seed = Of {
                into: &mut item,
                strict: self.strict.within(left),
            };
            if seq.next_element_seed(seed)?.is_none() {
                return Ok(());
            }
            self.into.items.push(item);
        }
        match seq.next_element::<IgnoredAny>()? {
            None => Ok(()),
            Some(_) => {
                self.into.exceeded = true;
                Err(A::Error::custom("too many items"))
            }
        }
    }
}

struct Texts<'a, 'de> {
    strict: Strict<'a, 'de>,
}

impl<'de> DeserializeSeed<'de> for Texts<'_, 'de> {
    type Value = BTreeMap<String, String>;

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Texts<'_, 'de> {
    type Value = BTreeMap<String, String>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of strings")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<Self::Value, A::Error> {
        self.strict.descend()?;
        let mut texts = BTreeMap::new();
        while let Some(Text(key)) = map.next_key()? {
            let Text(value) = map.next_value()?;
            if texts.insert(key.into_owned(), value.into_owned()).is_some() {
                return Err(A::Error::custom("duplicate key"));
            }
        }
        Ok(texts)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Debug, Clone, PartialEq)]
    pub struct Doc<'de> {
        name: Option<Cow<'de, str>>,
        tags: BTreeMap<String, String>,
        items: List<Item<'de>>,
    }

    impl Doc<'_> {
        pub fn new() -> Self {
            Self {
                name: None,
                tags: BTreeMap::new(),
                items: List::up_to(2),
            }
        }
    }

    #[derive(Debug, Clone, Default, PartialEq)]
    pub struct Item<'de>(Option<Cow<'de, str>>);

    impl<'de> Members<'de> for Doc<'de> {
        const NAMES: &'static [&'static str] = &["name", "tags", "items"];

        fn member<V: Value<'de>>(&mut self, name: &str, value: V) -> Result<(), V::Error> {
            match name {
                "name" => self.name = value.text_or_null()?,
                "tags" => self.tags = value.texts()?,
                _ => value.list(&mut self.items)?,
            }
            Ok(())
        }
    }

    impl<'de> Members<'de> for Item<'de> {
        const NAMES: &'static [&'static str] = &["id"];

        fn member<V: Value<'de>>(&mut self, _: &str, value: V) -> Result<(), V::Error> {
            self.0 = Some(value.text()?);
            Ok(())
        }
    }

    pub const LIMITS: JsonLimits = JsonLimits {
        max_bytes: 200,
        max_depth: 4,
    };

    fn code(text: &str) -> &'static str {
        members(text.as_bytes(), &LIMITS, &mut Doc::new()).map_or_else(|e| e.code(), |_| "ok")
    }

    #[test]
    fn members_are_read_and_the_rest_is_checked() {
        let text = r#"{"x":{"a":[1]},"items":[{"id":"1","y":[]},{}],"tags":{"a":"b"},"name":"n\u0041"}"#;
        let mut doc = Doc::new();
        assert_eq!(members(text.as_bytes(), &LIMITS, &mut doc), Ok(text));
        assert_eq!(doc.name.as_deref(), Some("nA"));
        assert_eq!(doc.tags, BTreeMap::from([("a".to_owned(), "b".to_owned())]));
        let ids: Vec<_> = doc.items.items.iter().map(|i| i.0.as_deref()).collect();
        assert_eq!(ids, [Some("1"), None]);
    }

    #[test]
    fn a_refusal_has_the_reason_that_the_check_gives() {
        for (text, wanted) in [
            (r#"{"a":1,"a":2}"#, "json.duplicate-key"),
            (r#"{"name":"a","name":"b"}"#, "json.duplicate-key"),
            (r#"{"tags":{"a":"b","a":"b"}}"#, "json.duplicate-key"),
            (r#"{"items":[{"id":"1","id":"2"}]}"#, "json.duplicate-key"),
            (r#"{"items":[{"x":{"a":1,"\u0061":2}}]}"#, "json.duplicate-key"),
            (r#"{"items":[{"x":[[]]}]}"#, "json.too-deep"),
            (r#"{"name":1,"a":}"#, "json.syntax"),
            (r#"{} {}"#, "json.syntax"),
            (r#"{"name":1}"#, "json.shape"),
            (r#"{"Name":"a"}"#, "json.shape"),
            (r#"{"items":[{"ID":"a"}]}"#, "json.shape"),
            (r#"{"items":[{},{},{}]}"#, "json.shape"),
            (r#"{"items":[["a"]]}"#, "json.shape"),
            ("[]", "json.shape"),
        ] {
            assert_eq!(code(text), wanted, "{text}");
        }
        assert_eq!(code(&format!("{{{}}}", " ".repeat(200))), "json.too-large");
        let broken = members(b"{\"a\":\"\xff\"}", &LIMITS, &mut Doc::new());
        assert_eq!(broken.map_err(|e| e.code()), Err("json.utf8"));
    }

    #[test]
    fn what_follows_one_too_many_is_not_kept() {
        let mut doc = Doc::new();
        let answer = members(br#"{"items":[{},{},{"id":"3"},{}]}"#, &LIMITS, &mut doc);
        assert!(answer.is_err() && doc.items.exceeded);
        assert_eq!(doc.items.items.len(), 2);
    }

    /// Pieces that make documents which are nearly right.
    pub fn piece() -> impl Strategy<Value = &'static str> {
        proptest::sample::select(vec![
            "{",
            "}",
            "[",
            "]",
            ":",
            ",",
            "\"name\"",
            "\"tags\"",
            "\"items\"",
            "\"id\"",
            "\"a\"",
            "\"b\"",
            "1",
            "null",
            " ",
            "\"name\":\"a\"",
            "\"tags\":{\"a\":\"b\"}",
            "\"items\":[{\"id\":\"a\"}]",
            "{\"a\":{}}",
            "\"\\u0061\":1",
            "\"c\":\"\\u0009\\n\"",
            "\"c\":\"\\ud800\"",
            "\"c\":\"\\u00zz\"",
            "\"c\":\"\t\"",
            "\"c\":01",
            "\"c\":-0.5",
            "\"c\":1.",
            "\"c\":1e999",
        ])
    }

    proptest! {
        /// Whatever is read passes the check, and nothing that is refused
        /// for more than its shape gets another reason.
        #[test]
        fn one_pass_takes_no_more_than_two(pieces in proptest::collection::vec(piece(), 0..12)) {
            let inner = pieces.concat();
            for text in [inner.clone(), format!("{{{inner}}}")] {
                let checked = check(text.as_bytes(), &LIMITS).map_err(|e| e.code());
                match (members(text.as_bytes(), &LIMITS, &mut Doc::new()).map_err(|e| e.code()), checked) {
                    (Err("json.shape"), Ok(_)) => {}
                    (one, two) => prop_assert_eq!(one, two, "{}", text),
                }
            }
        }
    }
}
