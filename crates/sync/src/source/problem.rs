//! The kernel's errors in our words.
//!
//! Owns: which problem an error is, and that no credential is in its text.

use delta_kernel::{KernelError, object_store};
use url::Url;

use crate::error::{Error, SourceProblem};
use crate::job::Source;

const CATALOG_MANAGED: &str = "its commits are kept by its catalog (the table feature catalogManaged), which \
     alone knows the newest ones; drop that feature from the table, or sync a copy of it";

/// A location as it may be shown: no user, password, query (signatures) or fragment.
pub(crate) fn shown(location: &str) -> String {
    match Url::parse(location) {
        Ok(mut url) if !url.cannot_be_a_base() => {
            // For `abfss://container@account`, the part before the @ is no secret, and is needed.
            if url.password().is_some() {
                let _ = url.set_username("");
                let _ = url.set_password(None);
            }
            url.set_query(None);
            url.set_fragment(None);
            url.to_string()
        }
        _ => location.to_owned(),
    }
}

impl Source {
    pub(crate) fn problem(&self, problem: SourceProblem, message: impl AsRef<str>) -> Error {
        Error::Source {
            location: shown(&self.location),
            problem,
            message: self.without_secrets(message.as_ref()),
        }
    }

    /// An error of the kernel while it was doing `what`.
    pub(crate) fn kernel(&self, what: &str, error: &KernelError) -> Error {
        let error = innermost(error);
        if matches!(error, KernelError::MaxCatalogVersion(_)) {
            return self.problem(SourceProblem::Unsupported, CATALOG_MANAGED);
        }
        self.problem(classify(error), format!("{what}: {error}"))
    }

    /// Takes option values that are secrets, and the queries of URLs, out of a text.
    fn without_secrets(&self, text: &str) -> String {
        let secrets = self
            .storage_options
            .iter()
            .filter(|(name, value)| !value.is_empty() && is_secret(name));
        let text = secrets.fold(text.to_owned(), |text, (_, value)| text.replace(value, "***"));
        let words = text.split(' ').map(|word| match word.split_once('?') {
            Some((url, _)) if url.contains("://") => format!("{url}?***"),
            _ => word.to_owned(),
        });
        words.collect::<Vec<_>>().join(" ")
    }
}

fn is_secret(option: &str) -> bool {
    const MARKS: [&str; 7] =
        ["secret", "token", "key", "password", "sas", "credential", "signature"];
    let option = option.to_lowercase();
    MARKS.iter().any(|mark| option.contains(mark))
}

fn classify(error: &KernelError) -> SourceProblem {
    match error {
        KernelError::InvalidTableLocation(_) => SourceProblem::Missing,
        KernelError::EmptyLog => SourceProblem::NotDelta,
        KernelError::FileNotFound(_) => SourceProblem::MissingFile,
        KernelError::Unsupported(_) => SourceProblem::Unsupported,
        // A type of a later protocol, such as geometry.
        KernelError::Schema(text) if text.contains("Unsupported Delta table type") => {
            SourceProblem::Unsupported
        }
        KernelError::ObjectStore(_) | KernelError::IOError(_) | KernelError::Reqwest(_) => {
            SourceProblem::Unavailable
        }
        error => match of_the_store(error) {
            Some(object_store::Error::NotFound { .. }) => SourceProblem::MissingFile,
            // Nobody else stands between us and these: a part of the file is missing.
            Some(object_store::Error::Generic { store: "LocalFileSystem", .. }) | None => {
                SourceProblem::Corrupt
            }
            Some(_) => SourceProblem::Unavailable,
        },
    }
}

/// What the store had against a file that was being read, which the reader of Parquet has put into its own
/// errors.
fn of_the_store(error: &KernelError) -> Option<&object_store::Error> {
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        cause = error.source();
    }
    None
}

/// Without the backtraces, which the kernel puts around errors and into their text.
pub(super) fn innermost(error: &KernelError) -> &KernelError {
    match error {
        KernelError::Backtraced { source, .. } => innermost(source),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locations_are_shown_without_signatures() {
        assert_eq!(shown("s3://key:secret@bucket/t?sig=abc"), "s3://bucket/t");
        assert_eq!(
            shown("abfss://c@a.dfs.core.windows.net/t"),
            "abfss://c@a.dfs.core.windows.net/t"
        );
        assert_eq!(shown("/data/table"), "/data/table");
    }

    #[test]
    fn messages_hold_no_storage_secrets() {
        let source = Source {
            location: "s3://bucket/t".to_owned(),
            storage_options: [("aws_secret_access_key".to_owned(), "hunter2".to_owned())].into(),
            may_read: None,
        };
        let text = "GET https://host/t/a.parquet?X-Sig=abc failed for hunter2";
        let error = source.problem(SourceProblem::Unavailable, text);
        let shown = format!("{error} {error:?} {source:?}");
        assert!(!shown.contains("hunter2") && !shown.contains("X-Sig"), "{shown}");
        assert!(shown.contains("https://host/t/a.parquet?***"), "{shown}");
    }
}
