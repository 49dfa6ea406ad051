//! Rows so large that PostgreSQL may refuse one of their values.
//!
//! Owns: remembering them while they are encoded, because the server, when it refuses one, names a line of the stream
//! and no key. Most tables have none.

use std::sync::{Arc, Mutex, PoisonError};

/// A jsonb takes up to six times the space of its text, and 256 MB at most.
const LARGE_ROW_BYTES: usize = 32 * 1024 * 1024;

/// Cheap to clone; all clones remember the same rows.
#[derive(Debug, Clone, Default)]
pub(crate) struct LargeRows(Arc<Mutex<Option<(usize, String)>>>);

impl LargeRows {
    /// Keeps the largest row's key.
    pub(super) fn see(&self, bytes: usize, key: impl FnOnce() -> String) {
        if bytes < LARGE_ROW_BYTES {
            return;
        }
        let mut largest = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if largest.as_ref().is_none_or(|(most, _)| bytes > *most) {
            *largest = Some((bytes, key()));
        }
    }

    pub(super) fn key_of_largest(&self) -> Option<String> {
        let largest = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        largest.as_ref().map(|(_, key)| key.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_row_is_remembered_by_all_who_share() {
        let rows = LargeRows::default();
        let others = rows.clone();
        rows.see(LARGE_ROW_BYTES - 1, || "id=1".to_owned());
        assert_eq!(others.key_of_largest(), None);
        for (bytes, key) in [(1, "id=2"), (3, "id=3"), (2, "id=4")] {
            rows.see(LARGE_ROW_BYTES + bytes, || key.to_owned());
        }
        assert_eq!(others.key_of_largest().as_deref(), Some("id=3"));
    }
}
