//! The `.databrickscfg` format: sections of `key = value` lines.
//!
//! Owns: the syntax. Never: the meaning of a key.

use std::collections::BTreeMap;

pub(crate) type Section = BTreeMap<String, String>;

/// Sections by name. Keys are lower-cased, as the official clients read them; a repeated section adds
/// to the first, a repeated key overrides.
#[derive(Debug, Default)]
pub(crate) struct Ini(BTreeMap<String, Section>);

impl Ini {
    /// The error is the number of the line that is neither section, key, comment nor empty.
    pub(crate) fn parse(text: &str) -> Result<Self, usize> {
        let mut sections = BTreeMap::<String, Section>::new();
        let mut current = None;
        for (index, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with(['#', ';']) {
                continue;
            }
            if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
                sections.entry(name.trim().to_owned()).or_default();
                current = Some(name.trim().to_owned());
                continue;
            }
            let (key, value) = line.split_once('=').ok_or(index + 1)?;
            let section = current.clone().ok_or(index + 1)?;
            let key = key.trim().to_ascii_lowercase();
            sections.entry(section).or_default().insert(key, value.trim().to_owned());
        }
        Ok(Self(sections))
    }

    pub(crate) fn section(&self, name: &str) -> Option<&Section> {
        self.0.get(name)
    }

    pub(crate) fn sections(&self) -> impl Iterator<Item = (&str, &Section)> {
        self.0.iter().map(|(name, section)| (name.as_str(), section))
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_sections_comments_and_values_with_equal_signs() {
        let ini = Ini::parse("# c\n[DEFAULT]\nHost = h\n; c\n\n[ two ]\r\ntoken=a=b==\n").unwrap();
        assert_eq!(ini.names().collect::<Vec<_>>(), ["DEFAULT", "two"]);
        assert_eq!(ini.section("DEFAULT").unwrap()["host"], "h");
        assert_eq!(ini.section("two").unwrap()["token"], "a=b==");
    }

    #[test]
    fn names_the_bad_line() {
        assert_eq!(Ini::parse("[a]\nhost = h\nnonsense\n").unwrap_err(), 3);
        assert_eq!(Ini::parse("host = h\n").unwrap_err(), 1);
    }
}
