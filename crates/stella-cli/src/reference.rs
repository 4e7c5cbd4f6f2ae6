//! The reference under docs/reference, rendered from the code it describes.

use std::fmt::Write as _;

use stella_core::alg::Algorithm;
use stella_core::predicate;
use stella_core::trust::{KeyState, RevokeReason};
use stella_core::verify::Code;

/// File name and content of each page.
pub fn pages() -> Vec<(&'static str, String)> {
    vec![("reason-codes.md", reason_codes()), ("names.md", names())]
}

const GENERATED: &str = "<!-- Generated from the code; a test fails when it is stale. Regenerate: UPDATE=1 ./test --quick reference -->\n";

fn reason_codes() -> String {
    let mut out = format!("# Reason codes\n\n{GENERATED}\n");
    out.push_str(
        "Every verdict has one, and so has every check in its trace that did not pass. They are stable.\n",
    );
    out.push_str("FAIL means that no further evidence could make it PASS; what is merely unproven is INDETERMINATE.\n\n");
    out.push_str("| code | verdict | what it means | what to do |\n|---|---|---|---|\n");
    for code in Code::ALL {
        let _ = writeln!(
            out,
            "| `{code}` | {} | {} | {} |",
            code.verdict(),
            code.meaning(),
            code.mend()
        );
    }
    out
}

fn names() -> String {
    let mut out = format!("# Names\n\n{GENERATED}\n## Predicate types\n\n");
    out.push_str("`--type` takes the short name or any URI; the statement carries the URI.\n\n| short name | URI |\n|---|---|\n");
    for (short, uri) in predicate::TABLE {
        let _ = writeln!(out, "| `{short}` | `{uri}` |");
    }
    out.push_str("\n## Algorithms\n\n| name | short names | standard | provider |\n|---|---|---|---|\n");
    for algorithm in Algorithm::all() {
        let scheme = algorithm.scheme();
        let short: Vec<_> = scheme.short_names().iter().map(|n| format!("`{n}`")).collect();
        let _ = writeln!(
            out,
            "| `{algorithm}` | {} | {} | {} |",
            short.join(", "),
            scheme.standard(),
            scheme.provider()
        );
    }
    out.push_str("\n## Key states\n\n");
    for state in KeyState::ALL {
        let _ = writeln!(out, "* `{state}`");
    }
    out.push_str("\n## Revocation reasons\n\n`--note` takes words.\n\n");
    for reason in RevokeReason::ALL {
        let _ = writeln!(out, "* `{reason}`");
    }
    out
}
