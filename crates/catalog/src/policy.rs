//! Which locations may be read, and what opens their stores.
//!
//! A location comes from a user, and this server reads it with rights of its own. So a store is open only
//! if the operator has configured it, and a folder of this machine only if it is not the system's.

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::{DeltaLocation, Location, LocationError, MayRead};

/// Folders of the system. One of them is opened by naming it in `allowed_locations`.
const SYSTEM: &[&str] = &[
    "/bin", "/boot", "/dev", "/etc", "/lib", "/lib64", "/proc", "/run", "/sbin", "/sys", "/usr",
    "/var/lib", "/var/log", "/var/run",
];

/// A configured object store: where it begins, and the options that open it.
#[derive(Clone)]
pub struct ObjectStore {
    pub prefix: Location,
    pub options: HashMap<String, String>,
    /// Credentials that clients may be given who may read a table. None are, if this is empty.
    pub hand_out: HashMap<String, String>,
    /// The same for those who may also write it.
    pub hand_out_write: HashMap<String, String>,
}

impl fmt::Debug for ObjectStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ObjectStore").field("prefix", &self.prefix).finish_non_exhaustive()
    }
}

/// The operator's word on locations.
#[derive(Debug, Clone, Default)]
pub struct Policy {
    /// If any are named, nothing outside of them and of the stores is read.
    pub allowed: Vec<Location>,
    pub stores: Vec<ObjectStore>,
    /// This server's own folders.
    pub private: Vec<PathBuf>,
}

impl Policy {
    /// The location with what opens it, if it may be read.
    pub fn open(&self, location: &Location) -> Result<DeltaLocation, LocationError> {
        let options = self.options(location)?;
        let (policy, same) = (self.clone(), options.clone());
        let may_read: MayRead = Arc::new(move |file: &str| {
            Location::parse(file).is_ok_and(|file| policy.lets_logs_name(&file, &same))
        });
        Ok(DeltaLocation { location: location.clone(), options, may_read: Some(may_read) })
    }

    /// What opens the store of a location, if it may be read.
    fn options(&self, location: &Location) -> Result<HashMap<String, String>, LocationError> {
        if let Some(path) = location.file_path() {
            self.check_path(location, &path)?;
            return Ok(HashMap::new());
        }
        let store = self
            .store_of(location)
            .ok_or_else(|| LocationError::NoStore(location.as_str().to_owned()))?;
        let allowed = self.allowed.is_empty()
            || self.allowed.iter().any(|prefix| location.is_within(prefix))
            || self.allowed.iter().all(|prefix| prefix.file_path().is_some());
        if !allowed {
            return Err(LocationError::NotAllowed(location.as_str().to_owned()));
        }
        Ok(store.options.clone())
    }

    /// Whether the log of a table elsewhere may name a file, as a shallow clone's does: only where the operator
    /// has named the place, and the same credentials open it.
    fn lets_logs_name(&self, file: &Location, options: &HashMap<String, String>) -> bool {
        let named = match file.file_path() {
            Some(_) => self.allowed.iter().any(|prefix| prefix.file_path().is_some()),
            None => self.allowed.iter().any(|prefix| file.is_within(prefix)),
        };
        named && self.options(file).is_ok_and(|found| found == *options)
    }

    /// The location with credentials that an outside catalog has given for it. A store that is not
    /// configured is one of the clouds' own.
    pub fn open_with(
        &self,
        location: &Location,
        credentials: HashMap<String, String>,
    ) -> Result<DeltaLocation, LocationError> {
        match self.open(location) {
            Ok(mut open) => {
                if !credentials.is_empty() {
                    // They are for this table alone.
                    open.may_read = None;
                }
                open.options.extend(credentials);
                Ok(open)
            }
            Err(LocationError::NoStore(_))
                if !credentials.is_empty() && location.is_public_cloud() =>
            {
                Ok(DeltaLocation {
                    location: location.clone(),
                    options: credentials,
                    may_read: None,
                })
            }
            Err(error) => Err(error),
        }
    }

    /// The configured store that a location lies in: the one with the longest prefix.
    #[must_use]
    pub fn store_of(&self, location: &Location) -> Option<&ObjectStore> {
        let within = self.stores.iter().filter(|store| location.is_within(&store.prefix));
        within.max_by_key(|store| store.prefix.as_str().len())
    }

    #[must_use]
    pub fn hand_out(&self, location: &Location, write: bool) -> Option<HashMap<String, String>> {
        let store = self.store_of(location)?;
        let set_aside = if write { &store.hand_out_write } else { &store.hand_out };
        (!set_aside.is_empty()).then(|| set_aside.clone())
    }

