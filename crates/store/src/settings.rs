//! Settings of the installation, sealed secrets, signing keys and nodes.

use jiff::Timestamp;
use uuid::Uuid;

use crate::retry::transact;
use crate::{Result, Store};

/// A token-signing key; `sealed` is its private part, encrypted.
#[derive(Debug, Clone)]
pub struct SigningKeyRow {
    pub kid: String,
    pub public_key: Vec<u8>,
    pub sealed: Vec<u8>,
    pub retires_at: Option<Timestamp>,
}

impl Store {
    /// The stored value, or `value` stored now: the first writer wins.
    pub async fn setting_or(&self, key: &str, value: &str) -> Result<String> {
        let client = self.connection().await?;
        client
            .execute(
                "insert into settings (key, value) values ($1, $2) on conflict (key) do nothing",
                &[&key, &value],
            )
            .await?;
        Ok(client.query_one("select value from settings where key = $1", &[&key]).await?.get(0))
    }

    pub async fn secret(&self, name: &str) -> Result<Option<Vec<u8>>> {
        let row = self
            .connection()
            .await?
            .query_opt("select sealed from secrets where name = $1", &[&name])
            .await?;
        Ok(row.map(|row| row.get(0)))
    }

    /// The sealed secret of this name, or `sealed` stored now: the first writer wins.
    pub async fn secret_or(&self, name: &str, sealed: &[u8]) -> Result<Vec<u8>> {
        let client = self.connection().await?;
        client
            .execute(
                "insert into secrets (name, sealed) values ($1, $2) on conflict (name) do nothing",
                &[&name, &sealed],
            )
            .await?;
        Ok(client.query_one("select sealed from secrets where name = $1", &[&name]).await?.get(0))
    }

    /// Keys that sign or verify, the newest first.
    pub async fn signing_keys(&self) -> Result<Vec<SigningKeyRow>> {
        let rows = self
            .connection()
            .await?
            .query(
                "select kid, public_key, sealed, retires_at from signing_keys
                 where retires_at is null or retires_at > now()
                 order by retires_at desc nulls first, created_at desc",
                &[],
            )
            .await?;
        Ok(rows
            .into_iter()
            .map(|row| SigningKeyRow {
                kid: row.get(0),
                public_key: row.get(1),
                sealed: row.get(2),
                retires_at: row.get(3),
            })
            .collect())
    }

    /// The key that signs, unless there is one by now: the first writer wins.
    pub async fn first_signing_key(&self, key: &SigningKeyRow) -> Result<()> {
        transact!(self, |transaction| {
            transaction.execute("lock table signing_keys in share row exclusive mode", &[]).await?;
            transaction
                .execute(
                    "insert into signing_keys (kid, public_key, sealed)
                     select $1, $2, $3
                     where not exists (select from signing_keys where retires_at is null)",
                    &[&key.kid, &key.public_key, &key.sealed],
                )
                .await?;
            Ok(())
        })
    }

    /// The new key takes the place of the one that signs, which verifies until `retires_at`.
    pub async fn replace_signing_key(
        &self,
        new: &SigningKeyRow,
        retires_at: Timestamp,
    ) -> Result<()> {
        transact!(self, |transaction| {
            transaction.execute("lock table signing_keys in share row exclusive mode", &[]).await?;
            transaction
                .execute(
                    "update signing_keys set retires_at = $1 where retires_at is null",
                    &[&retires_at],
                )
                .await?;
            transaction
                .execute(
                    "insert into signing_keys (kid, public_key, sealed) values ($1, $2, $3)",
                    &[&new.kid, &new.public_key, &new.sealed],
                )
                .await?;
            transaction.execute("delete from signing_keys where retires_at < now()", &[]).await?;
            Ok(())
        })
    }

    pub async fn register_node(&self, node: Uuid) -> Result<()> {
        self.connection()
            .await?
            .execute("insert into nodes (id) values ($1) on conflict do nothing", &[&node])
            .await?;
        Ok(())
    }

    pub async fn knows_node(&self, node: Uuid) -> Result<bool> {
        let row = self
            .connection()
            .await?
            .query_opt("select 1 from nodes where id = $1", &[&node])
            .await?;
        Ok(row.is_some())
    }
}
