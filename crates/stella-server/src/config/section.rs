//! Reading one map of the configuration: each key is asked for by name, and
//! what nobody asked for is an error that names the nearest key there is.

use std::collections::BTreeSet;
use std::time::Duration;

use super::document::{Entry, Node, Place, Value, join, snake};
use super::duration;
use super::error::ConfigError;

pub type Result<T> = std::result::Result<T, ConfigError>;

pub struct Section<'a> {
    path: String,
    at: Place,
    entries: &'a [Entry],
    known: BTreeSet<&'static str>,
}

/// One value, with the words for what is wrong with it.
pub struct Item<'a> {
    pub path: String,
    pub node: &'a Node,
}

impl<'a> Section<'a> {
    /// An absent map is an empty one.
    pub fn new(item: &Item<'a>) -> Result<Self> {
        let entries: &[Entry] = match &item.node.value {
            Value::Map(entries) => entries,
            Value::Null => &[],
            _ => return Err(item.wrong("must be a map of keys")),
        };
        Ok(Self {
            path: item.path.clone(),
            at: item.node.at.clone(),
            entries,
            known: BTreeSet::new(),
        })
    }

    /// The value of a key, named in camelCase, given in either spelling. A
    /// null counts as absent.
    pub fn item(&mut self, key: &'static str) -> Option<Item<'a>> {
        self.known.insert(key);
        self.entries
            .iter()
            .find(|e| snake(&e.key) == snake(key) && e.node.value != Value::Null)
            .map(|e| Item {
                path: join(&self.path, &e.key),
                node: &e.node,
            })
    }

    /// Reads a key if it is there.
    pub fn read<T>(
        &mut self,
        key: &'static str,
        into: &mut T,
        read: impl FnOnce(&Item<'a>) -> Result<T>,
    ) -> Result<()> {
        if let Some(item) = self.item(key) {
            *into = read(&item)?;
        }
        Ok(())
    }

    pub fn section(&mut self, key: &'static str) -> Result<Option<Self>> {
        self.item(key).map(|item| Self::new(&item)).transpose()
    }

    pub fn required(&mut self, key: &'static str) -> Result<Item<'a>> {
        self.item(key).ok_or_else(|| ConfigError::Value {
            at: self.at.clone(),
            key: join(&self.path, key),
            why: "is missing".to_owned(),
        })
    }

    /// Every entry, for maps whose keys are names; nothing is unknown in them.
    pub fn named(&self) -> impl Iterator<Item = (&'a str, Item<'a>)> + use<'a> {
        let path = self.path.clone();
        self.entries.iter().map(move |e| {
            let item = Item {
                path: join(&path, &e.key),
                node: &e.node,
            };
            (e.key.as_str(), item)
        })
    }

    /// Refuses what was not asked for.
    pub fn finish(self) -> Result<()> {
        let unknown = self
            .entries
            .iter()
            .find(|e| !self.known.iter().any(|k| snake(k) == snake(&e.key)));
        match unknown {
            None => Ok(()),
            Some(entry) => Err(ConfigError::UnknownKey {
                at: entry.at.clone(),
                key: join(&self.path, &entry.key),
                nearest: nearest(&entry.key, self.known.iter().copied()),
            }),
        }
    }
}

impl<'a> Item<'a> {
    pub fn wrong(&self, why: impl Into<String>) -> ConfigError {
        ConfigError::Value {
            at: self.node.at.clone(),
            key: self.path.clone(),
            why: why.into(),
        }
    }

    pub fn text(&self) -> Result<String> {
        match &self.node.value {
            Value::Text(text) if !text.is_empty() => Ok(text.clone()),
            _ => Err(self.wrong("must be text")),
        }
    }

    pub fn flag(&self) -> Result<bool> {
        match &self.node.value {
            Value::Flag(flag) => Ok(*flag),
            _ => Err(self.wrong("must be true or false")),
        }
    }

    /// A whole number above zero.
    pub fn number<N: TryFrom<i64>>(&self) -> Result<N> {
        match &self.node.value {
            Value::Number(n) if *n > 0 => {
                N::try_from(*n).map_err(|_| self.wrong(format!("is too large: {n}")))
            }
            _ => Err(self.wrong("must be a whole number above zero")),
        }
    }

    pub fn duration(&self) -> Result<Duration> {
        match &self.node.value {
            Value::Text(text) => duration::fixed(text),
            _ => None,
        }
        .ok_or_else(|| self.wrong("must be a duration such as 300s, 5m, 1h or 14d"))
    }

    /// A number of months, or `12mo`.
    pub fn months(&self) -> Result<u32> {
        match &self.node.value {
            Value::Text(text) => duration::months(text)
                .filter(|months| *months > 0)
                .ok_or_else(|| self.wrong("must be a number of months such as 12, or 12mo")),
            _ => self.number(),
        }
    }

    pub fn list(&self) -> Result<Vec<Item<'a>>> {
        match &self.node.value {
            Value::List(nodes) => Ok(nodes
                .iter()
                .enumerate()
                .map(|(index, node)| Item {
                    path: format!("{}[{index}]", self.path),
                    node,
                })
                .collect()),
            _ => Err(self.wrong("must be a list")),
        }
    }

    /// A value of a type that reads itself.
    pub fn parsed<T>(&self) -> Result<T>
    where
        T: std::str::FromStr,
        T::Err: std::fmt::Display,
    {
        self.text()?
            .parse()
            .map_err(|e: T::Err| self.wrong(format!("is wrong: {e}")))
    }
}

/// The known key with the fewest edits to it.
pub fn nearest<'k>(key: &str, known: impl IntoIterator<Item = &'k str>) -> String {
    let wanted = snake(key);
    known
        .into_iter()
        .min_by_key(|k| distance(&wanted, &snake(k)))
        .unwrap_or("nothing: no key is known here")
        .to_owned()
}

/// Levenshtein's, over characters.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut next = vec![i + 1];
        for (j, to) in b.iter().enumerate() {
            let change = row.get(j).copied().unwrap_or(0) + usize::from(from != *to);
            let insert = next.last().copied().unwrap_or(0) + 1;
            let delete = row.get(j + 1).copied().unwrap_or(0) + 1;
            next.push(change.min(insert).min(delete));
        }
        row = next;
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_key_is_the_one_meant() {
        let known = ["keyStore", "algorithm", "rotation"];
        assert_eq!(nearest("keystore", known), "keyStore");
        assert_eq!(nearest("algoritm", known), "algorithm");
        assert_eq!(nearest("rotations", known), "rotation");
    }
}
