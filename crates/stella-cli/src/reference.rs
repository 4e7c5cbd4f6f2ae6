//! The reference under docs/reference, rendered from the code it describes.

use std::fmt::Write as _;

use stella_core::alg::Algorithm;
use stella_core::predicate;
use stella_core::trust::{KeyState, RevokeReason};
use stella_core::verify::Code;
use stella_server::app::runtime_config::table::{SETTINGS, Setting};
use stella_server::config::Settings;

use crate::exit;

/// File name and content of each page.
pub fn pages() -> Vec<(&'static str, String)> {
    vec![
        ("cli.md", commands()),
        ("configuration.md", configuration()),
        ("exit-codes.md", exit_codes()),
        ("names.md", names()),
        ("reason-codes.md", reason_codes()),
    ]
}

const GENERATED: &str = "<!-- Generated from the code; a test fails when it is stale. Regenerate: UPDATE=1 cargo test -p stella-cli --test reference -->\n";

fn commands() -> String {
    let mut out = format!(
        "# Commands\n\n{GENERATED}\n`stella` and `stellaops` are the same program; names in the singular are understood too.\n"
    );
    let root = crate::cli::command("stella");
    out.push_str("\n## Everywhere\n\n");
    options(&mut out, root.get_arguments().filter(|a| a.is_global_set()));
    for verb in root.get_subcommands().filter(|c| !c.is_hide_set()) {
        command(&mut out, "stella", verb, 2);
    }
    out
}

fn command(out: &mut String, parent: &str, command: &clap::Command, level: usize) {
    let name = format!("{parent} {}", command.get_name());
    let about = command.get_about().map(ToString::to_string).unwrap_or_default();
    let _ = writeln!(out, "\n{} {name}\n\n{about}\n", "#".repeat(level.min(4)));
    options(
        out,
        command
            .get_arguments()
            .filter(|a| !a.is_global_set() && !a.is_hide_set()),
    );
    for verb in command.get_subcommands().filter(|c| !c.is_hide_set()) {
        self::command(out, &name, verb, level + 1);
    }
}

fn options<'a>(out: &mut String, arguments: impl Iterator<Item = &'a clap::Arg>) {
    for argument in arguments.filter(|a| !matches!(a.get_id().as_str(), "help" | "version")) {
        let value = argument.get_value_names().map(|names| {
            let shown: Vec<_> = names.iter().map(|n| format!("<{n}>")).collect();
            shown.join(" ")
        });
        let takes = argument.get_action().takes_values();
        let value = value.filter(|_| takes).unwrap_or_default();
        let shown = match (argument.get_short(), argument.get_long()) {
            (Some(short), Some(long)) => format!("-{short}, --{long} {value}"),
            (None, Some(long)) => format!("--{long} {value}"),
            (Some(short), None) => format!("-{short} {value}"),
            (None, None) => value,
        };
        let help = argument.get_help().map(ToString::to_string).unwrap_or_default();
        let variable = argument
            .get_env()
            .map(|e| format!(" (`{}`)", e.to_string_lossy()))
            .unwrap_or_default();
        let _ = writeln!(out, "* `{}`{variable} {help}", shown.trim());
    }
}

fn configuration() -> String {
    let mut out = format!("# Configuration\n\n{GENERATED}\n");
    out.push_str(
        "`/etc/stellaops/signer.yaml`, then `signer.yaml` in the home, or `--config FILE`. A flag beats the environment, \
         the environment a runtime setting, that the file, the file the default. `stella config get KEY` prints a value \
         and where it came from. Keys are written `overlap_days` or `overlapDays`; an unknown key is an error.\n",
    );
    out.push_str(
        "\n## At run time\n\nSet with `stella config set`, undone with `stella config unset`, audited.\n\n",
    );
    settings(&mut out, |s| s.runtime);
    out.push_str("\n## In the file only\n\nWhoever holds a token must not decide these. Profiles stand below `signer.profiles`.\n\n");
    settings(&mut out, |s| !s.runtime);
    out
}

fn settings(out: &mut String, wanted: impl Fn(&Setting) -> bool) {
    let defaults = Settings::default();
    out.push_str("| key | takes | default | meaning |\n|---|---|---|---|\n");
    for setting in SETTINGS.iter().filter(|s| wanted(s)) {
        let default = (setting.value)(&defaults);
        let default = if default.is_empty() {
            "-".to_owned()
        } else {
            format!("`{default}`")
        };
        let _ = writeln!(
            out,
            "| `{}` | {} | {default} | {} |",
            setting.key,
            setting.kind.describe(),
            setting.description
        );
    }
}

fn exit_codes() -> String {
    let mut out = format!("# Exit codes\n\n{GENERATED}\n| code | meaning |\n|---|---|\n");
    for (exit, meaning) in exit::TABLE {
        let _ = writeln!(out, "| {} | {meaning} |", exit.code());
    }
    out.push_str("\nOf several verdicts the first of 12, 13, 11, 10 wins.\n");
    out
}

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
            if scheme.unaudited() {
                format!("{} (unaudited)", scheme.provider())
            } else {
                scheme.provider().to_owned()
            }
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
