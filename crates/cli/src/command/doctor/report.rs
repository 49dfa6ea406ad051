//! What was found, step by step, with what mends it.
//!
//! Owns: its forms. Never: finding.

use serde::Serialize;

use super::Stop;
use crate::failure::Failure;

#[derive(Debug, Default, Serialize)]
pub(super) struct Report {
    findings: Vec<Finding>,
}

#[derive(Debug, Serialize)]
struct Finding {
    step: &'static str,
    ok: bool,
    message: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    mend: Vec<String>,
}

impl Report {
    pub(super) fn is_well(&self) -> bool {
        self.findings.iter().all(|finding| finding.ok)
    }

    pub(super) fn well(&mut self, step: &'static str, message: String) {
        self.findings.push(Finding { step, ok: true, message, mend: Vec::new() });
    }

    pub(super) fn ill(&mut self, step: &'static str, message: String, mend: Vec<String>) {
        self.findings.push(Finding { step, ok: false, message, mend });
    }

    /// Said below the last finding, whatever that was.
    pub(super) fn note(&mut self, note: String) {
        if let Some(last) = self.findings.last_mut() {
            last.mend.push(note);
        }
    }

    pub(super) fn stop(
        &mut self,
        step: &'static str,
        message: String,
        mend: impl Into<String>,
    ) -> Stop {
        self.ill(step, message, vec![mend.into()]);
        Stop
    }

    pub(super) fn stop_for(&mut self, step: &'static str, failure: &Failure) -> Stop {
        let mend = failure.what_to_do().map(str::to_owned).into_iter().collect();
        self.ill(step, failure.message().to_owned(), mend);
        Stop
    }

    pub(super) fn text(&self) -> String {
        let mut lines = Vec::new();
        for finding in &self.findings {
            let mark = if finding.ok { "ok   " } else { "WRONG" };
            lines.push(format!("{mark} {}: {}", finding.step, finding.message));
            lines.extend(finding.mend.iter().map(|mend| format!("      {mend}")));
        }
        lines.join("\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_mends_stands_below_what_is_wrong() {
        let mut report = Report::default();
        report.well("server", String::from("it answers"));
        assert!(report.is_well());
        let Stop = report.stop("login", String::from("no role"), "GRANT …");
        assert!(!report.is_well());
        assert_eq!(report.text(), "ok    server: it answers\nWRONG login: no role\n      GRANT …");
    }
}
