//! People who sign in with a browser: passwords' digests, one-time links, sessions.

use jiff::Timestamp;

use crate::principals::COLUMNS;
use crate::{Principal, Result, Store};

impl Store {
    /// The active user of this name with the digest of the password, if there is one.
    pub async fn user_with_password(&self, name: &str) -> Result<Option<(Principal, String)>> {
        let row = self
            .connection()
            .await?
            .query_opt(
                &format!(
                    "select {COLUMNS}, p.password_hash from principals p
                     where p.user_name = $1 and p.kind = 'USER' and p.active
                       and p.password_hash is not null"
                ),
                &[&name],
            )
            .await?;
        Ok(row.map(|row| (Principal::from(&row), row.get(11))))
    }

    pub async fn set_password(&self, principal: i64, hash: &str) -> Result<()> {
        self.connection()
            .await?
            .execute("update principals set password_hash = $2 where id = $1", &[&principal, &hash])
            .await?;
        Ok(())
    }

    pub async fn add_login_link(
        &self,
        principal: i64,
        digest: &[u8],
        expires_at: Timestamp,
    ) -> Result<()> {
        let client = self.connection().await?;
        client
            .batch_execute(
                "delete from login_links where expires_at < now();
                 delete from login_sessions where expires_at < now()",
            )
            .await?;
        client
            .execute(
                "insert into login_links (digest, principal_id, expires_at) values ($1, $2, $3)",
                &[&digest, &principal, &expires_at],
            )
            .await?;
        Ok(())
    }

    /// Whose link this is; it stays usable.
    pub async fn principal_by_login_link(&self, digest: &[u8]) -> Result<Option<Principal>> {
        let row = self
            .connection()
            .await?
            .query_opt(
                &format!(
                    "select {COLUMNS} from login_links l join principals p on p.id = l.principal_id
                     where l.digest = $1 and l.expires_at > now() and p.active"
                ),
                &[&digest],
            )
            .await?;
        Ok(row.as_ref().map(Principal::from))
    }

    /// Uses the link up.
    pub async fn use_login_link(&self, digest: &[u8]) -> Result<Option<Principal>> {
        let row = self
            .connection()
            .await?
            .query_opt(
                &format!(
                    "with used as (
                         delete from login_links where digest = $1 and expires_at > now()
                         returning principal_id)
                     select {COLUMNS} from used u join principals p on p.id = u.principal_id
                     where p.active"
                ),
                &[&digest],
            )
            .await?;
        Ok(row.as_ref().map(Principal::from))
    }

    pub async fn add_login_session(
        &self,
        principal: i64,
        digest: &[u8],
        expires_at: Timestamp,
    ) -> Result<()> {
        self.connection()
            .await?
            .execute(
                "insert into login_sessions (digest, principal_id, expires_at) values ($1, $2, $3)",
                &[&digest, &principal, &expires_at],
            )
            .await?;
        Ok(())
    }

    pub async fn principal_by_login_session(&self, digest: &[u8]) -> Result<Option<Principal>> {
        let row = self
            .connection()
            .await?
            .query_opt(
                &format!(
                    "select {COLUMNS}
                     from login_sessions s join principals p on p.id = s.principal_id
                     where s.digest = $1 and s.expires_at > now() and p.active"
                ),
                &[&digest],
            )
            .await?;
        Ok(row.as_ref().map(Principal::from))
    }

    pub async fn end_login_session(&self, digest: &[u8]) -> Result<()> {
        self.connection()
            .await?
            .execute("delete from login_sessions where digest = $1", &[&digest])
            .await?;
        Ok(())
    }
}
