//! A CycloneDX 1.6 document of what this binary was built from, out of its
//! own lock file.

use serde_json::{Value, json};

/// One locked package.
#[derive(Debug, PartialEq, Eq)]
struct Package<'a> {
    name: &'a str,
    version: &'a str,
    checksum: Option<&'a str>,
    from_registry: bool,
}

/// `timestamp` and `serial` come in, so that the same inputs give the same bytes.
pub fn cyclonedx(
    lock: &str,
    name: &str,
    version: &str,
    purl: &str,
    sha256: &str,
    timestamp: &str,
    serial: &str,
) -> Value {
    let components: Vec<Value> = packages(lock)
        .into_iter()
        .filter(|p| p.from_registry)
        .map(|p| {
            let purl = format!("pkg:cargo/{}@{}", p.name, p.version.replace('+', "%2B"));
            let mut component = json!({
                "type": "library",
                "bom-ref": purl,
                "name": p.name,
                "version": p.version,
                "purl": purl,
            });
            if let Some(checksum) = p.checksum {
                component["hashes"] = json!([{ "alg": "SHA-256", "content": checksum }]);
            }
            component
        })
        .collect();
    json!({
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": format!("urn:uuid:{serial}"),
        "version": 1,
        "metadata": {
            "timestamp": timestamp,
            "tools": { "components": [{ "type": "application", "name": "stella", "version": version }] },
            "component": {
                "type": "application",
                "bom-ref": purl,
                "name": name,
                "version": version,
                "purl": purl,
                "hashes": [{ "alg": "SHA-256", "content": sha256 }],
            },
        },
        "components": components,
    })
}

/// The lock file's `[[package]]` tables. It is written by a tool in one
/// layout, a key a line, so nothing more than that is read.
fn packages(lock: &str) -> Vec<Package<'_>> {
    lock.split("[[package]]").skip(1).filter_map(package).collect()
}

fn package(block: &str) -> Option<Package<'_>> {
    let field = |key: &str| {
        block
            .lines()
            .find_map(|line| line.strip_prefix(key)?.strip_prefix(" = \"")?.strip_suffix('"'))
    };
    Some(Package {
        name: field("name")?,
        version: field("version")?,
        checksum: field("checksum"),
        from_registry: field("source").is_some(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOCK: &str = r#"
[[package]]
name = "axum"
version = "0.8.9"
source = "registry+https://example.org/index"
checksum = "aa"
dependencies = [
 "bytes",
]

[[package]]
name = "stella-cli"
version = "0.1.0"

[[package]]
name = "zstd-sys"
version = "2.0.1+zstd.1.5.2"
source = "registry+https://example.org/index"
checksum = "bb"
"#;

    #[test]
    fn lists_what_was_locked_and_leaves_our_own_crates_out() {
        let bom = cyclonedx(
            LOCK,
            "stella",
            "0.1.0",
            "pkg:generic/stella@0.1.0",
            "cc",
            "2025-01-01T00:00:00Z",
            "x",
        );
        let purls: Vec<_> = bom["components"]
            .as_array()
            .expect("components")
            .iter()
            .map(|c| &c["purl"])
            .collect();
        assert_eq!(
            purls,
            ["pkg:cargo/axum@0.8.9", "pkg:cargo/zstd-sys@2.0.1%2Bzstd.1.5.2"]
        );
        assert_eq!(bom["components"][0]["hashes"][0]["content"], "aa");
        assert_eq!(bom["metadata"]["component"]["hashes"][0]["content"], "cc");
    }
}
