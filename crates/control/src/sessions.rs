//! Open sessions of principals whose rights were taken away.
//!
//! The gateway holds the sessions; here is the decision which of them end.

use lakeport_store::Principal;
use uuid::Uuid;

use crate::{Capability, Control, Result};

/// What happens to open sessions when the right to log in is taken away. New logins are refused either
/// way.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum SessionsOnRevoke {
    /// They go on until their clients end them, as on Databricks.
    #[default]
    Keep,
    /// They are told FATAL 57P01 and closed.
    Terminate,
}

/// Who has a session open, and as which role.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct OpenSession {
    pub instance: Uuid,
    pub subject: String,
    pub role: String,
}

impl Control {
    /// Ends the sessions that could not be opened any more, if the setting says so. The reconcilers'
    /// driver repeats it, for logins that were under way and for what other servers have taken away.
    pub async fn recheck_sessions(&self) -> Result<()> {
        if self.sessions_on_revoke == SessionsOnRevoke::Keep {
            return Ok(());
        }
        for session in self.naming.open_sessions() {
            if !self.may_be_open(&session).await? {
                self.naming.end_sessions(&session);
            }
        }
        Ok(())
    }

    async fn may_be_open(&self, session: &OpenSession) -> Result<bool> {
        let Some(principal) = self.store.principal(&session.subject).await? else {
            return Ok(false);
        };
        let capability = self.capability(&principal, session.instance).await?;
        Ok(capability >= Capability::CanUse && self.speaks_for(&principal, &session.role).await?)
    }

    async fn speaks_for(&self, principal: &Principal, role: &str) -> Result<bool> {
        Ok(self.subjects_of(principal).await?.iter().any(|subject| subject.name == role))
    }

    /// Ends the sessions of a role that was dropped, if the setting says so.
    pub(crate) fn role_dropped(&self, instance: Uuid, role: &str) {
        if self.sessions_on_revoke == SessionsOnRevoke::Keep {
            return;
        }
        for session in self.naming.open_sessions() {
            if session.instance == instance && session.role == role {
                self.naming.end_sessions(&session);
            }
        }
    }
}
