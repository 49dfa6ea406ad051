//! Passwords of users. Their digests are made and compared on threads that may block, few at once.

use lakeport_api::scim::Password;
use lakeport_identity::{login, password};
use lakeport_store::Principal;
use tokio::sync::Semaphore;

use crate::{Control, Error, Result};

/// Each takes tens of milliseconds and 19 MiB, and strangers can cause them.
static AT_ONCE: Semaphore = Semaphore::const_new(2);

impl Control {
    /// The user whose name and password these are. Takes as long for an unknown user.
    pub async fn user_by_password(
        &self,
        name: &str,
        password: Password,
    ) -> Result<Option<Principal>> {
        let (user, digest) = self.store.user_with_password(name).await?.unzip();
        let right = apart(move || password::verify(&password.0, digest.as_deref())).await?;
        Ok(user.filter(|_| right))
    }

    /// A password that a signed-in user has chosen.
    pub async fn choose_password(&self, user: &Principal, password: Password) -> Result<()> {
        let digest = digest_password(password).await?;
        Ok(self.store.set_password(user.id, &digest).await?)
    }

    /// A link that signs the user in once: its secret, and when it ends.
    pub async fn make_login_link(
        &self,
        caller: &Principal,
        user_name: &str,
    ) -> Result<(lakeport_identity::OpaqueToken, jiff::Timestamp)> {
        crate::access::require_admin(caller)?;
        let found = self.store.principal(user_name).await?;
        let user = found
            .filter(|user| user.kind == lakeport_store::PrincipalKind::User)
            .ok_or_else(|| Error::not_found("user", user_name))?;
        if !user.active {
            return Err(Error::precondition(format!("user \"{user_name}\" is not active")));
        }
        Ok(login::make_link(&self.store, &user).await?)
    }
}

pub(crate) async fn digest_password(password: Password) -> Result<String> {
    apart(move || password::hash(&password.0)).await?.map_err(|error| match error {
        lakeport_identity::Error::Password(problem) => Error::invalid("password", problem),
        error => error.into(),
    })
}

async fn apart<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
    let _turn = AT_ONCE.acquire().await;
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| Error::internal("checking a password", error))
}
