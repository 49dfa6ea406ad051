//! `app.yaml`: what starts an app, and which variables it wants.
//!
//! Owns: reading it, with line and column of what is wrong. Never: values of resources.

use std::fs;
use std::path::Path;

use lakeport_api::app::AppVariable;
use serde::Deserialize;
use serde_saphyr::Spanned;

use crate::failure::Failure;

const FILES: [&str; 2] = ["app.yaml", "app.yml"];

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Manifest {
    pub(super) command: Vec<String>,
    pub(super) variables: Vec<AppVariable>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct File {
    command: Option<Spanned<Vec<String>>>,
    env: Vec<Spanned<Entry>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    name: String,
    value: Option<String>,
    #[serde(rename = "valueFrom", alias = "value_from")]
    value_from: Option<String>,
}

impl Manifest {
    /// What `app.yaml` of the folder says; without a command, what the folder looks like decides.
    pub(super) fn read(folder: &Path) -> Result<Self, Failure> {
        let file = FILES.iter().map(|name| folder.join(name)).find(|path| path.exists());
        let (command, variables) = match file {
            Some(path) => {
                let text = fs::read_to_string(&path)
                    .map_err(Failure::while_doing(format!("read {}", path.display())))?;
                parse(&text).map_err(|problem| {
                    Failure::usage(format!("{}: {problem}", path.display())).hint(
                        "its keys are `command`, a list, and `env`, a list of name and value \
                               or valueFrom",
                    )
                })?
            }
            None => (None, Vec::new()),
        };
        let command = match command {
            Some(command) => command,
            None => usual_command(folder)?,
        };
        Ok(Self { command, variables })
    }
}

fn parse(text: &str) -> Result<(Option<Vec<String>>, Vec<AppVariable>), String> {
    if text.lines().all(|line| line.trim().is_empty() || line.trim().starts_with('#')) {
        return Ok((None, Vec::new()));
    }
    let options = serde_saphyr::options! { with_snippet: false };
    let file: File =
        serde_saphyr::from_str_with_options(text, options).map_err(|error| located(&error))?;
    let at = |location: serde_saphyr::Location, problem: String| {
        format!("line {}, column {}: {problem}", location.line(), location.column())
    };
    let command = match file.command {
        Some(command) if command.value.is_empty() => {
            return Err(at(command.referenced, String::from("`command` is empty")));
        }
        command => command.map(|command| command.value),
    };
    let mut variables: Vec<AppVariable> = Vec::new();
    for entry in file.env {
        let Spanned { value: Entry { name, value, value_from }, referenced, .. } = entry;
        let problem = if name.is_empty() || name.contains(['=', '\0']) {
            Some(format!("`{name}` cannot be the name of a variable"))
        } else if value.is_some() == value_from.is_some() {
            Some(format!("`{name}` needs either `value` or `valueFrom`"))
        } else if variables.iter().any(|other| other.name == name) {
            Some(format!("`{name}` is there twice"))
        } else {
            None
        };
        if let Some(problem) = problem {
            return Err(at(referenced, problem));
        }
        variables.push(AppVariable { name, value, value_from });
    }
    Ok((command, variables))
}

/// The place first, as for our own findings.
fn located(error: &serde_saphyr::Error) -> String {
    match error.location() {
        Some(location) => {
            let text = error.to_string();
            let suffix = format!(" at line {}, column {}", location.line(), location.column());
            let text = text.trim_end_matches(&suffix).to_owned();
            format!("line {}, column {}: {text}", location.line(), location.column())
        }
        None => error.to_string(),
    }
}

/// As the platform does: `npm run start`, or the Python program of the folder.
fn usual_command(folder: &Path) -> Result<Vec<String>, Failure> {
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
    if folder.join("package.json").exists() {
        return Ok(words(&["npm", "run", "start"]));
    }
    if folder.join("app.py").exists() {
        return Ok(words(&["python", "app.py"]));
    }
    let listing = fs::read_dir(folder)
        .map_err(Failure::while_doing(format!("look into {}", folder.display())))?;
    let mut programs: Vec<_> = listing
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| name.ends_with(".py"))
        .collect();
    programs.sort();
    match programs.first() {
        Some(program) => Ok(words(&["python", program])),
        None => Err(Failure::usage(format!(
            "{} has no app.yaml, no package.json and no Python program",
            folder.display()
        ))
        .hint("write an app.yaml with the `command` that starts the app")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn command_and_variables_are_read() {
        let text = "command: [\"streamlit\", \"run\", app.py]\nenv:\n  - name: A\n    value: \"1\"\n  \
                    - name: N\n    value: 8000\n  - name: B\n    valueFrom: database\n";
        let (command, variables) = parse(text).unwrap();
        assert_eq!(command.unwrap(), ["streamlit", "run", "app.py"]);
        let seen: Vec<_> = variables
            .iter()
            .map(|v| (v.name.as_str(), v.value.as_deref(), v.value_from.as_deref()))
            .collect();
        assert_eq!(
            seen,
            [("A", Some("1"), None), ("N", Some("8000"), None), ("B", None, Some("database"))]
        );
        assert_eq!(parse("# nothing\n\n").unwrap(), (None, Vec::new()));
    }

    #[test]
    fn what_is_wrong_has_a_line_and_a_column() {
        for (text, place) in [
            ("command: python app.py\n", "line 1, column 10: "),
            ("command: []\n", "line 1, column 10: "),
            ("command: [a]\nenvironment: []\n", "line 2, column 1: "),
            ("command: [a\nenv: []\n", "line "),
            ("env:\n  - name: A\n", "line 2, column 5: "),
            ("env:\n  - name: A\n    value: x\n    valueFrom: y\n", "line 2, column 5: "),
            ("env:\n  - name: A\n    value: x\n  - name: A\n    value: y\n", "line 4, column 5: "),
            ("env:\n  - value: x\n", "line 2, column 5: "),
        ] {
            let problem = parse(text).unwrap_err();
            assert!(problem.starts_with(place), "{text:?}: {problem}");
        }
    }
}
