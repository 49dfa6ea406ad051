//! What changes come to for each key, found while they are read and copied.
//!
//! Owns: the last change of each key and the balance of rows that came and went, and handing rows on while more are
//! read. A row that was handed on and is then overtaken is named afterwards. Memory is bounded: when there are more
//! keys than it holds, PostgreSQL has to find out instead.

use std::hash::{BuildHasher as _, RandomState};
use std::mem;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use hashbrown::HashTable;
use tokio::sync::mpsc::Sender;
use tokio::task::JoinError;
use tokio_postgres::Transaction;

use super::changes::ChangeWork;
use super::encoder::{CHUNK_BYTES, Counts, NULL, field_count, push_fixed};
use super::large::LargeRows;
use super::stream::{RowStream, Work, send};
use crate::error::Error;
use crate::job::{Options, TableName};

/// What a key needs besides its bytes: vectors and tables double when they grow.
const KEY_OVERHEAD: usize = 2 * mem::size_of::<(usize, Net)>();

/// Rows are kept back until there are so many bytes of them: keys that change again and again are handed on once.
const KEPT_BACK_BYTES: usize = 2 * 1024 * 1024;

/// Fields after a row's own: its number and its effect.
pub(super) const MARKS: usize = 2;

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

/// What the changes of a feed have come to.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub(crate) counts: Counts,
    pub(crate) effects: Effects,
    /// Numbers of rows that were handed on and are not to be applied.
    pub(crate) overtaken: Vec<i64>,
    /// Memory did not hold the keys; the rest is worth nothing.
    pub(crate) no_room: bool,
}

/// A feed on its way into the table of net changes.
pub(crate) struct Netting {
    work: Arc<NetWork>,
    stream: RowStream,
}

impl Netting {
    pub(crate) fn new(changes: Arc<ChangeWork>, options: &Options) -> Self {
        let progress = changes.progress.clone();
        // As much again is needed for the queue and the files being read.
        let memory_bytes = options.memory_bytes / 2;
        let work = Arc::new(NetWork { changes, memory_bytes, found: Mutex::default() });
        let stream = RowStream::of(Arc::clone(&work) as Arc<dyn Work>, 1, options, progress);
        Self { work, stream }
    }

    /// Copies a row for each key, followed by a number and an effect. Of rows that came, the effect does not tell
    /// whether they are new; the numbers of each kind do.
    pub(crate) async fn copy(
        self,
        transaction: &Transaction<'_>,
        statement: &str,
        table: &TableName,
    ) -> Result<Found, Error> {
        self.stream.copy(transaction, statement, table).await?;
        Ok(mem::take(&mut *self.work.found()))
    }
}

struct NetWork {
    changes: Arc<ChangeWork>,
    memory_bytes: usize,
    found: Mutex<Found>,
}

impl NetWork {
    fn found(&self) -> std::sync::MutexGuard<'_, Found> {
        // Written once, as a whole.
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Work for NetWork {
    fn run(&self, sender: &Sender<Bytes>) -> Result<Counts, Error> {
        let mut net = NetChanges::new();
        let mut out = Vec::with_capacity(CHUNK_BYTES + CHUNK_BYTES / 8);
        let counts = self.changes.each_batch(|encoder, batch| {
            if sender.is_closed() {
                return Err(Error::Cancelled);
            }
            let found = encoder.collect_changes(batch, &mut net)?;
            if net.rows.len() >= KEPT_BACK_BYTES {
                net.hand_on(&mut out, |out| send(sender, out))?;
            }
            Ok((net.bytes() <= self.memory_bytes).then_some(found))
        })?;
        let no_room = net.bytes() > self.memory_bytes;
        if !no_room && counts.rows <= self.changes.limit {
            let ChangeWork { columns, key, .. } = &*self.changes;
            let shape = Shape { columns: columns.len(), key: key.clone() };
            net.finish(&shape, &mut out, |out| send(sender, out))?;
            send(sender, &mut out)?;
        }
        let effects = net.effects();
        *self.found() = Found { counts, effects, overtaken: net.overtaken, no_room };
        Ok(counts)
    }

    fn crashed(&self, crash: &JoinError) -> Error {
        self.changes.crashed(crash)
    }

    fn large_rows(&self) -> &LargeRows {
        &self.changes.large
    }
}

pub(super) struct NetChanges {
    /// Places of keys, by the keys' bytes.
    places: HashTable<usize>,
    hasher: RandomState,
    /// The bytes of all keys, one after the other.
    key_bytes: Vec<u8>,
    /// In the order in which keys were first seen: most often that of the table's rows too.
    keys: Vec<Net>,
    /// Rows that came and were not handed on, as tuples of COPY that lack their marks; some of them overtaken.
    rows: Vec<u8>,
    /// Places of keys whose row is to be handed on; of some it has gone meanwhile.
    waiting: Vec<usize>,
    /// The last number that was given to a row.
    number: i64,
    overtaken: Vec<i64>,
}

/// What is known of one key.
#[derive(Default)]
struct Net {
    /// Where its bytes are.
    key: Range<usize>,
    version: i64,
    came: bool,
    balance: i64,
    /// Where its row is, while it waits.
    row: Range<usize>,
    /// The number of the row that was handed on and counts; none is 0.
    number: i64,
    waits: bool,
}

impl NetChanges {
    fn new() -> Self {
        Self {
            places: HashTable::new(),
            hasher: RandomState::new(),
            key_bytes: Vec::new(),
            keys: Vec::new(),
            rows: Vec::new(),
            waiting: Vec::new(),
            number: 0,
            overtaken: Vec::new(),
        }
    }

