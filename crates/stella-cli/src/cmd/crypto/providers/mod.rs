//! `crypto providers ...`.

mod list;

crate::cmd::verbs! {
    /// Providers and their algorithms
    List(list::List),
}
