//! Trying again what another transaction was in the way of.
//!
//! Owns: the one policy for it. A deadlock and a failed serialization leave nothing behind, and the same transaction
//! can only succeed from its beginning.

use std::time::Duration;

use tokio_postgres::error::SqlState;
use uuid::Uuid;

use crate::Result;

/// Tries of one transaction; who loses that often is up against something else than bad luck.
const TRIES: u32 = 6;
const FIRST_PAUSE: Duration = Duration::from_millis(5);

/// The tries of one transaction or statement.
pub(crate) struct Tries(u32);

impl Tries {
    pub(crate) fn new() -> Self {
        Self(1)
    }

    /// Whether to try again after this error, once it is time.
    pub(crate) async fn again(&mut self, code: Option<&SqlState>) -> bool {
        if !code.is_some_and(is_in_the_way) || self.0 >= TRIES {
            return false;
        }
        // Two that met do not meet again.
        let longest = FIRST_PAUSE * 2u32.pow(self.0);
        self.0 += 1;
        let share = f64::from(Uuid::new_v4().as_u128() as u32) / f64::from(u32::MAX);
        tokio::time::sleep(longest.mul_f64(share)).await;
        true
    }
}

fn is_in_the_way(code: &SqlState) -> bool {
    *code == SqlState::T_R_DEADLOCK_DETECTED || *code == SqlState::T_R_SERIALIZATION_FAILURE
}

/// One transaction of a store, which is committed if the work succeeds. The work may be done several times.
macro_rules! transact {
    ($store:expr, |$transaction:ident| $work:block) => {{
        let mut tries = $crate::retry::Tries::new();
        loop {
            let done = $crate::retry::typed(async {
                let mut client = $store.connection().await?;
                let transaction = client.transaction().await?;
                let $transaction = &transaction;
                let value = $crate::retry::typed(async $work).await?;
                transaction.commit().await?;
                Ok(value)
            });
            match done.await {
                Err($crate::Error::Statement(error)) if tries.again(error.code()).await => {}
                done => break done,
            }
        }
    }};
}

pub(crate) use transact;

/// Says what a block comes to, which a macro cannot.
pub(crate) fn typed<T, F: Future<Output = Result<T>>>(work: F) -> F {
    work
}
