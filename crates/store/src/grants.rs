//! OAuth grants: codes, refresh tokens that are used once, and what was revoked.

use std::time::Duration;

use jiff::Timestamp;
use uuid::Uuid;

use crate::connection::Transaction;
use crate::principals::COLUMNS;
use crate::retry::transact;
use crate::{Principal, Result, Store};

/// A code that is about to be given to a client.
pub struct NewCode<'a> {
    pub digest: &'a [u8],
    pub principal_id: i64,
    pub client_id: &'a str,
    pub scope: &'a str,
    /// What tokens are bound to; none: the API.
    pub resource: Option<&'a str>,
    pub redirect_uri: &'a str,
    pub code_challenge: &'a str,
    pub expires_at: Timestamp,
}

/// What a redeemed code was given for.
#[derive(Debug, Clone)]
pub struct RedeemedCode {
    pub grant: Grant,
    pub redirect_uri: String,
    pub code_challenge: String,
    pub expired: bool,
}

/// What a user has allowed a client.
#[derive(Debug, Clone)]
pub struct Grant {
    pub id: Uuid,
    pub principal_id: i64,
    pub client_id: String,
    pub scope: String,
    pub resource: Option<String>,
}

/// What became of something that may be used once.
#[derive(Debug, Clone)]
pub enum Once<T> {
    Used(T),
    /// It had been used before: the grant behind it is now revoked.
    Reused(Uuid),
    Unknown,
}

impl Store {
    /// Records the user's consent, with a code that stands for it.
    pub async fn add_code(&self, code: &NewCode<'_>) -> Result<()> {
        transact!(self, |transaction| {
            forget_expired(transaction).await?;
            let grant = Uuid::new_v4();
            transaction
                .execute(
                    "insert into oauth_grants (id, principal_id, client_id, scope, resource)
                     values ($1, $2, $3, $4, $5)",
                    &[&grant, &code.principal_id, &code.client_id, &code.scope, &code.resource],
                )
                .await?;
            transaction
                .execute(
                    "insert into authorization_codes
                         (digest, grant_id, redirect_uri, code_challenge, expires_at)
                     values ($1, $2, $3, $4, $5)",
                    &[
                        &code.digest,
                        &grant,
                        &code.redirect_uri,
                        &code.code_challenge,
                        &code.expires_at,
                    ],
                )
                .await?;
            Ok(())
        })
    }

    /// Uses the code up; a second use revokes what the first has brought.
    pub async fn redeem_code(&self, digest: &[u8]) -> Result<Once<RedeemedCode>> {
        transact!(self, |transaction| {
            let row = transaction
                .query_opt(
                    "update authorization_codes c set used_at = now() from oauth_grants g
                     where c.digest = $1 and c.used_at is null and g.id = c.grant_id
                     returning g.id, g.principal_id, g.client_id, g.scope, g.resource,
                               c.redirect_uri, c.code_challenge, c.expires_at <= now()",
                    &[&digest],
                )
                .await?;
            let outcome = match row {
                Some(row) => Once::Used(RedeemedCode {
                    grant: grant(&row),
                    redirect_uri: row.get(5),
                    code_challenge: row.get(6),
                    expired: row.get(7),
                }),
                None => revoke_reused(transaction, "authorization_codes", digest).await?,
            };
            Ok(outcome)
        })
    }

    pub async fn add_refresh_token(
        &self,
        grant: Uuid,
        digest: &[u8],
        expires_at: Timestamp,
    ) -> Result<()> {
        self.connection()
            .await?
            .execute(
                "insert into refresh_tokens (digest, grant_id, expires_at) values ($1, $2, $3)",
                &[&digest, &grant, &expires_at],
            )
            .await?;
        Ok(())
    }

    /// Replaces a refresh token by its successor. A second use gives another successor to the grant's own
    /// client within `grace` of the first, and revokes the grant later.
    pub async fn rotate_refresh_token(
        &self,
        client_id: &str,
        digest: &[u8],
        successor: &[u8],
        expires_at: Timestamp,
        grace: Duration,
    ) -> Result<Once<Grant>> {
        transact!(self, |transaction| {
            let row = transaction
                .query_opt(
                    "update refresh_tokens t set used_at = coalesce(t.used_at, now())
                     from oauth_grants g
                     where t.digest = $1 and t.expires_at > now()
                       and (t.used_at is null or t.used_at > now() - $3 * interval '1 second')
                       and g.id = t.grant_id and g.revoked_at is null and g.client_id = $2
                     returning g.id, g.principal_id, g.client_id, g.scope, g.resource",
                    &[&digest, &client_id, &grace.as_secs_f64()],
                )
                .await?;
            let outcome = match row {
                Some(row) => {
                    let grant = grant(&row);
                    transaction
                        .execute(
                            "insert into refresh_tokens (digest, grant_id, expires_at)
                             values ($1, $2, $3)",
                            &[&successor, &grant.id, &expires_at],
                        )
                        .await?;
                    Once::Used(grant)
                }
                None => revoke_reused(transaction, "refresh_tokens", digest).await?,
            };
            Ok(outcome)
        })
    }

