//! Doing a transaction again when PostgreSQL has surely done nothing of it.
//!
//! Owns: which SQLSTATEs say so, and the pauses. Never: what is done; the closure opens its own
//! transaction, and begins from nothing each time.

use std::time::Duration;

use tokio::time::sleep;

const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// An error that may carry a SQLSTATE.
pub trait SqlState {
    fn sqlstate(&self) -> Option<String>;
}

/// Whether nothing of the transaction that ended so can have been committed, and another try can help:
/// serialization failures and deadlocks (class 40, but not 40003, of which nobody knows), a lock that
/// was not to be had, and logins that found the server starting or full.
///
/// A broken connection is not among them: its COMMIT may have arrived.
#[must_use]
pub fn is_safe(sqlstate: &str) -> bool {
    match sqlstate {
        "40003" => false,
        "55P03" | "57P03" | "53300" => true,
        other => other.starts_with("40"),
    }
}

/// Runs `transaction` up to `attempts` times, for as long as its error is safe to answer by another try.
#[cfg_attr(
    feature = "deadpool",
    doc = r#"

```no_run
# async fn run(pool: deadpool_postgres::Pool) -> Result<(), deadpool_postgres::PoolError> {
lakeport_client::retry::run(5, async || {
    let mut connection = pool.get().await?;
    let transaction = connection.build_transaction()
        .isolation_level(tokio_postgres::IsolationLevel::Serializable)
        .start().await?;
    transaction.execute("update stock set left_over = left_over - 1 where id = 7", &[]).await?;
    transaction.commit().await?;
    Ok(())
}).await
# }
```
"#
)]
///
/// # Errors
/// The last one of `transaction`.
pub async fn run<T, E: SqlState>(
    attempts: u32,
    mut transaction: impl AsyncFnMut() -> Result<T, E>,
) -> Result<T, E> {
    let mut pause = FIRST_PAUSE;
    let mut left = attempts.max(1);
    loop {
        left -= 1;
        match transaction().await {
            Err(error) if left > 0 && error.sqlstate().is_some_and(|state| is_safe(&state)) => {
                sleep(pause.mul_f64(0.5 + crate::live_token::random_share())).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
            other => return other,
        }
    }
}

#[cfg(feature = "tokio-postgres")]
impl SqlState for tokio_postgres::Error {
    fn sqlstate(&self) -> Option<String> {
        self.code().map(|code| code.code().to_owned())
    }
}

#[cfg(feature = "deadpool")]
impl SqlState for deadpool_postgres::PoolError {
    fn sqlstate(&self) -> Option<String> {
        match self {
            Self::Backend(error) => error.sqlstate(),
            _ => None,
        }
    }
}

#[cfg(feature = "sqlx")]
impl SqlState for sqlx::Error {
    fn sqlstate(&self) -> Option<String> {
        self.as_database_error()?.code().map(|code| code.into_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl SqlState for &'static str {
        fn sqlstate(&self) -> Option<String> {
            Some((*self).to_owned())
        }
    }

    async fn tries(error: &'static str) -> u32 {
        let mut tries = 0;
        let outcome = run(4, async || {
            tries += 1;
            Err::<(), _>(error)
        })
        .await;
        assert_eq!(outcome, Err(error));
        tries
    }

    #[tokio::test(start_paused = true)]
    async fn only_what_surely_did_nothing_is_done_again() {
        for safe in ["40001", "40P01", "55P03", "57P03"] {
            assert_eq!(tries(safe).await, 4, "{safe}");
        }
        for unsure in ["40003", "57P01", "08006", "23505", "42P01"] {
            assert_eq!(tries(unsure).await, 1, "{unsure}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn success_ends_it() {
        let mut tries = 0;
        let outcome = run(9, async || {
            tries += 1;
            if tries < 3 { Err("40001") } else { Ok(tries) }
        });
        assert_eq!(outcome.await, Ok(3));
    }
}
