//! Names in commands that people paste.

use stella_core::command::word;

#[test]
fn a_shell_reads_back_one_word_that_is_the_text() {
    for text in [
        "pkg:npm/%40acme/app@1.0.0",
        "test:$(touch /tmp/x)",
        "a b; c",
        "it's",
        "*",
        "pkg:oci/app?repository_url=ghcr.io&x=`id`",
        "",
    ] {
        let shell = std::process::Command::new("sh")
            .args(["-c", &format!("printf '%s|' {}", word(text))])
            .output()
            .expect("a shell");
        assert_eq!(String::from_utf8_lossy(&shell.stdout), format!("{text}|"));
    }
    assert_eq!(word("pkg:npm/left-pad@1.3.0"), "pkg:npm/left-pad@1.3.0");
}
