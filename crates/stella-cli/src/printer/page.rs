//! Text for people, put together before any of it is written.

use std::fmt::Display;

use comfy_table::{ContentArrangement, Table, presets};

/// What is printed may come from anybody's statement: control characters in
/// it, which a terminal would obey, are shown as U+FFFD.
#[derive(Debug, Default)]
pub struct Page {
    text: String,
    /// What remains with `--quiet`.
    brief: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Paint {
    Red,
    Green,
    Yellow,
    Dim,
    Bold,
}

/// Private-use characters stand for colours until the page is rendered, so
/// that no text from elsewhere can bring an escape sequence of its own.
const MARKS: [(Paint, char, &str); 5] = [
    (Paint::Red, '\u{F0001}', "\u{1b}[31m"),
    (Paint::Green, '\u{F0002}', "\u{1b}[32m"),
    (Paint::Yellow, '\u{F0003}', "\u{1b}[33m"),
    (Paint::Dim, '\u{F0004}', "\u{1b}[2m"),
    (Paint::Bold, '\u{F0005}', "\u{1b}[1m"),
];
const END: (char, &str) = ('\u{F0000}', "\u{1b}[0m");

impl Page {
    pub fn line(&mut self, text: impl Display) {
        self.text.push_str(&text.to_string());
        self.text.push('\n');
    }

    /// `label   value`, the values one under another.
    pub fn field(&mut self, label: &str, value: impl Display) {
        self.line(format!("{label:<15} {value}").trim_end());
    }

    /// The field, if there is a value.
    pub fn maybe(&mut self, label: &str, value: Option<impl Display>) {
        if let Some(value) = value {
            self.field(label, value);
        }
    }

    /// The command to go on with.
    pub fn next(&mut self, command: impl Display) {
        self.line(format!("  next: {command}"));
    }

    /// Columns without borders; `empty` is said when there are no rows.
    pub fn table<const N: usize>(
        &mut self,
        header: [&str; N],
        rows: impl IntoIterator<Item = [String; N]>,
        empty: &str,
    ) {
        let mut table = Table::new();
        table
            .load_style(presets::NOTHING)
            .set_content_arrangement(ContentArrangement::Disabled)
            .set_header(header);
        for row in rows {
            table.add_row(row.map(|cell| clean(&cell)));
        }
        if table.is_empty() {
            self.line(empty);
            return;
        }
        for column in table.column_iter_mut() {
            column.set_padding((0, 2));
        }
        for line in table.lines() {
            self.line(line.trim_end());
        }
    }

    /// A table that is the whole answer: with `--quiet` its first column
    /// alone, for scripts to read.
    pub fn list<const N: usize>(
        &mut self,
        header: [&str; N],
        rows: impl IntoIterator<Item = [String; N]>,
        empty: &str,
    ) {
        let rows: Vec<[String; N]> = rows.into_iter().collect();
        let names = rows.iter().filter_map(|row| row.first());
        self.brief = Some(names.map(|name| format!("{}\n", clean(name))).collect());
        self.table(header, rows, empty);
    }

    /// With `--quiet` only this is printed.
    pub fn brief(&mut self, text: impl Display) {
        self.brief = Some(format!("{text}\n"));
    }

    pub fn paint(&self, paint: Paint, text: impl Display) -> String {
        let mark = MARKS.iter().find(|(p, ..)| *p == paint).map_or(END.0, |m| m.1);
        format!("{mark}{text}{}", END.0)
    }

    /// The sign of a check that passed, or did not.
    pub fn tick(&self, ok: bool) -> String {
        if ok {
            self.paint(Paint::Green, "✓")
        } else {
            self.paint(Paint::Red, "✗")
        }
    }

    pub fn render(&self, colour: bool, quiet: bool) -> String {
        let text = match &self.brief {
            Some(brief) if quiet => brief,
            _ => &self.text,
        };
        let mut out = String::with_capacity(text.len());
        for c in text.chars() {
            let escape = (c == END.0)
                .then_some(END.1)
                .or_else(|| MARKS.iter().find(|m| m.1 == c).map(|m| m.2));
            match escape {
                Some(escape) if colour => out.push_str(escape),
                Some(_) => {}
                None => out.push(visible(c)),
            }
        }
        out
    }
}

/// For one cell: no line breaks either.
fn clean(text: &str) -> String {
    text.replace(['\n', '\r', '\t'], " ")
}

/// Control characters and the marks that turn the direction of text around.
fn visible(c: char) -> char {
    let harmless = c == '\n' || c == '\t';
    let turns = matches!(c, '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}');
    if (c.is_control() && !harmless) || turns {
        '\u{FFFD}'
    } else {
        c
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quiet_list_is_its_names_one_on_each_line() {
        let rows = [["key-1", "active"], ["key\n2", "retired"]].map(|row| row.map(String::from));
        let mut page = Page::default();
        page.list(["Key ID", "Status"], rows, "no keys");
        assert_eq!(page.render(false, true), "key-1\nkey 2\n");
        assert!(page.render(false, false).starts_with("Key ID  Status"));
        let mut page = Page::default();
        page.list(["Key ID"], [], "no keys");
        assert_eq!(page.render(false, true), "");
        assert_eq!(page.render(false, false), "no keys\n");
    }

    #[test]
    fn a_table_has_columns_and_no_borders() {
        let mut page = Page::default();
        page.table(
            ["ID", "Pattern", "Keys", "Status"],
            [
                ["550e8400", "pkg:npm/*", "key-2025-prod", "active"].map(String::from),
                ["660f9500", "pkg:maven/*", "key-2025-java", "active"].map(String::from),
            ],
            "none",
        );
        assert_eq!(
            page.render(false, false),
            "ID        Pattern      Keys           Status\n\
             550e8400  pkg:npm/*    key-2025-prod  active\n\
             660f9500  pkg:maven/*  key-2025-java  active\n"
        );
    }

    #[test]
    fn an_empty_table_says_so() {
        let mut page = Page::default();
        page.table(["ID"], [], "no keys");
        assert_eq!(page.render(false, false), "no keys\n");
    }

    #[test]
    fn only_our_own_colours_reach_the_terminal() {
        let mut page = Page::default();
        let painted = page.paint(Paint::Red, "evil \u{1b}[2J\u{202E}name");
        page.line(painted);
        assert_eq!(
            page.render(true, false),
            "\u{1b}[31mevil \u{FFFD}[2J\u{FFFD}name\u{1b}[0m\n"
        );
        assert_eq!(page.render(false, false), "evil \u{FFFD}[2J\u{FFFD}name\n");
    }

    #[test]
    fn quiet_leaves_what_a_script_wants() {
        let mut page = Page::default();
        page.line("made key k1");
        page.brief("k1");
        assert_eq!(page.render(false, true), "k1\n");
        assert_eq!(page.render(false, false), "made key k1\n");
    }
}
