//! Paging: a page token is the last name of the page before, signed, so that a made-up one is refused.

use lakeport_identity::Vault;

use crate::{Error, Result};

const DEFAULT_SIZE: i64 = 100;
const MAX_SIZE: i64 = 1000;
const TAG_BYTES: usize = 12;

/// One page of a list, and the token of the next if there is more.
#[derive(Debug)]
pub struct Page<T> {
    pub items: Vec<T>,
    pub next_page_token: Option<String>,
}

/// A checked request for a page of one list.
pub(crate) struct PageRequest<'a> {
    vault: &'a Vault,
    list: String,
    pub(crate) after: String,
    size: i64,
}

impl<'a> PageRequest<'a> {
    /// `list` names what is listed: a token of one list does not open another.
    pub(crate) fn new(
        vault: &'a Vault,
        list: String,
        size: Option<i64>,
        token: Option<&str>,
    ) -> Result<Self> {
        let size = match size {
            // Newer SDKs send 0 for "the server's default".
            None | Some(0) => DEFAULT_SIZE,
            Some(size @ 1..) => size.min(MAX_SIZE),
            Some(_) => return Err(Error::invalid("page_size", "it may not be negative")),
        };
        let mut request = Self { vault, list, after: String::new(), size };
        if let Some(token) = token.filter(|token| !token.is_empty()) {
            request.after = request.open(token).ok_or_else(|| {
                Error::invalid(
                    "page_token",
                    "it is not one that this list has given: start without one",
                )
            })?;
        }
        Ok(request)
    }

    /// One more than fits, which tells whether there is more.
    pub(crate) fn limit(&self) -> i64 {
        self.size + 1
    }

    pub(crate) fn page<T>(&self, mut items: Vec<T>, key: impl Fn(&T) -> String) -> Page<T> {
        let size = usize::try_from(self.size).unwrap_or(usize::MAX);
        let more = items.len() > size;
        items.truncate(size);
        let last = items.last().filter(|_| more);
        let next_page_token = last.map(|last| self.seal(&key(last)));
        Page { items, next_page_token }
    }

    fn seal(&self, after: &str) -> String {
        hex(&[&self.tag(after), after.as_bytes()].concat())
    }

    fn open(&self, token: &str) -> Option<String> {
        let bytes = unhex(token)?;
        let (tag, after) = bytes.split_at_checked(TAG_BYTES)?;
        let after = String::from_utf8(after.to_vec()).ok()?;
        (self.tag(&after) == tag).then_some(after)
    }

    fn tag(&self, after: &str) -> Vec<u8> {
        let mut tag = self.vault.tag(&format!("page of {}", self.list), after);
        tag.truncate(TAG_BYTES);
        tag
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    if !text.is_ascii() || !text.len().is_multiple_of(2) {
        return None;
    }
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_lead_through_a_list_and_only_that_one() {
        let directory = std::env::temp_dir().join(format!("lakeport-page-{}", std::process::id()));
        let vault = Vault::open(None, &directory).unwrap();
        std::fs::remove_file(&directory).unwrap();
        let request = |list: &str, token: Option<&str>| {
            PageRequest::new(&vault, list.to_owned(), Some(2), token)
        };
        let first = request("a", None).unwrap();
        assert_eq!(first.limit(), 3);
        let page = first.page(vec!["x", "y", "z"], |item| (*item).to_owned());
        assert_eq!(page.items, ["x", "y"]);
        let token = page.next_page_token.unwrap();
        assert_eq!(request("a", Some(&token)).unwrap().after, "y");
        for (list, token) in [("b", token.as_str()), ("a", "made-up"), ("a", "00"), ("a", "é")] {
            assert!(request(list, Some(token)).is_err(), "{list} {token}");
        }
        let last = request("a", Some(&token)).unwrap().page(vec!["z"], |item| (*item).to_owned());
        assert_eq!(last.next_page_token, None);
        assert!(PageRequest::new(&vault, "a".into(), Some(-1), None).is_err());
    }
}
