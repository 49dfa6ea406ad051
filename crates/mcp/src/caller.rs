//! For whom a call is made.
//!
//! Owns: the client with the caller's own token, and what was agreed about it. Never: a second identity.

use lakeport_client::Client;

use crate::Access;

#[derive(Debug, Clone)]
pub struct Caller {
    client: Client,
    /// Keeps the plans and cursors of callers apart.
    name: String,
    access: Access,
    /// What is listed: more than `access` where the caller can ask its user for more.
    shown: Access,
}

impl Caller {
    /// `name` is the caller's, unique on the server that `client` speaks to.
    #[must_use]
    pub fn new(client: Client, name: impl Into<String>, access: Access) -> Self {
        Self { client, name: name.into(), access, shown: access }
    }

    /// The same caller, whose token allows no more than `access`.
    #[must_use]
    pub fn limited_to(self, access: Access) -> Self {
        Self { access: self.access.min(access), ..self }
    }

    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn access(&self) -> Access {
        self.access
    }

    pub(crate) fn shown(&self) -> Access {
        self.shown
    }
}
