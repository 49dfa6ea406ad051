//! The routes that the sources define: axum does not list what a router holds.

use std::fs;
use std::path::Path;

/// Methods and paths of the `.route(…)` calls below `rest` and `oauth`.
pub(super) fn routes() -> Vec<(String, String)> {
    let mut found = Vec::new();
    for directory in ["rest", "oauth"] {
        visit(&Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src")).join(directory), &mut found);
    }
    found
}

fn visit(directory: &Path, found: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.ends_with("refusals") {
            visit(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.extend(routes_in(&fs::read_to_string(path).unwrap()));
        }
    }
}

fn routes_in(source: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for call in source.split(".route(").skip(1) {
        let Some((path, handlers)) = path_of(source, call) else { continue };
        let handlers = handlers.split("\n}").next().unwrap_or_default();
        for (word, method) in [
            ("get", "GET"),
            ("post", "POST"),
            ("put", "PUT"),
            ("patch", "PATCH"),
            ("delete", "DELETE"),
            ("delete_", "DELETE"),
        ] {
            if handlers.contains(&format!(" {word}(")) || handlers.contains(&format!(".{word}(")) {
                found.push((method.to_owned(), path.clone()));
            }
        }
    }
    found
}

/// The path of a call, written as text, as a constant or with `format!`, and what follows it.
fn path_of<'a>(source: &str, call: &'a str) -> Option<(String, &'a str)> {
    let call = call.trim_start();
    if call.starts_with(char::is_uppercase) {
        let (name, handlers) = call.split_once(',')?;
        return Some((constant(source, name)?.to_owned(), handlers));
    }
    let mut parts = call.splitn(3, '"');
    let (before, text, handlers) = (parts.next()?, parts.next()?, parts.next()?);
    if before == "&at(" {
        return Some((format!("/api/2.1/unity-catalog/{text}"), handlers));
    }
    if !before.starts_with("&format!(") {
        return Some((text.to_owned(), handlers));
    }
    let text = text.replace("{{", "{").replace("}}", "}");
    let path = match text.strip_prefix('{').and_then(|rest| rest.split_once('}')) {
        Some((name, rest)) => format!("{}{rest}", constant(source, name)?),
        None => text,
    };
    Some((path, handlers))
}

fn constant<'a>(source: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = source.split_once(&format!("const {name}: &str = "))?;
    rest.split('"').nth(1)
}

/// Whether a route's template stands for a path.
pub(super) fn matches(template: &str, path: &str) -> bool {
    let (one, other): (Vec<_>, Vec<_>) = (template.split('/').collect(), path.split('/').collect());
    one.len() == other.len()
        && one.iter().zip(&other).all(|(one, other)| one.starts_with('{') || one == other)
}
