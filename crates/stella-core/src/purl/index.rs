//! Patterns by what they begin with: of many, those that could match a name
//! are found without a look at the others.

use std::collections::BTreeSet;

use rpds::HashTrieMapSync;

use super::SubjectName;
use super::pattern::{Beginning, PurlPattern};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PatternIndex<T: Ord> {
    universal: BTreeSet<T>,
    plain: Literals<T>,
    purl: Literals<T>,
}

impl<T: Ord> Default for PatternIndex<T> {
    fn default() -> Self {
        Self {
            universal: BTreeSet::new(),
            plain: Literals::default(),
            purl: Literals::default(),
        }
    }
}

impl<T: Ord + Copy> PatternIndex<T> {
    pub fn insert(&mut self, pattern: &PurlPattern, item: T) {
        match pattern.beginning() {
            Beginning::Any => {
                self.universal.insert(item);
            }
            Beginning::Plain(text) => self.plain.insert(text, item),
            Beginning::Path(text) => self.purl.insert(text, item),
        }
    }

    /// Every item whose pattern matches, and some whose pattern does not; in
    /// order.
    pub fn candidates(&self, name: &SubjectName) -> BTreeSet<T> {
        let mut found = self.universal.clone();
        match name {
            SubjectName::Plain(text) => self.plain.beginning(text, &mut found),
            SubjectName::Purl(purl) => self.purl.beginning(purl.path_text(), &mut found),
        }
        found
    }
}

/// A name is compared with as many texts as there are lengths among them.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Literals<T: Ord> {
    items: HashTrieMapSync<String, BTreeSet<T>>,
    lengths: BTreeSet<usize>,
}

impl<T: Ord> Default for Literals<T> {
    fn default() -> Self {
        Self {
            items: HashTrieMapSync::default(),
            lengths: BTreeSet::new(),
        }
    }
}

impl<T: Ord + Copy> Literals<T> {
    fn insert(&mut self, text: &str, item: T) {
        self.lengths.insert(text.len());
        match self.items.get_mut(text) {
            Some(items) => {
                items.insert(item);
            }
            None => self.items.insert_mut(text.to_owned(), BTreeSet::from([item])),
        }
    }

    /// Those whose text this one begins with.
    fn beginning(&self, text: &str, found: &mut BTreeSet<T>) {
        let beginnings = self
            .lengths
            .range(..=text.len())
            .filter_map(|&end| text.get(..end));
        for items in beginnings.filter_map(|beginning| self.items.get(beginning)) {
            found.extend(items);
        }
    }
}
