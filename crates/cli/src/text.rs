//! Quoting for shells and URLs.
//!
//! Owns: those two. Never: secrets' fate; the caller decides what is printed.

/// A word that every POSIX shell reads back as it is.
pub(crate) fn shell_quote(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "@%_+=:,./-".contains(c);
    match text {
        text if !text.is_empty() && text.chars().all(plain) => text.to_owned(),
        text => format!("'{}'", text.replace('\'', r"'\''")),
    }
}

/// Everything but the unreserved characters as %XX. libpq does not read `+` as a space.
pub(crate) fn percent_encode(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                char::from(byte).to_string()
            }
            _ => format!("%{byte:02X}"),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shells_read_back_what_was_quoted() {
        for text in ["plain@x", "", "it's", "a b$c`d`\"e", "line\nbreak", "*?~"] {
            let script = format!("printf %s {}", shell_quote(text));
            let output = std::process::Command::new("sh").args(["-c", &script]).output().unwrap();
            assert_eq!(String::from_utf8(output.stdout).unwrap(), text);
        }
    }

    #[test]
    fn urls_keep_their_structure() {
        assert_eq!(percent_encode("me@x/y z+é"), "me%40x%2Fy%20z%2B%C3%A9");
    }
}
