//! A create makes something once. A second one of the same name is refused, unless it is the first one
//! again: the same client, the same request, and the first answer could not be written.
//!
//! Owns: that decision. Never: whether an answer was written; the server's HTTP says so.

use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use lakeport_store::{Create, Principal, Repeated, Store};
use serde::Serialize;
use tokio::runtime::Handle;
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use crate::{Control, Error, Result};

/// How long a repetition waits for what becomes of the first answer; longer than the store believes in one.
const PATIENCE: Duration = Duration::from_secs(12);
const PAUSE: Duration = Duration::from_millis(25);
/// How often, and how far apart, it is tried to write down what became of an answer.
const TRIES: u32 = 5;
const TRY_AGAIN: Duration = Duration::from_millis(200);

/// Who sends a create: retries of one client are from the same.
#[derive(Debug, Clone, Serialize)]
pub struct Sender {
    pub principal: i64,
    /// What its token came of.
    pub origin: Uuid,
    /// Its `User-Agent`.
    pub program: String,
}

/// What was created, for its client to be told.
#[derive(Debug)]
pub struct Created<T> {
    pub answer: T,
    pub unanswered: Unanswered,
}

/// An answer that was not written yet. Dropped, it counts as lost.
pub struct Unanswered {
    store: Store,
    object: Uuid,
    written: bool,
}

impl std::fmt::Debug for Unanswered {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Unanswered").field("object", &self.object).finish_non_exhaustive()
    }
}

impl Unanswered {
    /// Its connection has taken all of it.
    pub fn written(mut self) {
        self.written = true;
    }
}

impl Drop for Unanswered {
    fn drop(&mut self) {
        // Without a runtime the server has ended; its next start takes the answer for lost.
        let Ok(runtime) = Handle::try_current() else { return };
        let (store, object, written) = (self.store.clone(), self.object, self.written);
        runtime.spawn(async move {
            for _ in 0..TRIES {
                let noted = match written {
                    true => store.create_answered(object).await,
                    false => store.create_not_answered(object).await,
                };
                let Err(error) = noted else { return };
                tracing::warn!(%object, %error, "what became of an answer could not be noted");
                sleep(TRY_AGAIN).await;
            }
        });
    }
}

impl Sender {
    #[must_use]
    pub fn new(principal: &Principal, origin: Uuid, program: &str) -> Self {
        Self { principal: principal.id, origin, program: program.to_owned() }
    }

    /// Of the client and the whole request.
    pub(crate) fn digest(&self, kind: &str, request: &impl Serialize) -> Result<Vec<u8>> {
        let text = serde_json::to_vec(&(self, kind, request))
            .map_err(|error| Error::internal("writing a create's request", error))?;
        Ok(digest(&SHA256, &text).as_ref().to_vec())
    }
}

impl Control {
    pub(crate) fn create<'a>(&self, digest: &'a [u8]) -> Create<'a> {
        Create { digest, node_id: self.node }
    }

    pub(crate) fn unanswered(&self, object: Uuid) -> Unanswered {
        Unanswered { store: self.store.clone(), object, written: false }
    }

    /// The answer for whoever repeats the create of an object whose first answer was lost; none for
    /// everybody else.
    pub(crate) async fn repeated(
        &self,
        object: Uuid,
        create: &Create<'_>,
    ) -> Result<Option<Unanswered>> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.store.repeat_create(object, create).await? {
                Repeated::Lost => return Ok(Some(self.unanswered(object))),
                Repeated::UnderWay if Instant::now() < deadline => sleep(PAUSE).await,
                Repeated::UnderWay | Repeated::No => return Ok(None),
            }
        }
    }

    /// At start-up, before anything is answered.
    pub async fn settle_creates(&self) -> Result<()> {
        Ok(self.store.creates_not_answered_by(self.node).await?)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn everything_about_a_create_is_compared() {
        let sender = |principal, origin: u128, program: &str| Sender {
            principal,
            origin: Uuid::from_u128(origin),
            program: program.to_owned(),
        };
        let body = json!({"name": "a", "create_database_if_not_exists": true});
        let first = sender(1, 1, "p").digest("catalog", &body).unwrap();
        assert_eq!(sender(1, 1, "p").digest("catalog", &body).unwrap(), first);
        for other in [
            sender(2, 1, "p").digest("catalog", &body),
            sender(1, 2, "p").digest("catalog", &body),
            sender(1, 1, "q").digest("catalog", &body),
            sender(1, 1, "p").digest("instance", &body),
            sender(1, 1, "p").digest("catalog", &json!({"name": "a"})),
        ] {
            assert_ne!(other.unwrap(), first);
        }
    }
}
