//! `/v1/backups`, and what a backup says of itself.

use super::wire;

wire! {
    #[serde(deny_unknown_fields)]
    pub struct CreateBackup {
        /// Who can open it: age recipients, `age1...`.
        pub recipients: Vec<String>,
    }

    /// The first member of a backup: what follows, and its digests.
    pub struct BackupManifest {
        /// `stella-backup/1`.
        pub format: String,
        pub created_at: String,
        pub created_by: String,
        /// Of the product that made it.
        pub version: String,
        /// The home it was made of.
        pub home: String,
        /// Where its database was, if not in the home.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub database: Option<String>,
        /// In the order in which they follow.
        pub members: Vec<BackupMember>,
        /// What it does not hold.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        pub notes: Vec<String>,
    }

    pub struct BackupMember {
        pub name: String,
        pub bytes: u64,
        /// Hex.
        pub sha256: String,
    }
}
