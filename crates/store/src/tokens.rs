//! Personal access tokens and the secrets of service principals: digests, never the text.

use jiff::Timestamp;
use tokio_postgres::Row;
use uuid::Uuid;

use crate::principals::COLUMNS;
use crate::{Principal, Result, Store};

/// What may be told about a token or a secret after it was shown.
#[derive(Debug, Clone)]
pub struct TokenInfo {
    pub id: Uuid,
    pub comment: String,
    pub created_at: Timestamp,
    pub expires_at: Option<Timestamp>,
}

impl From<&Row> for TokenInfo {
    fn from(row: &Row) -> Self {
        Self { id: row.get(0), comment: row.get(1), created_at: row.get(2), expires_at: row.get(3) }
    }
}

/// What came of a token or secret that was deleted ends with it, and so do sessions that may be open for
/// as long as this.
pub(crate) const REMEMBERED: &str = "interval '30 days'";

fn ending(delete: &str) -> String {
    format!(
        "with ended as ({delete} returning id)
         insert into revoked_tokens (id, expires_at) select id::text, now() + {REMEMBERED} from ended"
    )
}

impl Store {
    pub async fn add_access_token(
        &self,
        principal: i64,
        digest: &[u8],
        comment: &str,
        expires_at: Option<Timestamp>,
    ) -> Result<TokenInfo> {
        let row = self
            .connection()
            .await?
            .query_one(
                "insert into access_tokens (principal_id, digest, comment, expires_at)
                 values ($1, $2, $3, $4) returning id, comment, created_at, expires_at",
                &[&principal, &digest, &comment, &expires_at],
            )
            .await?;
        Ok(TokenInfo::from(&row))
    }

    /// Those of the principal that still work, the oldest first.
    pub async fn access_tokens(&self, principal: i64) -> Result<Vec<TokenInfo>> {
        let rows = self
            .connection()
            .await?
            .query(
                "select id, comment, created_at, expires_at from access_tokens
                 where principal_id = $1 and (expires_at is null or expires_at > now())
                 order by created_at, id",
                &[&principal],
            )
            .await?;
        Ok(rows.iter().map(TokenInfo::from).collect())
    }

    /// Ends one token; false if the principal has none of this id.
    pub async fn revoke_access_token(&self, principal: i64, id: Uuid) -> Result<bool> {
        let ended = self
            .connection()
            .await?
            .execute(
                &ending("delete from access_tokens where principal_id = $1 and id = $2"),
                &[&principal, &id],
            )
            .await?;
        Ok(ended == 1)
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

    /// The active owner of a token that is stored and has not expired, and the token's id.
    pub async fn principal_by_token(&self, digest: &[u8]) -> Result<Option<(Principal, Uuid)>> {
        let row = self
            .connection()
            .await?
            .query_opt(
                &format!(
                    "select {COLUMNS}, t.id
                     from access_tokens t join principals p on p.id = t.principal_id
                     where t.digest = $1 and (t.expires_at is null or t.expires_at > now())
                       and p.active"
                ),
                &[&digest],
            )
            .await?;
        Ok(row.map(|row| (Principal::from(&row), row.get(11))))
    }

    pub async fn add_service_secret(
        &self,
        id: Uuid,
        principal: i64,
        digest: &[u8],
        expires_at: Option<Timestamp>,
    ) -> Result<TokenInfo> {
        let row = self
            .connection()
            .await?
            .query_one(
                "insert into service_principal_secrets (id, principal_id, digest, expires_at)
                 values ($1, $2, $3, $4) returning id, ''::text, created_at, expires_at",
                &[&id, &principal, &digest, &expires_at],
            )
            .await?;
        Ok(TokenInfo::from(&row))
    }

    pub async fn service_secrets(&self, principal: i64) -> Result<Vec<TokenInfo>> {
        let rows = self
            .connection()
            .await?
            .query(
                "select id, ''::text, created_at, expires_at from service_principal_secrets
                 where principal_id = $1 order by created_at, id",
                &[&principal],
            )
            .await?;
        Ok(rows.iter().map(TokenInfo::from).collect())
    }

    /// Ends the secret and with it every access token that it was exchanged for.
    pub async fn delete_service_secret(&self, principal: i64, id: Uuid) -> Result<bool> {
        let ended = self
            .connection()
            .await?
            .execute(
                &ending(
                    "delete from service_principal_secrets where principal_id = $1 and id = $2",
                ),
                &[&principal, &id],
            )
            .await?;
        Ok(ended == 1)
    }

    /// The active service principal whose secret this is, and the secret's id.
    pub async fn principal_by_secret(
        &self,
        application_id: Uuid,
        digest: &[u8],
    ) -> Result<Option<(Principal, Uuid)>> {
        let row = self
            .connection()
            .await?
            .query_opt(
                &format!(
                    "select {COLUMNS}, s.id
                     from service_principal_secrets s join principals p on p.id = s.principal_id
                     where p.application_id = $1 and s.digest = $2 and p.active
                       and (s.expires_at is null or s.expires_at > now())"
                ),
                &[&application_id, &digest],
            )
            .await?;
        Ok(row.map(|row| (Principal::from(&row), row.get(11))))
    }
}
