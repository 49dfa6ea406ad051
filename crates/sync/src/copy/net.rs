//! What changes come to for each key, found while they are read.
//!
//! Owns: the last change of each key and the balance of rows that came and went, in memory, and handing
//! them on as rows of a COPY. Memory is bounded: when there are more keys than it holds, PostgreSQL has to
//! find out instead.

use std::collections::HashMap;
use std::mem;
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::mpsc::Sender;
use tokio::task::JoinError;

use super::encoder::{CHUNK_BYTES, Counts, push_fixed};
use super::stream::{RowStream, Work, send};
use crate::error::Error;
use crate::job::Options;
use crate::progress::Progress;

/// What a key needs besides its bytes and its row's.
const KEY_OVERHEAD: usize = 2 * mem::size_of::<(Box<[u8]>, Net)>();

/// What is to be done for a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i16)]
pub(crate) enum Effect {
    /// The row is new.
    Insert = 1,
    /// The row is there, and replaced; or nobody knows.
    Upsert = 2,
    Delete = -1,
    /// The row came and went between two runs: there should be none.
    CameAndWent = -2,
    /// The changes do not add up to one row.
    Unclear = 0,
}

impl Effect {
    /// The rule for a key is its last change, which its balance has to prove.
    fn of(came: bool, balance: i64) -> Self {
        match (came, balance) {
            (true, 1) => Self::Insert,
            (true, ..1) => Self::Upsert,
            (false, ..0) => Self::Delete,
            (false, 0) => Self::CameAndWent,
            _ => Self::Unclear,
        }
    }
}

/// How many keys there are of each kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Effects {
    pub(crate) inserts: u64,
    pub(crate) upserts: u64,
    pub(crate) deletes: u64,
    pub(crate) came_and_went: u64,
    pub(crate) unclear: u64,
}

impl Effects {
    pub(crate) fn keys(&self) -> u64 {
        self.inserts + self.upserts + self.deletes + self.came_and_went + self.unclear
    }
}

pub(crate) struct NetChanges {
    /// Places of keys, by the keys' bytes.
    places: HashMap<Box<[u8]>, usize>,
    /// In the order in which keys were first seen: most often that of the table's rows too.
    keys: Vec<Net>,
    bytes: usize,
    limit: usize,
    pub(super) counts: Counts,
}

#[derive(Default)]
struct Net {
    version: i64,
    came: bool,
    balance: i64,
    /// The last change's row as a tuple of COPY that is one field short.
    row: Box<[u8]>,
}

impl NetChanges {
    pub(super) fn new(limit: usize) -> Self {
        let (places, keys) = (HashMap::new(), Vec::new());
        Self { places, keys, bytes: 0, limit, counts: Counts::default() }
    }

    /// Takes a change of a key; `encode` appends its row, if that is the last one so far. In one version
    /// a row goes before its successor comes.
    pub(super) fn take(
        &mut self,
        key: &[u8],
        version: i64,
        came: bool,
        buffer: &mut Vec<u8>,
        encode: impl FnOnce(&mut Vec<u8>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let place = match self.places.get(key) {
            Some(place) => *place,
            None => {
                let place = self.keys.len();
                self.places.insert(key.into(), place);
                self.bytes += KEY_OVERHEAD + key.len();
                self.keys.push(Net::default());
                place
            }
        };
        let net = &mut self.keys[place];
        net.balance += if came { 1 } else { -1 };
        if (version, came) < (net.version, net.came) {
            return Ok(());
        }
        (net.version, net.came) = (version, came);
        buffer.clear();
        encode(buffer)?;
        self.bytes = self.bytes + buffer.len() - net.row.len();
        net.row = buffer.as_slice().into();
        Ok(())
    }

    pub(super) fn is_full(&self) -> bool {
        self.bytes > self.limit
    }

    pub(crate) fn counts(&self) -> Counts {
        self.counts
    }

    pub(crate) fn effects(&self) -> Effects {
        let mut effects = Effects::default();
        for net in &self.keys {
            let count = match net.effect() {
                Effect::Insert => &mut effects.inserts,
                Effect::Upsert => &mut effects.upserts,
                Effect::Delete => &mut effects.deletes,
                Effect::CameAndWent => &mut effects.came_and_went,
                Effect::Unclear => &mut effects.unclear,
            };
            *count += 1;
        }
        effects
    }

    /// A row for each key, followed by its effect.
    pub(crate) fn into_rows(self, options: &Options, progress: &Progress) -> RowStream {
        RowStream::of(Arc::new(NetRows(self.keys)), 1, options, progress.clone())
    }
}

impl Net {
    fn effect(&self) -> Effect {
        Effect::of(self.came, self.balance)
    }
}

struct NetRows(Vec<Net>);

impl Work for NetRows {
    fn run(&self, sender: &Sender<Bytes>) -> Result<Counts, Error> {
        let mut out = Vec::with_capacity(CHUNK_BYTES + CHUNK_BYTES / 8);
        for net in &self.0 {
            out.extend_from_slice(&net.row);
            push_fixed(&mut out, (net.effect() as i16).to_be_bytes());
            if out.len() >= CHUNK_BYTES {
                send(sender, &mut out)?;
            }
        }
        send(sender, &mut out)?;
        Ok(Counts { rows: self.0.len() as u64, null_key_rows: 0 })
    }

    fn crashed(&self, crash: &JoinError) -> Error {
        Error::config(format!("handing changes on failed unexpectedly: {crash}"))
    }
}
