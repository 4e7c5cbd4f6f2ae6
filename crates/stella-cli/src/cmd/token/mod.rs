//! `token ...`.

mod create;
mod list;
mod revoke;

super::verbs! {
    Create(create::Create),
    List(list::List),
    Revoke(revoke::Revoke),
}
