//! User ids for clusters: each gets one that no other cluster of this data directory has.

use std::collections::HashSet;
use std::ops::RangeInclusive;
use std::path::Path;

use aws_lc_rs::digest::{SHA256, digest};

use super::layout::Layout;
use super::os_user::OsUser;
use crate::{Error, Result};

/// Above those that distributions, containers and systemd give out, and below what signed numbers hold.
const FIRST: u32 = 1_900_000_000;
const BLOCK: u32 = 4096;
const BLOCKS: u32 = 50_000;

/// The ids that this engine gives out; none where it cannot.
#[derive(Debug, Clone)]
pub(crate) struct Uids(Option<RangeInclusive<u32>>);

impl Uids {
    /// The range that was asked for must be usable; the default one is left out where it is not.
    pub(crate) fn open(
        asked: Option<RangeInclusive<u32>>,
        layout: &Layout,
        user: &OsUser,
    ) -> Result<Self> {
        if !user.drops() {
            return Ok(Self(None));
        }
        let range = asked.clone().unwrap_or_else(|| block_of(layout.root()));
        if OsUser::can_give_to(*range.start(), &layout.work_directory()) {
            return Ok(Self(Some(range)));
        }
        let (first, last) = (range.start(), range.end());
        if asked.is_some() {
            return Err(Error::Setup(format!(
                "os_uids: the system does not let us give files to user id {first}; choose ids that \
                 it knows, or leave os_uids out"
            )));
        }
        tracing::warn!(
            first,
            last,
            "user ids of their own are not to be had: all servers run as one user"
        );
        Ok(Self(None))
    }

    /// Whether clusters get users of their own.
    pub(crate) fn any(&self) -> bool {
        self.0.is_some()
    }

    /// One that no cluster has; the caller makes sure that nobody else asks meanwhile.
    pub(crate) fn free(&self, layout: &Layout) -> Result<Option<u32>> {
        let Some(range) = &self.0 else { return Ok(None) };
        let taken: HashSet<u32> = layout.cluster_files().filter_map(|file| file.uid).collect();
        let free = range.clone().find(|uid| !taken.contains(uid));
        free.map(Some).ok_or_else(|| {
            Error::Setup(format!(
                "all user ids from {} to {} are taken by clusters: set os_uids to a longer range",
                range.start(),
                range.end()
            ))
        })
    }
}

/// A block chosen from the data directory, so that two servers on one machine do not meet.
fn block_of(root: &Path) -> RangeInclusive<u32> {
    let hash = digest(&SHA256, root.as_os_str().as_encoded_bytes());
    let number =
        hash.as_ref().iter().take(4).fold(0, |sum: u32, byte| (sum << 8) | u32::from(*byte));
    let first = FIRST + number % BLOCKS * BLOCK;
    first..=first + (BLOCK - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_apart_and_below_signed_numbers() {
        let (one, other) = (block_of(Path::new("/a")), block_of(Path::new("/b")));
        assert_ne!(one, other);
        assert!(*one.start() >= FIRST && *one.end() < 1 << 31);
        assert_eq!((one.start() - FIRST) % BLOCK, 0);
    }
}
