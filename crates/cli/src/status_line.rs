//! One line on a terminal's stderr that is written over until it is cleared.
//!
//! Owns: that it disappears. Never: anything where stderr is not a terminal.

use std::io::{self, Write};

pub(crate) struct StatusLine {
    enabled: bool,
}

impl StatusLine {
    pub(crate) fn new(enabled: bool) -> Self {
        Self { enabled }
    }

    pub(crate) fn update(&self, text: &str) {
        if self.enabled {
            // A line that wraps could not be written over.
            let shown: String = text.chars().take(room()).collect();
            // A progress line that cannot be written is no loss.
            let _ = write!(io::stderr(), "\r\x1b[K{shown}");
            let _ = io::stderr().flush();
        }
    }
}

fn room() -> usize {
    let width = terminal_size::terminal_size_of(io::stderr()).map(|(width, _)| width.0);
    width.map_or(usize::MAX, |width| usize::from(width).saturating_sub(1))
}

impl Drop for StatusLine {
    fn drop(&mut self) {
        self.update("");
    }
}