    /// Takes a change of a key; `encode` appends its row, if that is the last one so far and came. In one version
    /// a row goes before its successor comes.
    pub(super) fn take(
        &mut self,
        key: &[u8],
        version: i64,
        came: bool,
        encode: impl FnOnce(&mut Vec<u8>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let place = self.place(key);
        let net = &mut self.keys[place];
        net.balance += if came { 1 } else { -1 };
        if (version, came) < (net.version, net.came) {
            return Ok(());
        }
        (net.version, net.came) = (version, came);
        if net.number > 0 {
            self.overtaken.push(mem::take(&mut net.number));
        }
        if came {
            let start = self.rows.len();
            encode(&mut self.rows)?;
            net.row = start..self.rows.len();
            if !mem::replace(&mut net.waits, true) {
                self.waiting.push(place);
            }
        }
        Ok(())
    }

    fn place(&mut self, key: &[u8]) -> usize {
        let Self { places, hasher, key_bytes, keys, .. } = self;
        let hash = hasher.hash_one(key);
        let is_it = |place: &usize| key_bytes[keys[*place].key.clone()] == *key;
        if let Some(place) = places.find(hash, is_it) {
            return *place;
        }
        let place = keys.len();
        let rehash = |place: &usize| hasher.hash_one(&key_bytes[keys[*place].key.clone()]);
        places.insert_unique(hash, place, rehash);
        let start = key_bytes.len();
        key_bytes.extend_from_slice(key);
        keys.push(Net { key: start..key_bytes.len(), ..Net::default() });
        place
    }

    fn bytes(&self) -> usize {
        self.key_bytes.len() + self.rows.len() + self.keys.len() * KEY_OVERHEAD
    }

    fn effects(&self) -> Effects {
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

    /// Appends the rows that came to `out`, and calls `emit` whenever a chunk is full.
    fn hand_on(
        &mut self,
        out: &mut Vec<u8>,
        mut emit: impl FnMut(&mut Vec<u8>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        for place in self.waiting.drain(..) {
            let net = &mut self.keys[place];
            net.waits = false;
            if !net.came {
                continue;
            }
            self.number += 1;
            net.number = self.number;
            out.extend_from_slice(&self.rows[net.row.clone()]);
            push_fixed(out, net.number.to_be_bytes());
            push_fixed(out, (Effect::Upsert as i16).to_be_bytes());
            if out.len() >= CHUNK_BYTES {
                emit(out)?;
            }
        }
        self.rows.clear();
        Ok(())
    }

    /// Appends all that is left: of rows that went, their keys.
    fn finish(
        &mut self,
        shape: &Shape,
        out: &mut Vec<u8>,
        mut emit: impl FnMut(&mut Vec<u8>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        self.hand_on(out, &mut emit)?;
        for net in self.keys.iter().filter(|net| !net.came) {
            shape.push_key(&self.key_bytes[net.key.clone()], out);
            out.extend_from_slice(&NULL);
            push_fixed(out, (net.effect() as i16).to_be_bytes());
            if out.len() >= CHUNK_BYTES {
                emit(out)?;
            }
        }
        Ok(())
    }
}

impl Net {
    fn effect(&self) -> Effect {
        Effect::of(self.came, self.balance)
    }
}

/// Where the parts of a key stand in a row.
struct Shape {
    columns: usize,
    /// Of each part of the key, its column.
    key: Vec<usize>,
}

impl Shape {
    /// Appends a tuple that has its key only, from the key's fields.
    fn push_key(&self, key: &[u8], out: &mut Vec<u8>) {
        let mut parts = vec![&NULL[..]; self.columns];
        let mut rest = key;
        for column in &self.key {
            let Some((length, after)) = rest.split_first_chunk() else { break };
            // A part of a key is never NULL.
            let length = usize::try_from(i32::from_be_bytes(*length)).unwrap_or_default();
            let (part, _) = rest.split_at(4 + length.min(after.len()));
            parts[*column] = part;
            rest = &rest[part.len()..];
        }
        out.extend_from_slice(&field_count(self.columns + MARKS));
        parts.into_iter().for_each(|part| out.extend_from_slice(part));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes a change whose row is its text, without the frame that COPY needs. The key is one field.
    fn take(net: &mut NetChanges, key: &str, version: i64, row: Option<&str>) {
        let encode = |out: &mut Vec<u8>| {
            out.extend_from_slice(row.unwrap_or_default().as_bytes());
            Ok(())
        };
        net.take(&field(key), version, row.is_some(), encode).unwrap();
    }

    fn field(text: &str) -> Vec<u8> {
        let length = i32::try_from(text.len()).unwrap();
        [&length.to_be_bytes()[..], text.as_bytes()].concat()
    }

    fn handed_on(net: &mut NetChanges) -> Vec<u8> {
        let mut out = Vec::new();
        net.hand_on(&mut out, |_| Ok(())).unwrap();
        out
    }

    fn finished(net: &mut NetChanges) -> Vec<u8> {
        let mut out = Vec::new();
        let shape = Shape { columns: 3, key: vec![1] };
        net.finish(&shape, &mut out, |_| Ok(())).unwrap();
        out
    }

    fn has(rows: &[u8], text: &str) -> bool {
        rows.windows(text.len()).any(|window| window == text.as_bytes())
    }

    #[test]
    fn a_row_that_is_overtaken_is_named() {
        let mut net = NetChanges::new();
        take(&mut net, "a", 1, Some("first"));
        take(&mut net, "b", 1, Some("stays"));
        assert!(has(&handed_on(&mut net), "first"));
        take(&mut net, "a", 2, None);
        take(&mut net, "a", 2, Some("second"));
        take(&mut net, "a", 3, None);
        take(&mut net, "a", 3, Some("third"));
        let rest = finished(&mut net);
        assert!(has(&rest, "third") && !has(&rest, "second") && !has(&rest, "stays"));
        assert_eq!(net.overtaken, [1]);
        assert_eq!(net.effects(), Effects { inserts: 2, ..Effects::default() });
    }

    #[test]
    fn what_came_and_went_is_not_handed_on_as_a_row() {
        let mut net = NetChanges::new();
        take(&mut net, "early", 1, Some("row"));
        assert!(has(&handed_on(&mut net), "row"));
        take(&mut net, "early", 2, None);
        take(&mut net, "late", 2, Some("never"));
        take(&mut net, "late", 3, None);
        take(&mut net, "old", 3, None);
        let rest = finished(&mut net);
        assert!(!has(&rest, "never") && has(&rest, "early") && has(&rest, "old"));
        assert_eq!(net.overtaken, [1]);
        let effects = Effects { came_and_went: 2, deletes: 1, ..Effects::default() };
        assert_eq!(net.effects(), effects);
    }

    #[test]
    fn the_order_within_a_version_makes_no_difference() {
        let mut net = NetChanges::new();
        take(&mut net, "a", 1, Some("new"));
        assert!(has(&handed_on(&mut net), "new"));
        take(&mut net, "a", 1, None);
        assert!(finished(&mut net).is_empty() && net.overtaken.is_empty());
        assert_eq!(net.effects(), Effects { upserts: 1, ..Effects::default() });
    }

    #[test]
    fn a_row_that_went_is_its_key_and_nothing_else() {
        let shape = Shape { columns: 4, key: vec![2, 0] };
        let mut out = Vec::new();
        shape.push_key(&[field("second"), field("first")].concat(), &mut out);
        let fields = [field("first"), NULL.to_vec(), field("second"), NULL.to_vec()].concat();
        assert_eq!(out, [&field_count(6)[..], &fields].concat());
    }

    #[test]
    fn bytes_are_counted_while_they_are_held() {
        let mut net = NetChanges::new();
        take(&mut net, "a", 1, Some("four"));
        let held = net.bytes();
        handed_on(&mut net);
        assert_eq!(net.bytes(), held - 4);
    }
}