    /// Links are followed first: what counts is where they lead.
    fn check_path(&self, location: &Location, path: &Path) -> Result<(), LocationError> {
        let real = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        let refused = || LocationError::NotAllowed(location.as_str().to_owned());
        if self.private.iter().any(|private| real.starts_with(canonical(private))) {
            return Err(refused());
        }
        let mut folders = self.allowed.iter().filter_map(Location::file_path).peekable();
        if folders.peek().is_some() {
            return match folders.any(|folder| real.starts_with(canonical(&folder))) {
                true => Ok(()),
                false => Err(refused()),
            };
        }
        match SYSTEM.iter().any(|system| real.starts_with(system)) {
            true => Err(refused()),
            false => Ok(()),
        }
    }
}

fn canonical(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn location(text: &str) -> Location {
        Location::parse(text).unwrap()
    }

    fn store(prefix: &str, key: &str) -> ObjectStore {
        let options = HashMap::from([(String::from("access_key_id"), key.to_owned())]);
        ObjectStore {
            prefix: location(prefix),
            options,
            hand_out: HashMap::new(),
            hand_out_write: HashMap::new(),
        }
    }

    #[test]
    fn the_systems_folders_and_our_own_are_closed() {
        let policy = Policy { private: vec![PathBuf::from("/srv/own")], ..Policy::default() };
        for closed in
            ["/etc", "file:///etc/passwd", "/proc/self", "/srv/own/clusters", "/var/lib/x"]
        {
            assert!(policy.open(&location(closed)).is_err(), "{closed}");
        }
        for open in ["/srv/lake/t", "/srv/owner", "/etcetera/t"] {
            assert!(policy.open(&location(open)).is_ok(), "{open}");
        }
    }

    #[test]
    fn named_folders_close_all_others() {
        let policy = Policy { allowed: vec![location("/var/lib/lake")], ..Policy::default() };
        assert!(policy.open(&location("/var/lib/lake/t")).is_ok());
        for closed in ["/var/lib/lakes/t", "/srv/t", "/var/lib"] {
            assert!(policy.open(&location(closed)).is_err(), "{closed}");
        }
    }

    #[test]
    fn a_link_that_leads_out_is_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("/etc", folder.path().join("t")).unwrap();
        let inside = location(&folder.path().to_string_lossy());
        let policy = Policy { allowed: vec![inside], ..Policy::default() };
        let link = folder.path().join("t");
        assert!(policy.open(&location(&link.to_string_lossy())).is_err());
    }

    #[test]
    fn logs_name_files_elsewhere_only_in_places_that_are_named() {
        let names = |policy: &Policy, table: &str, file: &str| {
            let open = policy.open(&location(table)).unwrap();
            open.may_read.is_some_and(|may_read| may_read(file))
        };
        let (table, file) = ("/srv/lake/clone", "file:///srv/lake/t/a.parquet");
        assert!(!names(&Policy::default(), table, file));
        let lake = Policy { allowed: vec![location("/srv/lake")], ..Policy::default() };
        assert!(names(&lake, table, file));
        assert!(!names(&lake, table, "file:///srv/other/a.parquet"));

        let stores = vec![store("s3://lake/", "all"), store("s3://lake/gold", "gold-key")];
        let allowed = vec![location("s3://lake/")];
        let policy = Policy { stores, allowed, ..Policy::default() };
        assert!(names(&policy, "s3://lake/clone", "s3://lake/t/a.parquet"));
        assert!(!names(&policy, "s3://lake/clone", "s3://lake/gold/t/a.parquet"));
    }

    #[test]
    fn stores_are_open_only_when_configured_and_the_longest_prefix_wins() {
        let policy = Policy {
            stores: vec![store("s3://lake/", "all"), store("s3://lake/gold", "gold-key")],
            ..Policy::default()
        };
        let key = |text: &str| {
            policy.open(&location(text)).ok().map(|open| open.options["access_key_id"].clone())
        };
        assert_eq!(key("s3://lake/t").as_deref(), Some("all"));
        assert_eq!(key("s3://lake/gold/t").as_deref(), Some("gold-key"));
        assert_eq!(key("s3://lake/golden").as_deref(), Some("all"));
        assert_eq!(key("s3://lakes/t"), None);
        assert_eq!(key("gs://lake/t"), None);
        assert!(!format!("{policy:?}").contains("gold-key"));
    }
}
