//! Who a local user is, by the name that people know.

/// The name of this user id, or `uid=1000` where the machine has none for it.
pub fn name(uid: u32) -> String {
    std::fs::read_to_string("/etc/passwd")
        .ok()
        .and_then(|text| find(&text, uid))
        .unwrap_or_else(|| format!("uid={uid}"))
}

/// The user this process runs as.
pub fn current() -> String {
    name(rustix::process::geteuid().as_raw())
}

/// passwd(5): `name:password:UID:...`.
fn find(passwd: &str, uid: u32) -> Option<String> {
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let (name, _, id) = (fields.next()?, fields.next()?, fields.next()?);
        (id.parse() == Ok(uid) && !name.is_empty()).then(|| name.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_found_by_number() {
        let passwd = "root:x:0:0:root:/root:/bin/sh\n#junk\nci:x:1000:1000::/home/ci:/bin/sh\n";
        assert_eq!(find(passwd, 1000).as_deref(), Some("ci"));
        assert_eq!(find(passwd, 0).as_deref(), Some("root"));
        assert_eq!(find(passwd, 7), None);
        assert_eq!(name(u32::MAX - 7), format!("uid={}", u32::MAX - 7));
    }
}
