//! JSON of a database, given on as JSON where that loses nothing.
//!
//! Owns: what would be lost. Readers of JSON keep a number as a float and one value for each key, so
//! `10000000000000000.01`, `1.10` and a key that occurs twice arrive whole as text only.

use serde_json::{Number, Value};

use super::rows::LARGEST_EXACT;

/// `None` where a reader would see something else than PostgreSQL shows.
pub(super) fn parse(text: &str) -> Option<Value> {
    let value = serde_json::from_str(text).ok()?;
    let mut keys = 0;
    for token in Tokens(text) {
        match token {
            Token::Number(number) => is_exact(number).then_some(())?,
            Token::Key => keys += 1,
        }
    }
    (keys == keys_of(&value)).then_some(value)
}

/// Whether it is the text of the number that readers keep.
fn is_exact(text: &str) -> bool {
    let Ok(number) = serde_json::from_str::<Number>(text) else { return false };
    let is_whole = !number.is_f64();
    let is_small = number.as_i64().is_some_and(|number| number.unsigned_abs() <= LARGEST_EXACT);
    (is_small || !is_whole) && number.to_string() == text
}

fn keys_of(value: &Value) -> usize {
    match value {
        Value::Array(items) => items.iter().map(keys_of).sum(),
        Value::Object(fields) => fields.len() + fields.values().map(keys_of).sum::<usize>(),
        _ => 0,
    }
}

/// What can be lost of a valid text.
enum Token<'a> {
    Number(&'a str),
    Key,
}

/// The rest of a valid text, outside of strings.
struct Tokens<'a>(&'a str);

impl<'a> Iterator for Tokens<'a> {
    type Item = Token<'a>;

    fn next(&mut self) -> Option<Token<'a>> {
        loop {
            let at = self.0.find(|char: char| matches!(char, '"' | ':' | '-' | '0'..='9'))?;
            let rest = &self.0[at..];
            match rest.as_bytes()[0] {
                b'"' => self.0 = behind_string(&rest[1..]),
                b':' => {
                    self.0 = &rest[1..];
                    return Some(Token::Key);
                }
                _ => {
                    let end = rest.find(|char: char| !is_of_number(char)).unwrap_or(rest.len());
                    let (number, behind) = rest.split_at(end);
                    self.0 = behind;
                    return Some(Token::Number(number));
                }
            }
        }
    }
}

fn is_of_number(char: char) -> bool {
    char.is_ascii_digit() || matches!(char, '-' | '+' | '.' | 'e' | 'E')
}

/// What follows the quote that ends a string.
fn behind_string(mut text: &str) -> &str {
    while let Some(at) = text.find(['"', '\\']) {
        if text.as_bytes()[at] == b'"' {
            return &text[at + 1..];
        }
        // What is escaped has one byte at least, and no more matter which.
        let mut escaped = text[at + 1..].chars();
        escaped.next();
        text = escaped.as_str();
    }
    ""
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_arrives_as_it_is_stays_json() {
        for text in [
            "{}",
            "[]",
            "null",
            "\"1.10: \\\" 2.20 \\\\\"",
            "{\"a\": [1, -2, 0.5, {\"b\": true}], \"c:1.10\": \"\\\"1.10\"}",
            "[9007199254740992, -9007199254740992, 0.1]",
            "{\"a\": {\"k\": 1}, \"b\": {\"k\": 1}}",
        ] {
            assert_eq!(parse(text), Some(serde_json::from_str(text).unwrap()), "{text}");
        }
        assert_eq!(parse("{\"ä\\u0022\": \"\\\\\"}"), Some(json!({ "ä\"": "\\" })));
    }

    #[test]
    fn what_would_lose_a_digit_or_a_key_stays_text() {
        for text in [
            "{\"balance\": 10000000000000000.01}",
            "[1.10]",
            "1.0e5",
            "-0",
            "9007199254740993",
            "[123456789012345678901234567890]",
            "0.30000000000000000001",
            "1e400",
            "{\"a\": 1, \"a\": 2}",
            "[{\"a\": {\"b\": 1, \"b\": 1}}]",
            "{\"a\": 1, \"\\u0061\": 2}",
            "\"\\ud800\"",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
