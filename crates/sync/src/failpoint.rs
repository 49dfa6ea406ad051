//! Named points of a run at which a test can have the process end as suddenly as by `kill -9`.
//!
//! Owns: nothing that a release build has.

/// Ends the process here if the environment names this point.
pub(crate) fn reach(point: &str) {
    if cfg!(debug_assertions) && std::env::var_os("LAKEPORT_DIE_AT").is_some_and(|at| at == point) {
        std::process::abort();
    }
}
