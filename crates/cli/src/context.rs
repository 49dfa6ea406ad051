//! What every client command needs: the client of the configured server, and the way out.
//!
//! Owns: turning global arguments into both. Never: a request.

use lakeport_client::{Client, Overrides, Profile};

use crate::args::GlobalArgs;
use crate::failure::Failure;
use crate::output::Output;

pub(crate) struct Context {
    pub(crate) overrides: Overrides,
    pub(crate) output: Output,
}

impl Context {
    pub(crate) fn new(global: GlobalArgs) -> Self {
        let output = Output::new(global.output, global.quiet);
        let overrides =
            Overrides { profile: global.profile, host: global.host, ..Overrides::default() };
        Self { overrides, output }
    }

    /// Made on demand, because a command may need no server.
    pub(crate) fn client(&self) -> Result<Client, Failure> {
        Ok(Client::new(self.profile()?)?)
    }

    pub(crate) fn profile(&self) -> Result<Profile, Failure> {
        Ok(Profile::load(&self.overrides)?)
    }
}
