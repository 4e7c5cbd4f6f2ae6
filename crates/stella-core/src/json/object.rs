//! Structs out of JSON objects, one name for each field.

use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::value::CowStrDeserializer;
use serde::de::{DeserializeSeed, MapAccess, Visitor};

use super::Text;

/// A struct read from a JSON object and from nothing else: serde's derived
/// readers also take an array of the fields in order, which other readers of
/// the same bytes refuse. A field's name in another case is refused too: Go's
/// readers take it for the field, and what came last wins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object<T>(pub T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct V<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for V<T> {
            type Value = Object<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Object<T>, A::Error> {
                T::deserialize(Fields(map)).map(Object)
            }
        }
        d.deserialize_map(V(PhantomData))
    }
}

/// Hears from the reader of a struct what its fields are called.
struct Fields<A>(A);

impl<'de, A: MapAccess<'de>> serde::Deserializer<'de> for Fields<A> {
    type Error = A::Error;

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        names: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, A::Error> {
        visitor.visit_map(OneCase { map: self.0, names })
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, A::Error> {
        visitor.visit_map(self.0)
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

struct OneCase<A> {
    map: A,
    names: &'static [&'static str],
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for OneCase<A> {
    type Error = A::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, A::Error> {
        let Some(Text(key)) = self.map.next_key()? else {
            return Ok(None);
        };
        named(self.names, &key)?;
        seed.deserialize(CowStrDeserializer::new(key)).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, A::Error> {
        self.map.next_value_seed(seed)
    }
}

/// The one of these names that the key is, in this case of its letters.
pub(super) fn named<E: serde::de::Error>(
    names: &'static [&'static str],
    key: &str,
) -> Result<Option<&'static str>, E> {
    // A field may have two names that differ in case alone.
    if let Some(name) = names.iter().find(|name| **name == key) {
        return Ok(Some(name));
    }
    match names.iter().find(|name| caseless_eq(name, key)) {
        None => Ok(None),
        Some(name) => {
            let key: String = key.chars().take(64).collect();
            Err(E::custom(format_args!("{key:?} where only {name:?} is read")))
        }
    }
}

/// Also the long s and the Kelvin sign, which fold to ASCII letters.
fn caseless_eq(a: &str, b: &str) -> bool {
    // Most keys; the rest of this costs as much as reading a whole document.
    if a.is_ascii() && b.is_ascii() {
        return a.eq_ignore_ascii_case(b);
    }
    fn folded(text: &str) -> impl Iterator<Item = char> {
        let upper = text.chars().flat_map(char::to_uppercase);
        upper.flat_map(char::to_lowercase)
    }
    folded(a).eq(folded(b))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::{JsonLimits, parse};

    #[test]
    fn a_struct_is_read_from_an_object_only() {
        #[derive(Debug, PartialEq, Deserialize)]
        struct Point {
            x: u8,
        }
        let read = |text: &'static str| {
            parse::<Object<Point>>(text.as_bytes(), &JsonLimits::default()).map_err(|e| e.code())
        };
        assert_eq!(read(r#"{"x":1,"y":[]}"#), Ok(Object(Point { x: 1 })));
        #[derive(Debug, PartialEq, Deserialize)]
        struct Named {
            #[serde(alias = "keyId")]
            keyid: u8,
        }
        let named = |text: &'static str| parse::<Object<Named>>(text.as_bytes(), &JsonLimits::default());
        for text in [r#"{"keyid":1}"#, r#"{"keyId":1}"#] {
            assert_eq!(named(text), Ok(Object(Named { keyid: 1 })));
        }
        for text in [r#"{"KeyId":1}"#, r#"{"keyid":1,"keyId":1}"#] {
            assert!(named(text).is_err(), "{text}");
        }
        for other in ["[1]", "null", r#"{"x":-1}"#, "{}", r#"{"x":1,"X":2}"#] {
            assert_eq!(read(other), Err("json.shape"), "{other}");
        }
    }
}