    /// Returns the name of the user whose grant it was, unless it had ended already.
    pub async fn revoke_grant_of_refresh_token(
        &self,
        client_id: &str,
        digest: &[u8],
    ) -> Result<Option<String>> {
        let row = self
            .connection()
            .await?
            .query_opt(
                "update oauth_grants g set revoked_at = now()
                 from refresh_tokens t, principals p
                 where t.digest = $1 and g.id = t.grant_id and g.client_id = $2
                   and g.revoked_at is null and p.id = g.principal_id
                 returning p.user_name",
                &[&digest, &client_id],
            )
            .await?;
        Ok(row.map(|row| row.get(0)))
    }

    /// Ends one access token before its time.
    pub async fn revoke_token(&self, id: &str, expires_at: Timestamp) -> Result<()> {
        let client = self.connection().await?;
        client.execute("delete from revoked_tokens where expires_at < now()", &[]).await?;
        client
            .execute(
                "insert into revoked_tokens (id, expires_at) values ($1, $2) on conflict do nothing",
                &[&id, &expires_at],
            )
            .await?;
        Ok(())
    }

    /// Whether a token was ended before its time, by itself or with what it came of.
    pub async fn is_revoked(&self, token: &str, origin: Option<Uuid>) -> Result<bool> {
        let row = self
            .connection()
            .await?
            .query_one(
                "select exists (select from revoked_tokens r where r.id in ($1, $2::uuid::text))
                     or exists (select from oauth_grants g
                                where g.id = $2 and g.revoked_at is not null)",
                &[&token, &origin],
            )
            .await?;
        Ok(row.get(0))
    }

    /// The active owner of an access token, unless the token, or the grant, secret or federation policy
    /// that it came of, has ended.
    pub async fn principal_of_access_token(
        &self,
        principal: i64,
        token: &str,
        origin: Uuid,
    ) -> Result<Option<Principal>> {
        let row = self
            .connection()
            .await?
            .query_opt(
                &format!(
                    "select {COLUMNS} from principals p
                     where p.id = $1 and p.active
                       and not exists (select from revoked_tokens r where r.id = $2)
                       and (exists (select from oauth_grants g
                                    where g.id = $3 and g.principal_id = p.id
                                      and g.revoked_at is null)
                            or exists (select from service_principal_secrets s
                                       where s.id = $3 and s.principal_id = p.id)
                            or exists (select from federation_policies f
                                       where f.origin = $3
                                         and coalesce(f.principal_id, p.id) = p.id))"
                ),
                &[&principal, &token, &origin],
            )
            .await?;
        Ok(row.as_ref().map(Principal::from))
    }
}

fn grant(row: &tokio_postgres::Row) -> Grant {
    Grant {
        id: row.get(0),
        principal_id: row.get(1),
        client_id: row.get(2),
        scope: row.get(3),
        resource: row.get(4),
    }
}

/// `table` is one of this module's own names.
async fn revoke_reused<T>(
    transaction: &Transaction<'_>,
    table: &str,
    digest: &[u8],
) -> Result<Once<T>> {
    let row = transaction
        .query_opt(
            &format!(
                "update oauth_grants g set revoked_at = coalesce(g.revoked_at, now()) from {table} t
                 where t.digest = $1 and t.used_at is not null and g.id = t.grant_id
                 returning g.id"
            ),
            &[&digest],
        )
        .await?;
    Ok(row.map_or(Once::Unknown, |row| Once::Reused(row.get(0))))
}

/// A used token is kept until it would have expired: until then its reuse tells of a theft.
async fn forget_expired(transaction: &Transaction<'_>) -> Result<()> {
    transaction
        .batch_execute(
            "delete from authorization_codes where expires_at < now() - interval '1 day';
             delete from refresh_tokens where expires_at < now();
             delete from oauth_grants g
             where g.created_at < now() - interval '1 day'
               and not exists (select from authorization_codes c where c.grant_id = g.id)
               and not exists (select from refresh_tokens t where t.grant_id = g.id)",
        )
        .await?;
    Ok(())
}
