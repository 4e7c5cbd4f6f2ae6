//! `config ...`, also as `keys config` and `attest config`: one set of
//! settings under three names.

mod get;
mod list;
mod set;
mod unset;

super::verbs! {
    Get(get::Get),
    Set(set::Set),
    Unset(unset::Unset),
    List(list::List),
}
