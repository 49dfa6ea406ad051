//! Creates whose answer did not reach their client, as far as is known: only such a one may be repeated.

use uuid::Uuid;

use crate::connection::Transaction;
use crate::{Result, Store};

/// A request to create something, and the server that works on it.
#[derive(Debug, Clone, Copy)]
pub struct Create<'a> {
    /// Of the client and of all that it asks for.
    pub digest: &'a [u8],
    pub node_id: Uuid,
}

/// What becomes of a create that somebody has sent before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repeated {
    /// The first answer was lost: this one takes its place.
    Lost,
    /// The first answer is about to be written.
    UnderWay,
    /// Another request, or one that was answered.
    No,
}

impl Create<'_> {
    /// In the transaction that makes the object. What is too old to be repeated is forgotten.
    pub(crate) async fn note(&self, transaction: &Transaction<'_>, object: Uuid) -> Result<()> {
        let forget =
            "delete from unanswered_creates where created_at < now() - interval '10 minutes'";
        transaction.execute(forget, &[]).await?;
        transaction
            .execute(
                "insert into unanswered_creates (object_id, digest, node_id) values ($1, $2, $3)",
                &[&object, &self.digest, &self.node_id],
            )
            .await?;
        Ok(())
    }
}

impl Store {
    /// Lets one client have the answer that the first request for the object has missed. A server that has
    /// been about to answer for ten seconds is taken for dead.
    pub async fn repeat_create(&self, object: Uuid, create: &Create<'_>) -> Result<Repeated> {
        let client = self.connection().await?;
        let taken = client
            .execute(
                "update unanswered_creates set node_id = $3, since = now()
                 where object_id = $1 and digest = $2
                   and created_at > now() - interval '10 minutes'
                   and (node_id is null or since < now() - interval '10 seconds')",
                &[&object, &create.digest, &create.node_id],
            )
            .await?;
        if taken == 1 {
            return Ok(Repeated::Lost);
        }
        let row = client
            .query_one(
                "select exists (select from unanswered_creates
                                where object_id = $1 and digest = $2
                                  and created_at > now() - interval '10 minutes')",
                &[&object, &create.digest],
            )
            .await?;
        Ok(if row.get(0) { Repeated::UnderWay } else { Repeated::No })
    }

    /// The answer was written to its client.
    pub async fn create_answered(&self, object: Uuid) -> Result<()> {
        let sql = "delete from unanswered_creates where object_id = $1";
        self.connection().await?.execute(sql, &[&object]).await?;
        Ok(())
    }

    /// The connection broke before the answer was written.
    pub async fn create_not_answered(&self, object: Uuid) -> Result<()> {
        let sql = "update unanswered_creates set node_id = null where object_id = $1";
        self.connection().await?.execute(sql, &[&object]).await?;
        Ok(())
    }

    /// At the start of a server: what it was about to answer before it died will not be.
    pub async fn creates_not_answered_by(&self, node: Uuid) -> Result<()> {
        let sql = "update unanswered_creates set node_id = null where node_id = $1";
        self.connection().await?.execute(sql, &[&node]).await?;
        Ok(())
    }
}
