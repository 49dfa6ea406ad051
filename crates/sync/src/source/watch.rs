//! Waiting for the next commit, by looking for its one file.
//!
//! Owns: the name of the next commit file. Blocks at each look; callers decide how often.

use delta_kernel::{Engine as _, KernelError};
use url::Url;

use super::engine::Engine;
use super::open::{LOG_BATCH_ROWS, engine, locate};
use crate::error::{Error, SourceProblem};
use crate::job::Source;

/// Looks for one commit.
pub(crate) struct Watch {
    source: Source,
    engine: Engine,
    commit: Url,
}

impl Watch {
    pub(crate) fn new(source: &Source, version: i64) -> Result<Self, Error> {
        let url = locate(source)?;
        let engine = engine(source, &url, LOG_BATCH_ROWS)?;
        let commit = commit_file(source, &url, version)?;
        Ok(Self { source: source.clone(), engine, commit })
    }

    pub(crate) fn is_there(&self) -> Result<bool, Error> {
        is_there(&self.source, &self.engine, &self.commit)
    }
}

pub(super) fn is_there(source: &Source, engine: &Engine, file: &Url) -> Result<bool, Error> {
    match engine.storage_handler().head(file) {
        Ok(_) => Ok(true),
        Err(KernelError::FileNotFound(_)) => Ok(false),
        Err(error) => Err(source.kernel("looking for a commit", &error)),
    }
}

pub(super) fn commit_file(source: &Source, url: &Url, version: i64) -> Result<Url, Error> {
    url.join(&format!("_delta_log/{version:020}.json")).map_err(|error| {
        source.problem(SourceProblem::Corrupt, format!("its log cannot be named: {error}"))
    })
}
