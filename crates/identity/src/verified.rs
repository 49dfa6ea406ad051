//! Tokens whose signature was checked, remembered: an application opens all its connections for an hour
//! with one token, and the signature is most of what its check costs.
//!
//! What is remembered is that this very text was signed by that key. Whether the key still counts, and the
//! token's time, is asked each time.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use aws_lc_rs::digest::{SHA256, digest};

/// Some megabytes; reached, all are forgotten.
const MAX_TOKENS: usize = 4_096;

/// Never the token itself.
type Fingerprint = [u8; 32];

pub(crate) struct Verified<C>(Mutex<HashMap<Fingerprint, (String, C)>>);

impl<C> Default for Verified<C> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<C: Clone> Verified<C> {
    /// The claims of this token, if its signature was found right and the key is `still_valid`.
    pub(crate) fn recall(&self, token: &str, still_valid: impl Fn(&str) -> bool) -> Option<C> {
        let known = self.known();
        let (kid, claims) = known.get(&fingerprint(token))?;
        still_valid(kid).then(|| claims.clone())
    }

    pub(crate) fn remember(&self, token: &str, kid: String, claims: &C) {
        let mut known = self.known();
        if known.len() >= MAX_TOKENS {
            known.clear();
        }
        known.insert(fingerprint(token), (kid, claims.clone()));
    }

    /// Each change of it is whole, so a poisoned lock is as good as any.
    fn known(&self) -> MutexGuard<'_, HashMap<Fingerprint, (String, C)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn fingerprint(token: &str) -> Fingerprint {
    let mut fingerprint = Fingerprint::default();
    fingerprint.copy_from_slice(digest(&SHA256, token.as_bytes()).as_ref());
    fingerprint
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_recalled_by_its_whole_text_while_its_key_counts() {
        let verified = Verified::default();
        verified.remember("a.b.c", String::from("k"), &1);
        assert_eq!(verified.recall("a.b.c", |kid| kid == "k"), Some(1));
        assert_eq!(verified.recall("a.b.c", |_| false), None);
        assert_eq!(verified.recall("a.b.d", |_| true), None);
    }

    #[test]
    fn it_does_not_grow_without_end() {
        let verified = Verified::default();
        for number in 0..=MAX_TOKENS {
            verified.remember(&number.to_string(), String::new(), &number);
        }
        assert!(verified.known().len() <= MAX_TOKENS);
        assert_eq!(verified.recall(&MAX_TOKENS.to_string(), |_| true), Some(MAX_TOKENS));
    }
}
