//! `config ...`, also as `keys config` and `attest config`: one set of
//! settings under three names.

mod get;
mod list;
mod set;
mod unset;

super::verbs! {
    /// A setting's value and where it comes from
    Get(get::Get),
    /// Set at run time (audited; undone by unset)
    Set(set::Set),
    /// Undo what was set at run time
    Unset(unset::Unset),
    /// All settings
    List(list::List),
}
