//! `db ...`.

mod verify;

use super::later::Later;

super::verbs! {
    Verify(verify::Verify),
    #[command(hide = true)]
    Migrate(Later),
}
