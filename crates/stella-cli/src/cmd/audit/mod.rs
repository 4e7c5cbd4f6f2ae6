//! `audit ...`.

mod query;

super::verbs! {
    Query(query::Query),
}
