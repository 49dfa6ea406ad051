//! SCIM filters: comparisons of one attribute with a string, joined by `and`.

use lakeport_store::{Comparison, PrincipalField, PrincipalFilter};

use super::error::ScimError;

/// The attributes that can be compared and sorted by; names have no case.
pub(super) fn field(name: &str) -> Option<PrincipalField> {
    Some(match name.to_ascii_lowercase().as_str() {
        "id" => PrincipalField::Id,
        "username" => PrincipalField::UserName,
        "displayname" => PrincipalField::DisplayName,
        "applicationid" => PrincipalField::ApplicationId,
        "externalid" => PrincipalField::ExternalId,
        _ => return None,
    })
}

/// An empty filter lets everything through.
pub(super) fn parse(text: &str) -> Result<Vec<PrincipalFilter>, ScimError> {
    let mut filters = Vec::new();
    let mut rest = text.trim();
    while !rest.is_empty() {
        let (filter, after) = comparison(rest)?;
        filters.push(filter);
        let after = after.trim_start();
        if after.is_empty() {
            break;
        }
        let (word, after) = word(after);
        if !word.eq_ignore_ascii_case("and") || after.trim().is_empty() {
            return Err(invalid(format!(
                "\"{word}\" is not supported between comparisons; use and"
            )));
        }
        rest = after.trim_start();
    }
    Ok(filters)
}

fn comparison(text: &str) -> Result<(PrincipalFilter, &str), ScimError> {
    let (name, rest) = word(text);
    let field = field(name).ok_or_else(|| invalid(format!("there is no attribute \"{name}\"")))?;
    let (operator, rest) = word(rest.trim_start());
    let comparison = match operator.to_ascii_lowercase().as_str() {
        "eq" => Comparison::Equal,
        "ne" => Comparison::NotEqual,
        "co" => Comparison::Contains,
        "sw" => Comparison::StartsWith,
        "ew" => Comparison::EndsWith,
        _ => {
            return Err(invalid(format!(
                "\"{operator}\" is not supported; use one of: eq, ne, co, sw, ew"
            )));
        }
    };
    let (value, rest) = string(rest.trim_start())?;
    Ok((PrincipalFilter { field, comparison, value }, rest))
}

fn word(text: &str) -> (&str, &str) {
    text.split_at(text.find(char::is_whitespace).unwrap_or(text.len()))
}

/// A JSON string; clients also quote with single quotes.
fn string(text: &str) -> Result<(String, &str), ScimError> {
    let bad = || invalid("the value must be in double quotes, such as userName eq \"a@b.c\"");
    if let Some(rest) = text.strip_prefix('\'') {
        let (value, rest) = rest.split_once('\'').ok_or_else(bad)?;
        return Ok((value.to_owned(), rest));
    }
    if !text.starts_with('"') {
        return Err(bad());
    }
    let mut values = serde_json::Deserializer::from_str(text).into_iter::<String>();
    let value = values.next().and_then(Result::ok).ok_or_else(bad)?;
    let end = values.byte_offset();
    if value.contains('\0') {
        return Err(bad());
    }
    Ok((value, &text[end..]))
}

fn invalid(problem: impl std::fmt::Display) -> ScimError {
    ScimError::bad("invalidFilter", format!("filter: {problem}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Vec<(PrincipalField, Comparison, String)> {
        let filters = parse(text).unwrap_or_else(|error| panic!("{text}: {error:?}"));
        filters.into_iter().map(|f| (f.field, f.comparison, f.value)).collect()
    }

    #[test]
    fn comparisons_are_read_as_clients_write_them() {
        let name = |value: &str| (PrincipalField::UserName, Comparison::Equal, value.to_owned());
        assert_eq!(parsed(r#"userName eq "a@b.c""#), [name("a@b.c")]);
        assert_eq!(parsed(r#"  USERNAME EQ "say \"hi\"" "#), [name("say \"hi\"")]);
        assert_eq!(parsed("userName eq 'a'"), [name("a")]);
        assert_eq!(
            parsed(r#"displayName sw "a b" and externalId ne "x""#),
            [
                (PrincipalField::DisplayName, Comparison::StartsWith, "a b".into()),
                (PrincipalField::ExternalId, Comparison::NotEqual, "x".into()),
            ]
        );
        assert!(parsed("").is_empty());
    }

    #[test]
    fn what_does_not_parse_is_refused() {
        for bad in [
            "userName",
            "userName eq",
            "userName eq a",
            "userName eq \"a",
            "userName like \"a\"",
            "secret eq \"a\"",
            "userName eq \"a\" or userName eq \"b\"",
            "userName eq \"a\" and",
            "(userName eq \"a\")",
            "userName eq \"a\\u0000\"",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
