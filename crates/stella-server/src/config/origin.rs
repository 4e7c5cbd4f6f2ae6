//! Where a setting's value came from.

use std::collections::BTreeMap;
use std::fmt;

use super::document::{Node, Place, Value, snake};

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    Default,
    File(Place),
    Environment(&'static str),
}

/// By key, such as `rotation.overlap_days`; what is not here is a default.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Origins(BTreeMap<String, Origin>);

impl Origins {
    /// Reads either spelling of a key, with or without the leading `signer.`.
    pub fn of(&self, key: &str) -> Origin {
        self.0.get(&canonical(key)).cloned().unwrap_or(Origin::Default)
    }

    pub fn iter(&self) -> impl Iterator<Item = (&str, &Origin)> {
        self.0.iter().map(|(key, origin)| (key.as_str(), origin))
    }

    pub(super) fn of_document(document: &Node) -> Self {
        let mut origins = Self::default();
        origins.walk(document, &mut Vec::new());
        origins
    }

    pub(super) fn set(&mut self, key: &str, origin: Origin) {
        self.0.insert(canonical(key), origin);
    }

    fn walk<'a>(&mut self, node: &'a Node, path: &mut Vec<&'a str>) {
        if let Value::Map(entries) = &node.value {
            for entry in entries {
                path.push(&entry.key);
                self.walk(&entry.node, path);
                path.pop();
            }
        } else if !path.is_empty() {
            self.set(&path.join("."), Origin::File(node.at.clone()));
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.pad("default"),
            Self::File(place) => write!(f, "file {place}"),
            Self::Environment(name) => write!(f, "environment {name}"),
        }
    }
}

fn canonical(key: &str) -> String {
    let key = key.strip_prefix("signer.").unwrap_or(key);
    key.split('.').map(snake).collect::<Vec<_>>().join(".")
}
