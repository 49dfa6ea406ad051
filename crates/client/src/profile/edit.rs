//! Changes of the configuration file: one section at a time, everything else as it was.
//!
//! Owns: where a line goes, and that nobody reads half a file. Never: which values.

use std::io::{self, Write};
use std::path::PathBuf;

use url::Url;

use super::ini::{Ini, Section};
use super::{Overrides, ProfileError, file, fs, parse_host, variable};

/// The configuration file, with all its profiles.
#[derive(Debug, Clone)]
pub struct ConfigFile {
    path: PathBuf,
    text: String,
}

/// A profile as the file tells it.
#[derive(Debug, Clone)]
pub struct Entry {
    pub name: String,
    pub host: Option<Url>,
    /// As the official clients call it: `pat`, `oauth-m2m`, `databricks-cli`.
    pub auth_type: Option<String>,
}

impl ConfigFile {
    /// A missing file is an empty one.
    ///
    /// # Errors
    /// If it is there but cannot be read.
    pub fn load(overrides: &Overrides) -> Result<Self, ProfileError> {
        let path = file::path(overrides, &variable);
        match fs::read_to_string(&path) {
            Ok(text) => Ok(Self { path, text }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Ok(Self { path, text: String::new() })
            }
            Err(source) => Err(ProfileError::Read { path, source }),
        }
    }

    #[must_use]
    pub fn path(&self) -> &std::path::Path {
        &self.path
    }

    /// # Errors
    /// If a line is not of the format.
    pub fn entries(&self) -> Result<Vec<Entry>, ProfileError> {
        let ini = Ini::parse(&self.text)
            .map_err(|line| ProfileError::Syntax { path: self.path.clone(), line })?;
        Ok(ini.sections().map(|(name, section)| entry(name, section)).collect())
    }

    /// Sets these values of one profile, and writes the file for its owner's eyes only.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn set(&mut self, profile: &str, values: &[(&str, &str)]) -> Result<(), ProfileError> {
        self.text = with_values(&self.text, profile, values);
        self.write().map_err(|source| ProfileError::Write { path: self.path.clone(), source })
    }

    fn write(&self) -> io::Result<()> {
        // A link stays a link: what it leads to is replaced.
        let path = fs::canonicalize(&self.path).unwrap_or_else(|_| self.path.clone());
        let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        let mut file = match directory {
            Some(directory) => tempfile::NamedTempFile::new_in(directory)?,
            None => tempfile::NamedTempFile::new_in(".")?,
        };
        file.write_all(self.text.as_bytes())?;
        file.persist(&path)?;
        Ok(())
    }
}

fn entry(name: &str, section: &Section) -> Entry {
    let has = |key: &str| section.get(key).is_some_and(|value| !value.is_empty());
    let told = section.get("auth_type").filter(|kind| !kind.is_empty()).cloned();
    let found = if has("token") {
        Some("pat")
    } else if has("client_id") && has("client_secret") {
        Some("oauth-m2m")
    } else {
        None
    };
    Entry {
        name: name.to_owned(),
        host: section.get("host").and_then(|host| parse_host(host).ok()),
        auth_type: told.or(found.map(str::to_owned)),
    }
}

/// Lines of the section that set one of the keys are replaced; keys that are new come after its last line.
fn with_values(text: &str, profile: &str, values: &[(&str, &str)]) -> String {
    let header = |line: &str| {
        let name = line.trim().strip_prefix('[')?.strip_suffix(']')?;
        Some(name.trim().to_owned())
    };
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let start = match lines.iter().position(|line| header(line).as_deref() == Some(profile)) {
        Some(start) => start,
        None => {
            if lines.last().is_some_and(|line| !line.trim().is_empty()) {
                lines.push(String::new());
            }
            lines.push(format!("[{profile}]"));
            lines.len() - 1
        }
    };
    let after = lines[start + 1..].iter().position(|line| header(line).is_some());
    let mut end = after.map_or(lines.len(), |offset| start + 1 + offset);
    while end > start + 1 && lines[end - 1].trim().is_empty() {
        end -= 1;
    }
    for (key, value) in values {
        let sets = |line: &String| {
            line.split_once('=').is_some_and(|(left, _)| left.trim().eq_ignore_ascii_case(key))
        };
        let line = format!("{key} = {value}");
        match lines[start + 1..end].iter().position(sets) {
            Some(offset) => lines[start + 1 + offset] = line,
            None => {
                lines.insert(end, line);
                end += 1;
            }
        }
    }
    lines.push(String::new());
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_section_is_changed_and_the_rest_stays() {
        let text =
            "# mine\n[DEFAULT]\nhost = a\ntoken = t\n\n[dev]\nHost=old\n# note\n\n[z]\nhost = z\n";
        let changed = with_values(text, "dev", &[("host", "new"), ("auth_type", "databricks-cli")]);
        assert_eq!(
            changed,
            "# mine\n[DEFAULT]\nhost = a\ntoken = t\n\n[dev]\nhost = new\n# note\n\
             auth_type = databricks-cli\n\n[z]\nhost = z\n"
        );
    }

    #[test]
    fn a_new_section_comes_last() {
        assert_eq!(with_values("", "dev", &[("host", "h")]), "[dev]\nhost = h\n");
        let two = with_values("[a]\nhost = a", "b", &[("host", "b")]);
        assert_eq!(two, "[a]\nhost = a\n\n[b]\nhost = b\n");
    }
}
