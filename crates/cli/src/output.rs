//! The way to stdout and stderr.
//!
//! Owns: text or JSON, and that no control character of an answer reaches a terminal. Never: content.

use std::io::{self, ErrorKind, IsTerminal, Write};

use comfy_table::{Table, presets};
use serde::Serialize;

use crate::args::Format;
use crate::failure::Failure;
use crate::status_line::StatusLine;

pub(crate) struct Output {
    asked: Option<Format>,
    quiet: bool,
}

impl Output {
    pub(crate) fn new(asked: Option<Format>, quiet: bool) -> Self {
        Self { asked, quiet }
    }

    /// JSON as the API sent it, or a view of it for people: what was asked, else by who reads.
    pub(crate) fn show<T: Serialize>(
        &self,
        value: &T,
        view: impl FnOnce(&T) -> String,
    ) -> Result<(), Failure> {
        let by_reader = || if io::stdout().is_terminal() { Format::Text } else { Format::Json };
        self.print_as(self.asked.unwrap_or_else(by_reader), value, view)
    }

    /// For commands whose answer is made for a shell: text unless JSON was asked.
    pub(crate) fn show_text<T: Serialize>(
        &self,
        value: &T,
        view: impl FnOnce(&T) -> String,
    ) -> Result<(), Failure> {
        self.print_as(self.asked.unwrap_or(Format::Text), value, view)
    }

    /// For commands whose answer is made for a program: JSON unless text was asked.
    pub(crate) fn show_json<T: Serialize>(
        &self,
        value: &T,
        view: impl FnOnce(&T) -> String,
    ) -> Result<(), Failure> {
        self.print_as(self.asked.unwrap_or(Format::Json), value, view)
    }

    fn print_as<T: Serialize>(
        &self,
        format: Format,
        value: &T,
        view: impl FnOnce(&T) -> String,
    ) -> Result<(), Failure> {
        match format {
            Format::Text => print(&view(value)),
            Format::Json => serde_json::to_string_pretty(value)
                .map_err(Failure::while_doing("print the answer"))
                .and_then(|json| print(&json)),
        }
    }

    /// Something that a person may want to know and a program does not.
    pub(crate) fn note(&self, text: &str) {
        if !self.quiet {
            complain(text);
        }
    }

    /// Something that the command cannot go on without.
    pub(crate) fn prompt(&self, text: &str) {
        complain(text);
    }

    pub(crate) fn status_line(&self) -> StatusLine {
        StatusLine::new(!self.quiet && io::stderr().is_terminal())
    }
}

/// A reader that has seen enough (`| head`) is no failure.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    match writeln!(io::stdout(), "{text}") {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(Failure::new(format!("write to stdout: {error}")))
        }
        _ => Ok(()),
    }
}

/// A line on stderr. If nobody can read it, nobody can be told.
pub(crate) fn complain(text: &str) {
    let _ = writeln!(io::stderr(), "{text}");
}

/// How wide the reader's terminal is, if stdout is one.
fn width() -> Option<u16> {
    terminal_size::terminal_size_of(io::stdout()).map(|(width, _)| width.0)
}

/// Columns under a header; where the terminal is too narrow for them, a block for each row.
pub(crate) fn columns<const N: usize>(
    header: [&'static str; N],
    rows: impl IntoIterator<Item = [String; N]>,
) -> String {
    let rows: Vec<_> = rows.into_iter().collect();
    let wide = wide_columns(header, rows.iter().cloned());
    match width() {
        Some(width) if !fits(&wide, width) => blocks(header, rows),
        _ => wide,
    }
}

fn fits(text: &str, width: u16) -> bool {
    text.lines().all(|line| line.chars().count() <= usize::from(width))
}

fn blocks<const N: usize>(header: [&'static str; N], rows: Vec<[String; N]>) -> String {
    let block = |row: [String; N]| {
        let cells = header.into_iter().zip(row);
        fields(cells.map(|(key, cell)| (key, Some(cell).filter(|cell| !cell.is_empty()))))
    };
    rows.into_iter().map(block).collect::<Vec<_>>().join("\n\n")
}

fn wide_columns<const N: usize>(
    header: [&'static str; N],
    rows: impl IntoIterator<Item = [String; N]>,
) -> String {
    let mut table = plain();
    table.set_header(header);
    for row in rows {
        table.add_row(row.map(|cell| printable(&cell)));
    }
    render(table)
}

/// As many columns as there are.
#[cfg(feature = "server")]
pub(crate) fn grid(header: Vec<String>, rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut table = plain();
    table.set_header(header.iter().map(|cell| printable(cell)));
    for row in rows {
        table.add_row(row.iter().map(|cell| printable(cell)));
    }
    render(table)
}

/// One object, a field a line; those without a value are left out.
pub(crate) fn fields(rows: impl IntoIterator<Item = (&'static str, Option<String>)>) -> String {
    let mut table = plain();
    for (key, value) in rows {
        if let Some(value) = value {
            table.add_row([key.to_owned(), printable(&value)]);
        }
    }
    render(table)
}

fn plain() -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table
}

fn render(mut table: Table) -> String {
    const BETWEEN_COLUMNS: (u16, u16) = (0, 2);
    for column in table.column_iter_mut() {
        column.set_padding(BETWEEN_COLUMNS);
    }
    table.trim_fmt()
}

fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_escape_sequence_reaches_the_terminal() {
        let text = fields([("message", Some(String::from("a\u{1b}[31mb\nc"))), ("absent", None)]);
        assert_eq!(text, "message  a [31mb c");
    }

    #[test]
    fn a_narrow_terminal_gets_blocks() {
        let row = |name: &str| [name.to_owned(), String::new()];
        assert_eq!(blocks(["NAME", "STATE"], vec![row("x"), row("y")]), "NAME  x\n\nNAME  y");
        assert!(fits("ü234", 4) && !fits("a\n12345", 4));
    }

    #[test]
    fn columns_have_a_header() {
        let text = columns(["NAME", "STATE"], [["x".to_owned(), "AVAILABLE".to_owned()]]);
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines, ["NAME  STATE", "x     AVAILABLE"]);
    }
}
