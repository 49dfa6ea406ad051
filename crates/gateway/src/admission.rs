//! Places for connections that have not shown yet what they are worth.
//!
//! It counts by source prefix, because one machine has many addresses. When a crowd has taken all
//! places, the newest comer gets that of the connection which has dawdled longest: whoever means it
//! needs a place for a moment, so silent connections keep nobody out, however many they are.

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use crate::sessions::locked;

/// How many connections have a place.
#[derive(Clone, Debug)]
pub struct Room {
    /// All together.
    pub total: usize,
    /// From one /24 (IPv4) or /64 (IPv6).
    pub per_source: usize,
    /// The same for loopback, where all clients of this machine count as one.
    pub per_loopback: usize,
    /// How long nobody is pushed out. Without it a rush of honest clients would push out each other.
    pub patience: Duration,
}

/// Where a connection comes from, as far as limits tell sources apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Source {
    Loopback,
    /// A proxy that is yet to say whom it speaks for.
    Proxy,
    /// The address with its host part cleared.
    Prefix(IpAddr),
}

impl From<IpAddr> for Source {
    fn from(address: IpAddr) -> Self {
        match address.to_canonical() {
            address if address.is_loopback() => Self::Loopback,
            IpAddr::V4(v4) => Self::Prefix(Ipv4Addr::from(u32::from(v4) & (!0 << 8)).into()),
            IpAddr::V6(v6) => Self::Prefix(Ipv6Addr::from(u128::from(v6) & (!0 << 64)).into()),
        }
    }
}

/// Gives places, and takes them away.
pub struct Admission {
    room: Room,
    crowd: Arc<Mutex<Crowd>>,
}

#[derive(Default)]
struct Crowd {
    next: u64,
    taken: usize,
    /// In the order of their coming.
    by_source: HashMap<Source, BTreeMap<u64, Seat>>,
}

struct Seat {
    since: Instant,
    pushed_out: Arc<Notify>,
}

/// A place; dropping it gives it back.
pub struct Place {
    id: u64,
    source: Source,
    pushed_out: Arc<Notify>,
    crowd: Arc<Mutex<Crowd>>,
}

impl Admission {
    pub fn new(room: Room) -> Self {
        Self { room, crowd: Arc::default() }
    }

    /// `None` when there is no place, and nobody has had one for long.
    pub fn enter(&self, source: Source) -> Option<Place> {
        let now = Instant::now();
        let mut crowd = locked(&self.crowd);
        let here = crowd.by_source.get(&source).map_or(0, BTreeMap::len);
        if here >= self.most(source) {
            crowd.push_out(source, now, self.room.patience)?;
        } else if crowd.taken >= self.room.total {
            let largest = crowd.largest()?;
            crowd.push_out(largest, now, self.room.patience)?;
        }
        Some(self.seat(&mut crowd, source, now))
    }

    /// How many have a place.
    pub fn taken(&self) -> usize {
        locked(&self.crowd).taken
    }

    fn most(&self, source: Source) -> usize {
        match source {
            Source::Loopback => self.room.per_loopback,
            Source::Proxy => self.room.total,
            Source::Prefix(_) => self.room.per_source,
        }
    }

    fn seat(&self, crowd: &mut Crowd, source: Source, now: Instant) -> Place {
        let id = crowd.next;
        let pushed_out = Arc::new(Notify::new());
        crowd.next += 1;
        crowd.taken += 1;
        let seat = Seat { since: now, pushed_out: pushed_out.clone() };
        crowd.by_source.entry(source).or_default().insert(id, seat);
        Place { id, source, pushed_out, crowd: self.crowd.clone() }
    }
}

impl Crowd {
    /// The source with the most places.
    fn largest(&self) -> Option<Source> {
        let counted = self.by_source.iter().map(|(source, seats)| (seats.len(), source));
        counted.max_by_key(|(count, _)| *count).map(|(_, source)| *source)
    }

    fn push_out(&mut self, source: Source, now: Instant, patience: Duration) -> Option<()> {
        let (&id, oldest) = self.by_source.get(&source)?.first_key_value()?;
        if now.duration_since(oldest.since) < patience {
            return None;
        }
        // A permit is kept for a connection that is not looking at the moment.
        oldest.pushed_out.notify_one();
        self.leave(source, id);
        Some(())
    }

    fn leave(&mut self, source: Source, id: u64) {
        let Some(seats) = self.by_source.get_mut(&source) else { return };
        if seats.remove(&id).is_some() {
            self.taken -= 1;
        }
        if seats.is_empty() {
            self.by_source.remove(&source);
        }
    }
}

impl Place {
    /// Returns when somebody else has got the place.
    pub async fn pushed_out(&self) {
        self.pushed_out.notified().await;
        // Whoever looks again must see it again.
        self.pushed_out.notify_one();
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        locked(&self.crowd).leave(self.source, self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(address: &str) -> Source {
        address.parse::<IpAddr>().unwrap().into()
    }

    fn admission(patience: Duration) -> Admission {
        Admission::new(Room { total: 4, per_source: 2, per_loopback: 3, patience })
    }

    #[test]
    fn neighbours_are_one_source() {
        assert_eq!(source("192.0.2.1"), source("192.0.2.254"));
        assert_eq!(source("192.0.2.1"), source("::ffff:192.0.2.9"));
        assert_ne!(source("192.0.2.1"), source("192.0.3.1"));
        assert_eq!(source("2001:db8::1"), source("2001:db8::ffff:1"));
        assert_ne!(source("2001:db8::1"), source("2001:db8:0:1::1"));
        for loopback in ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"] {
            assert_eq!(source(loopback), Source::Loopback);
        }
    }

    #[test]
    fn a_crowd_from_one_source_leaves_room_for_others() {
        let admission = admission(Duration::from_secs(3_600));
        let (bad, good) = (source("192.0.2.1"), source("198.51.100.1"));
        let mut places: Vec<_> = (0..2).filter_map(|_| admission.enter(bad)).collect();
        assert!(admission.enter(bad).is_none());
        places.extend(admission.enter(good));
        places.extend(admission.enter(Source::Loopback));
        assert_eq!((places.len(), admission.taken()), (4, 4));
        assert!(admission.enter(good).is_none(), "the total is reached");
        places.remove(0);
        assert!(admission.enter(bad).is_some());
        drop(places);
        assert!(locked(&admission.crowd).by_source.is_empty());
        assert_eq!(admission.taken(), 0);
    }

    #[tokio::test]
    async fn who_dawdles_makes_room_and_is_told() {
        let admission = admission(Duration::ZERO);
        let bad = source("192.0.2.1");
        let (first, second) = (admission.enter(bad).unwrap(), admission.enter(bad).unwrap());
        let third = admission.enter(bad).unwrap();
        first.pushed_out().await;
        first.pushed_out().await;
        assert_eq!(admission.taken(), 2);
        drop(first);
        assert_eq!(admission.taken(), 2, "its place was another's already");

        // The total is reached by the largest crowd's doing, so that makes room.
        let others = [admission.enter(Source::Loopback), admission.enter(source("203.0.113.1"))];
        let newest = admission.enter(source("198.51.100.1")).unwrap();
        second.pushed_out().await;
        assert_eq!(admission.taken(), 4);
        drop((second, third, others, newest));
        assert_eq!(admission.taken(), 0);
    }
}
