//! `db ...`.

mod verify;

use super::later::Later;

super::verbs! {
    /// Read the whole store and compare it with its own digests
    Verify(verify::Verify),
    #[command(hide = true)]
    Migrate(Later),
}
