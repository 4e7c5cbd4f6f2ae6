//! Arrays that cost no more than their bound.

use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Error as _, IgnoredAny, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::{JsonError, shape};

/// An array of no more items than asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Bounded<T> {
    Within(Vec<T>),
    Exceeded,
}

/// Reads an array out of a document that passed [`check`], up to `max` items;
/// whatever follows the one past `max` costs neither time nor memory.
pub fn bounded<'de, T: Deserialize<'de>>(array: &'de RawValue, max: usize) -> Result<Bounded<T>, JsonError> {
    let mut exceeded = false;
    let mut deserializer = serde_json::Deserializer::from_str(array.get());
    deserializer.disable_recursion_limit();
    let items = UpTo {
        max,
        exceeded: &mut exceeded,
        item: PhantomData,
    }
    .deserialize(&mut deserializer);
    match items {
        Ok(items) => Ok(Bounded::Within(items)),
        Err(_) if exceeded => Ok(Bounded::Exceeded),
        Err(e) => Err(shape(&e)),
    }
}

struct UpTo<'a, T> {
    max: usize,
    exceeded: &'a mut bool,
    item: PhantomData<T>,
}

impl<'de, T: Deserialize<'de>> DeserializeSeed<'de> for UpTo<'_, T> {
    type Value = Vec<T>;

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<Vec<T>, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de, T: Deserialize<'de>> Visitor<'de> for UpTo<'_, T> {
    type Value = Vec<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Vec<T>, A::Error> {
        let mut items = Vec::new();
        while items.len() < self.max {
            match seq.next_element()? {
                Some(item) => items.push(item),
                None => return Ok(items),
            }
        }
        match seq.next_element::<IgnoredAny>()? {
            None => Ok(items),
            Some(_) => {
                *self.exceeded = true;
                Err(A::Error::custom("too many items"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bounded_array_stops_past_its_bound() {
        let read = |text: &str| {
            let raw: &RawValue = serde_json::from_str(text).expect("JSON");
            bounded::<u8>(raw, 2).map_err(|e| e.code())
        };
        assert_eq!(read("[]"), Ok(Bounded::Within(vec![])));
        assert_eq!(read("[1,2]"), Ok(Bounded::Within(vec![1, 2])));
        assert_eq!(read("[1,2,\"no number\"]"), Ok(Bounded::Exceeded));
        assert_eq!(read("[1,\"x\"]"), Err("json.shape"));
        assert_eq!(read("{}"), Err("json.shape"));
    }
}
