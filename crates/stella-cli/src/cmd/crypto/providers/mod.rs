//! `crypto providers ...`.

mod list;

crate::cmd::verbs! {
    List(list::List),
}
