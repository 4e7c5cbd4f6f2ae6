//! Where a setting's value came from.

use std::collections::BTreeMap;

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

fn canonical(key: &str) -> String {
    let key = key.strip_prefix("signer.").unwrap_or(key);
    key.split('.').map(snake).collect::<Vec<_>>().join(".")
}
