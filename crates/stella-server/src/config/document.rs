//! A YAML document as a tree in which every value knows its place, so that an
//! error can name the line and two files can be laid over each other.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_saphyr::Spanned;

use super::error::ConfigError;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    pub file: Arc<str>,
    pub line: u64,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    pub value: Value,
    pub at: Place,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    Null,
    Flag(bool),
    Number(i64),
    Float(f64),
    Text(String),
    List(Vec<Node>),
    Map(Vec<Entry>),
}

#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// As written.
    pub key: String,
    pub at: Place,
    pub node: Node,
}

impl Node {
    pub fn parse(path: &Path, text: &str) -> Result<Self, ConfigError> {
        let file: Arc<str> = path.display().to_string().into();
        // A file of comments alone says nothing.
        let says_something = text
            .lines()
            .map(str::trim)
            .any(|l| !l.is_empty() && !l.starts_with('#') && l != "---");
        if !says_something {
            return Ok(Self::empty(file));
        }
        let raw: Spanned<Raw> = serde_saphyr::from_str(text).map_err(|e| ConfigError::Syntax {
            path: path.to_owned(),
            message: e.to_string(),
        })?;
        let node = place(raw, &file);
        node.refuse_duplicates("")?;
        Ok(node)
    }

    pub fn empty(file: Arc<str>) -> Self {
        Self {
            value: Value::Map(Vec::new()),
            at: Place { file, line: 1 },
        }
    }

    /// A key in both its spellings is given twice; the parser sees to equal ones.
    fn refuse_duplicates(&self, path: &str) -> Result<(), ConfigError> {
        match &self.value {
            Value::Map(entries) => {
                for (index, entry) in entries.iter().enumerate() {
                    let key = join(path, &entry.key);
                    let same = |e: &&Entry| snake(&e.key) == snake(&entry.key);
                    if let Some(first) = entries.iter().take(index).find(same) {
                        return Err(ConfigError::Duplicate {
                            at: entry.at.clone(),
                            key,
                            first: first.at.line,
                        });
                    }
                    entry.node.refuse_duplicates(&key)?;
                }
                Ok(())
            }
            Value::List(items) => items.iter().try_for_each(|item| item.refuse_duplicates(path)),
            _ => Ok(()),
        }
    }

    /// This document with another laid over it: maps join, key by key in
    /// either spelling, anything else is replaced.
    #[must_use]
    pub fn overlaid(self, over: Self) -> Self {
        match (self.value, over.value) {
            (Value::Map(mut entries), Value::Map(others)) => {
                for other in others {
                    match entries.iter().position(|e| snake(&e.key) == snake(&other.key)) {
                        Some(index) => {
                            let below = entries.remove(index);
                            entries.insert(
                                index,
                                Entry {
                                    node: below.node.overlaid(other.node),
                                    ..other
                                },
                            );
                        }
                        None => entries.push(other),
                    }
                }
                Self {
                    value: Value::Map(entries),
                    at: over.at,
                }
            }
            (_, value) => Self { value, at: over.at },
        }
    }
}

pub fn join(path: &str, key: &str) -> String {
    if path.is_empty() {
        key.to_owned()
    } else {
        format!("{path}.{key}")
    }
}

/// The one form of a key's two spellings: `maxAgeMonths`, `max_age_months`.
pub fn snake(key: &str) -> String {
    let mut out = String::with_capacity(key.len() + 4);
    for c in key.chars() {
        if c.is_ascii_uppercase() {
            if !out.is_empty() && !out.ends_with('_') {
                out.push('_');
            }
            out.push(c.to_ascii_lowercase());
        } else {
            out.push(c);
        }
    }
    out
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

enum Raw {
    Null,
    Flag(bool),
    Number(i64),
    Float(f64),
    Text(String),
    List(Vec<Spanned<Raw>>),
    Map(Vec<(Spanned<String>, Spanned<Raw>)>),
}

fn place(raw: Spanned<Raw>, file: &Arc<str>) -> Node {
    let at = |line: u64| Place {
        file: Arc::clone(file),
        line,
    };
    let line = raw.referenced.line();
    let value = match raw.value {
        Raw::Null => Value::Null,
        Raw::Flag(v) => Value::Flag(v),
        Raw::Number(v) => Value::Number(v),
        Raw::Float(v) => Value::Float(v),
        Raw::Text(v) => Value::Text(v),
        Raw::List(items) => Value::List(items.into_iter().map(|i| place(i, file)).collect()),
        Raw::Map(entries) => Value::Map(
            entries
                .into_iter()
                .map(|(key, value)| Entry {
                    at: at(key.referenced.line()),
                    key: key.value,
                    node: place(value, file),
                })
                .collect(),
        ),
    };
    Node { value, at: at(line) }
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RawVisitor)
    }
}

struct RawVisitor;

impl<'de> Visitor<'de> for RawVisitor {
    type Value = Raw;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a YAML value")
    }

    fn visit_unit<E>(self) -> Result<Raw, E> {
        Ok(Raw::Null)
    }

    fn visit_none<E>(self) -> Result<Raw, E> {
        Ok(Raw::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Raw, D::Error> {
        Raw::deserialize(deserializer)
    }

    fn visit_bool<E>(self, v: bool) -> Result<Raw, E> {
        Ok(Raw::Flag(v))
    }

    fn visit_i64<E>(self, v: i64) -> Result<Raw, E> {
        Ok(Raw::Number(v))
    }

    fn visit_u64<E: serde::de::Error>(self, v: u64) -> Result<Raw, E> {
        i64::try_from(v)
            .map(Raw::Number)
            .map_err(|_| E::custom(format!("{v} is too large")))
    }

    fn visit_f64<E>(self, v: f64) -> Result<Raw, E> {
        Ok(Raw::Float(v))
    }

    fn visit_str<E>(self, v: &str) -> Result<Raw, E> {
        Ok(Raw::Text(v.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Raw, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element()? {
            items.push(item);
        }
        Ok(Raw::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Raw, A::Error> {
        let mut entries: Vec<(Spanned<String>, Spanned<Raw>)> = Vec::new();
        while let Some((key, value)) = map.next_entry::<Spanned<String>, Spanned<Raw>>()? {
            if entries.iter().any(|(k, _)| k.value == key.value) {
                return Err(A::Error::custom(format!("{} is given twice", key.value)));
            }
            entries.push((key, value));
        }
        Ok(Raw::Map(entries))
    }
}
