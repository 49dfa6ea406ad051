//! Which extensions the owner of a database may create, and why others stay closed.
//!
//! Owners are no superusers. PostgreSQL lets them create extensions whose control file says `trusted`;
//! others that Lakebase offers are marked so in our own copy of the control file. Owns that list and the
//! rights that come with it. Never: what an extension does, or where its files are.

use crate::{Closed, SUPERUSER_GROUP};

/// Not trusted by PostgreSQL itself, and without a way to the machine or to a superuser.
const OPENED: &[&str] = &[
    "autoinc",
    "bloom",
    "dict_xsyn",
    "earthdistance",
    "insert_username",
    "intagg",
    "moddatetime",
    "pg_buffercache",
    "pg_freespacemap",
    "pg_prewarm",
    "pg_stat_statements",
    "pg_visibility",
    "pgrowlocks",
    "pgstattuple",
    "refint",
    "vector",
];

/// Loaded into every server of an instance, where they are there.
pub(super) const PRELOADED: &[&str] = &["pg_stat_statements"];

/// They open connections from within the server, as the server's operating-system user.
const DIALING: &[&str] = &["dblink", "postgres_fdw"];

const CLOSED: &[(&str, &str)] = &[
    ("adminpack", "writes files of the server"),
    ("file_fdw", "reads files of the server and runs programs"),
    ("pageinspect", "reads pages past all rights on tables"),
    ("pg_surgery", "damages tables"),
    ("pg_walinspect", "reads the log of all databases"),
    ("plperlu", "runs any code on the server"),
    ("plpython3u", "runs any code on the server"),
    ("pltclu", "runs any code on the server"),
    ("sslinfo", "the server speaks no TLS itself: the gateway does"),
    ("xml2", "is replaced by PostgreSQL's own xml functions"),
];

const SAME_USER: &str = "connects to other servers as the operating-system user that all servers here run as, who reaches \
     their sockets; start lakeport as root, and each gets a user of its own";
const FOR_SUPERUSERS: &str = "is for superusers";

/// Rights for the owners of an instance, added to a script of the extension.
pub(super) const GRANTS: &[(&str, &str)] = &[
    ("postgres_fdw--1.0.sql", "usage on foreign data wrapper postgres_fdw"),
    ("pg_stat_statements--1.6--1.7.sql", "execute on function pg_stat_statements_reset"),
    ("pg_stat_statements--1.10--1.11.sql", "execute on function pg_stat_statements_reset"),
];

/// The script with the rights that it lacks.
pub(super) fn with_grants(script: &str, text: &str) -> Option<String> {
    let (_, grant) = GRANTS.iter().find(|(name, _)| *name == script)?;
    let options = if grant.contains("foreign") { " with grant option" } else { "" };
    Some(format!("{text}\ngrant {grant} to {SUPERUSER_GROUP}{options};\n"))
}

/// What becomes of an extension that is there.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Rule {
    /// Offered as it is.
    Offered,
    /// Offered, with `trusted = true` in our copy of its control file.
    Opened,
    Closed(&'static str),
}

/// `apart`: the server runs as an operating-system user of its own.
pub(super) fn rule(name: &str, control: &str, apart: bool) -> Rule {
    if let Some((_, reason)) = CLOSED.iter().find(|(closed, _)| *closed == name) {
        return Rule::Closed(reason);
    }
    if DIALING.contains(&name) {
        return if apart { Rule::Opened } else { Rule::Closed(SAME_USER) };
    }
    if says(control, "trusted", "true") || says(control, "superuser", "false") {
        return Rule::Offered;
    }
    if OPENED.contains(&name) { Rule::Opened } else { Rule::Closed(FOR_SUPERUSERS) }
}

/// Names that are offered, and those that are not, from the control files of a server.
pub(super) fn sort(controls: &[(String, String)], apart: bool) -> (Vec<String>, Vec<Closed>) {
    let (mut offered, mut closed) = (Vec::new(), Vec::new());
    for (name, control) in controls {
        match rule(name, control, apart) {
            Rule::Closed(reason) => closed.push(Closed { name: name.clone(), reason }),
            Rule::Offered | Rule::Opened => offered.push(name.clone()),
        }
    }
    (offered, closed)
}

/// The same where the server's own control files are used as they are.
pub(super) fn sort_untouched(controls: &[(String, String)]) -> (Vec<String>, Vec<Closed>) {
    let (mut offered, mut closed) = (Vec::new(), Vec::new());
    for (name, control) in controls {
        if says(control, "trusted", "true") || says(control, "superuser", "false") {
            offered.push(name.clone());
        } else {
            closed.push(Closed { name: name.clone(), reason: FOR_SUPERUSERS });
        }
    }
    (offered, closed)
}

/// A line of a control file, as `trusted = true`; comments begin with `#`.
fn says(control: &str, key: &str, value: &str) -> bool {
    control.lines().any(|line| {
        let line = line.split('#').next().unwrap_or_default();
        line.split_once('=').is_some_and(|(found, text)| {
            found.trim() == key && text.trim().trim_matches('\'') == value
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_reaches_the_machine_stays_closed_whatever_its_file_says() {
        for (name, _) in CLOSED {
            for apart in [true, false] {
                assert!(matches!(rule(name, "trusted = true", apart), Rule::Closed(_)), "{name}");
            }
        }
    }

    #[test]
    fn what_dials_is_open_only_where_servers_are_kept_apart() {
        assert_eq!(rule("dblink", "", true), Rule::Opened);
        assert_eq!(rule("dblink", "trusted = true", false), Rule::Closed(SAME_USER));
    }

    #[test]
    fn trusted_ones_are_offered_and_unknown_ones_are_not() {
        assert_eq!(
            rule("citext", "default_version = '1.6'\ntrusted = true\n", false),
            Rule::Offered
        );
        assert_eq!(rule("plpgsql", "superuser=false # its own", false), Rule::Offered);
        assert_eq!(rule("unheard_of", "# trusted = true", true), Rule::Closed(FOR_SUPERUSERS));
        assert_eq!(rule("pg_stat_statements", "", false), Rule::Opened);
    }
}
