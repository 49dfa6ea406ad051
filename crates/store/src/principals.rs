//! Principals and their personal access tokens.

use jiff::Timestamp;
use tokio_postgres::Row;

use crate::{Result, Store};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    pub id: i64,
    pub user_name: String,
    pub display_name: String,
    pub is_admin: bool,
    pub active: bool,
}

pub(crate) const COLUMNS: &str = "p.id, p.user_name, p.display_name, p.is_admin, p.active";

impl From<&Row> for Principal {
    fn from(row: &Row) -> Self {
        Self {
            id: row.get(0),
            user_name: row.get(1),
            display_name: row.get(2),
            is_admin: row.get(3),
            active: row.get(4),
        }
    }
}

impl Store {
    /// The admin of this name, made if absent.
    pub async fn ensure_admin(&self, user_name: &str) -> Result<Principal> {
        let row = self
            .connection()
            .await?
            .query_one(
                &format!(
                    "insert into principals as p (user_name, display_name, is_admin)
                     values ($1, $1, true)
                     on conflict (user_name) do update set is_admin = true
                     returning {COLUMNS}"
                ),
                &[&user_name],
            )
            .await?;
        Ok(Principal::from(&row))
    }

    pub async fn principal(&self, user_name: &str) -> Result<Option<Principal>> {
        let row = self
            .connection()
            .await?
            .query_opt(
                &format!("select {COLUMNS} from principals p where p.user_name = $1"),
                &[&user_name],
            )
            .await?;
        Ok(row.as_ref().map(Principal::from))
    }

    pub async fn add_access_token(
        &self,
        principal: i64,
        digest: &[u8],
        comment: &str,
        expires_at: Option<Timestamp>,
    ) -> Result<()> {
        self.connection()
            .await?
            .execute(
                "insert into access_tokens (principal_id, digest, comment, expires_at)
                 values ($1, $2, $3, $4)",
                &[&principal, &digest, &comment, &expires_at],
            )
            .await?;
        Ok(())
    }

    /// Ends every token of the principal with this comment.
    pub async fn revoke_access_tokens(&self, principal: i64, comment: &str) -> Result<()> {
        self.connection()
            .await?
            .execute(
                "delete from access_tokens where principal_id = $1 and comment = $2",
                &[&principal, &comment],
            )
            .await?;
        Ok(())
    }

    /// The active owner of a token that is stored and has not expired.
    pub async fn principal_by_token(&self, digest: &[u8]) -> Result<Option<Principal>> {
        let row = self
            .connection()
            .await?
            .query_opt(
                &format!(
                    "select {COLUMNS} from access_tokens t join principals p on p.id = t.principal_id
                     where t.digest = $1 and (t.expires_at is null or t.expires_at > now())
                       and p.active"
                ),
                &[&digest],
            )
            .await?;
        Ok(row.as_ref().map(Principal::from))
    }
}
