//! Open sessions of principals whose rights were taken away.
//!
//! The gateway holds the sessions; here is the decision which of them end.

use uuid::Uuid;

use crate::limited_credentials::is_reader;
use crate::{Control, Result};

/// Stands for the token's id where a session came of a password that PostgreSQL keeps.
pub const NATIVE_PASSWORD: &str = "native password";

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
    pub token_id: String,
    /// What the token came of and ends with.
    pub origin: Option<Uuid>,
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
        if session.token_id == NATIVE_PASSWORD {
            return self.has_native_logins(session.instance).await;
        }
        let Some(standing) = self.standing(&session.subject).await? else { return Ok(false) };
        let role = standing.speaks_for(&session.role) || is_reader(&session.role);
        Ok(role
            && standing.opens(session.instance)
            && self.token_holds(&session.token_id, session.origin).await?)
    }

    /// After any change of who may do what, or the end of a token: it counts from the next login on, and
    /// for open sessions.
    pub async fn rights_changed(&self) {
        self.subjects.forget();
        if let Err(error) = self.recheck_sessions().await {
            tracing::warn!(%error, "open sessions could not be looked at; it is tried again");
        }
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
