//! `crypto hsm slots ...`.

mod list;

crate::cmd::verbs! {
    List(list::List),
}
