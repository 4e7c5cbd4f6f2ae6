//! `token ...`.

mod create;
mod list;
mod revoke;

super::verbs! {
    /// Make a token; its secret is shown once
    Create(create::Create),
    /// List tokens
    List(list::List),
    /// End a token
    Revoke(revoke::Revoke),
}
