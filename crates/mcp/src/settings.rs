//! What the operator of the tools decides, as opposed to the agent that calls them.
//!
//! Owns: levels of access, limits, protected names. Never: anything that a call can change.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use lakeport_api::DatabaseInstance;

/// How much the tools may do; each level includes the ones above it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Access {
    /// Look, and change nothing.
    Observe,
    /// Make and change instances and synced tables; SQL reads only.
    Manage,
    /// SQL that writes, and connections for other programs.
    Write,
}

impl Access {
    pub const ALL: [Self; 3] = [Self::Observe, Self::Manage, Self::Write];

    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Observe => "observe",
            Self::Manage => "manage",
            Self::Write => "write",
        }
    }
}

impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Access {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = Self::ALL.into_iter().find(|access| access.name() == text);
        known.ok_or_else(|| format!("\"{text}\" is not one of observe, manage, write"))
    }
}

#[derive(Debug, Clone)]
pub struct Settings {
    /// PostgreSQL's port, which the API does not tell.
    pub pg_port: u16,
    /// Names of instances whose destruction a person must confirm; `*` stands for any characters.
    pub protected: Vec<String>,
    /// Whether the destruction of an unprotected object takes a second call.
    pub confirm: bool,
    pub statement_timeout: Duration,
    /// Rows of one answer, and the size of their text; the rest is fetched with a cursor.
    pub max_rows: usize,
    pub max_bytes: usize,
    /// A role that reading statements switch to after the login, which the caller must be a member of.
    pub read_role: Option<String>,
    /// Whether the tools run on the agent's own machine, where a socket is of use to it.
    pub local: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            pg_port: 5432,
            protected: Vec::new(),
            confirm: true,
            statement_timeout: Duration::from_secs(30),
            max_rows: 200,
            max_bytes: 64 * 1024,
            read_role: None,
            local: false,
        }
    }
}

/// The custom tag of an instance that protects it; any value but `false` does.
const PROTECTED_TAG: &str = "protected";

impl Settings {
    pub(crate) fn protects(&self, instance: &DatabaseInstance) -> bool {
        let tags = instance.effective_custom_tags.iter().chain(&instance.custom_tags).flatten();
        let tagged = tags
            .filter(|tag| tag.key == PROTECTED_TAG)
            .any(|tag| !tag.value.eq_ignore_ascii_case("false"));
        tagged || self.protected.iter().any(|pattern| matches(pattern, &instance.name))
    }
}

/// `*` stands for any characters, also none.
fn matches(pattern: &str, name: &str) -> bool {
    let Some((start, rest)) = pattern.split_once('*') else { return pattern == name };
    let Some(name) = name.strip_prefix(start) else { return false };
    name.char_indices().map(|(at, _)| &name[at..]).chain([""]).any(|tail| matches(rest, tail))
}

#[cfg(test)]
mod tests {
    use lakeport_api::CustomTag;

    use super::*;

    #[test]
    fn patterns_cover_whole_names() {
        for (pattern, name, expected) in [
            ("prod", "prod", true),
            ("prod", "prod-1", false),
            ("prod*", "prod", true),
            ("prod*", "prod-1", true),
            ("*-prod", "eu-prod", true),
            ("*-prod", "eu-prod-2", false),
            ("a*b*c", "a-b-b-c", true),
            ("*", "anything", true),
            ("*ü", "aü", true),
        ] {
            assert_eq!(matches(pattern, name), expected, "{pattern} {name}");
        }
    }

    #[test]
    fn a_tag_protects_too() {
        let tag = |value: &str| DatabaseInstance {
            name: String::from("x"),
            custom_tags: Some(vec![CustomTag {
                key: String::from("protected"),
                value: value.to_owned(),
            }]),
            ..DatabaseInstance::default()
        };
        let settings = Settings::default();
        assert!(settings.protects(&tag("true")) && settings.protects(&tag("")));
        assert!(!settings.protects(&tag("False")));
        assert!(!settings.protects(&DatabaseInstance::default()));
    }

    #[test]
    fn levels_are_ordered_and_unknown_ones_refused() {
        assert!(Access::Observe < Access::Manage && Access::Manage < Access::Write);
        assert_eq!("write".parse(), Ok(Access::Write));
        assert!("Write-all".parse::<Access>().is_err());
    }
}
