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
            // A progress line that cannot be written is no loss.
            let _ = write!(io::stderr(), "\r\x1b[K{text}");
            let _ = io::stderr().flush();
        }
    }
}

impl Drop for StatusLine {
    fn drop(&mut self) {
        self.update("");
    }
}
