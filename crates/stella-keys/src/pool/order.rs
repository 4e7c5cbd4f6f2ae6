//! In which order the keys of a profile are asked.

/// Where a key lives, as far as the order goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreKind {
    Software,
    Hsm,
    Kms,
}

impl StoreKind {
    /// From the scheme of a key-store URI.
    pub fn of(uri: &str) -> Option<Self> {
        match uri.split_once("://").map(|(scheme, _)| scheme) {
            Some("software") => Some(Self::Software),
            Some("hsm") => Some(Self::Hsm),
            Some("kms") => Some(Self::Kms),
            _ => None,
        }
    }
}

/// `signing.mode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    Auto,
    Only(StoreKind),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    Active,
    /// Signs while the active key cannot, where its profile lists it.
    Standby,
}

/// Whether a key may be asked at all. A profile's own store is what its
/// operator chose; software in its stead needs their word.
pub fn may_serve(mode: Mode, store: StoreKind, role: Role, allow_software: bool) -> bool {
    let in_mode = match mode {
        Mode::Auto => true,
        Mode::Only(kind) => kind == store,
    };
    in_mode && (store != StoreKind::Software || role == Role::Active || allow_software)
}

/// Those whose store is up: first those that an operator moved signing to, then
/// the active key and the standby keys in their profile's order; a store that is
/// down is not asked. Empty: all are down, or there is none.
pub fn order<K>(
    keys: impl IntoIterator<Item = (Role, StoreKind, K)>,
    mode: Mode,
    allow_software: bool,
    is_up: impl Fn(&K) -> bool,
    moved_to: impl Fn(&K) -> bool,
) -> Vec<(Role, K)> {
    let mut out: Vec<(Role, K)> = keys
        .into_iter()
        .filter(|(role, store, _)| may_serve(mode, *store, *role, allow_software))
        .filter(|(.., key)| is_up(key))
        .map(|(role, _, key)| (role, key))
        .collect();
    out.sort_by_key(|(role, key)| (!moved_to(key), *role == Role::Standby));
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEYS: [(Role, StoreKind, &str); 4] = [
        (Role::Standby, StoreKind::Hsm, "backup"),
        (Role::Active, StoreKind::Hsm, "primary"),
        (Role::Standby, StoreKind::Kms, "cloud"),
        (Role::Standby, StoreKind::Software, "soft"),
    ];

    fn names(mode: Mode, allow_software: bool, down: &[&str]) -> Vec<&'static str> {
        let is_up = |name: &&str| !down.contains(name);
        let order = order(KEYS, mode, allow_software, is_up, |_| false);
        order.into_iter().map(|(_, name)| name).collect()
    }

    #[test]
    fn the_active_key_first_then_those_the_profile_lists() {
        assert_eq!(
            names(Mode::Auto, true, &[]),
            ["primary", "backup", "cloud", "soft"]
        );
        assert_eq!(names(Mode::Auto, true, &["primary"]), ["backup", "cloud", "soft"]);
        assert!(names(Mode::Auto, true, &["primary", "backup", "cloud", "soft"]).is_empty());
    }

    #[test]
    fn where_an_operator_moved_signing_to_comes_first_while_it_is_up() {
        let moved = |down: &[&str]| -> Vec<_> {
            let up = |name: &&str| !down.contains(name);
            let order = order(KEYS, Mode::Auto, false, up, |name| *name == "cloud");
            order.into_iter().map(|(_, name)| name).collect()
        };
        assert_eq!(moved(&[]), ["cloud", "primary", "backup"]);
        assert_eq!(moved(&["cloud"]), ["primary", "backup"]);
    }

    #[test]
    fn software_in_anothers_stead_only_where_it_is_allowed() {
        assert_eq!(names(Mode::Auto, false, &[]), ["primary", "backup", "cloud"]);
        assert!(names(Mode::Only(StoreKind::Software), false, &[]).is_empty());
        assert_eq!(names(Mode::Only(StoreKind::Software), true, &[]), ["soft"]);
        // A profile whose own store is software needs nobody's leave.
        let own = [(Role::Active, StoreKind::Software, "own")];
        assert_eq!(order(own, Mode::Auto, false, |_| true, |_| false).len(), 1);
    }

    #[test]
    fn a_mode_is_kept_to() {
        assert_eq!(names(Mode::Only(StoreKind::Kms), true, &[]), ["cloud"]);
        assert_eq!(names(Mode::Only(StoreKind::Hsm), true, &["primary"]), ["backup"]);
        assert!(names(Mode::Only(StoreKind::Kms), true, &["cloud"]).is_empty());
    }

    #[test]
    fn a_store_is_known_by_its_scheme() {
        assert_eq!(StoreKind::of("software://"), Some(StoreKind::Software));
        assert_eq!(StoreKind::of("hsm://pkcs11/slot/0"), Some(StoreKind::Hsm));
        assert_eq!(StoreKind::of("kms://aws/key/x"), Some(StoreKind::Kms));
        assert_eq!(StoreKind::of("ftp://x"), None);
        assert_eq!(StoreKind::of("software"), None);
    }
}
