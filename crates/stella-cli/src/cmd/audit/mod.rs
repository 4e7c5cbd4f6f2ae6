//! `audit ...`.

mod query;

super::verbs! {
    /// Events of keys, anchors, settings and statements
    Query(query::Query),
}
