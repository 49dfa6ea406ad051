//! A token that is always a live one: used again while it is good, renewed before it ends.
//!
//! Owns: when to renew. Never: how; that is the caller's `mint`. Many holders of tokens of one hour do
//! not all renew in the same second, and a server that is away for a moment is not noticed while the
//! token at hand is still good.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::{Result, Token};

/// A fresh token, and for how long it is good from now on.
#[derive(Debug, Clone)]
pub struct Minted {
    pub token: Token,
    pub lives: Duration,
}

type Mint = dyn Fn() -> Pin<Box<dyn Future<Output = Result<Minted>> + Send>> + Send + Sync;

pub struct LiveToken {
    mint: Box<Mint>,
    held: Mutex<Option<Held>>,
}

#[derive(Clone)]
struct Held {
    token: Token,
    renew_at: Instant,
    ends_at: Instant,
}

impl LiveToken {
    /// `mint` is asked when a token is wanted and none is at hand that is good for long enough.
    pub fn new<F, M>(mint: F) -> Self
    where
        F: Fn() -> M + Send + Sync + 'static,
        M: Future<Output = Result<Minted>> + Send + 'static,
    {
        Self { mint: Box::new(move || Box::pin(mint())), held: Mutex::new(None) }
    }

    /// # Errors
    /// If a new token is needed and cannot be had.
    pub async fn get(&self) -> Result<Token> {
        self.current().await.map(|held| held.token)
    }

    /// The token, and for how long it is good.
    ///
    /// # Errors
    /// If a new token is needed and cannot be had.
    pub async fn minted(&self) -> Result<Minted> {
        let held = self.current().await?;
        Ok(Minted { lives: held.ends_at - Instant::now(), token: held.token })
    }

    /// The token, and in how long it should be asked for again.
    #[cfg(feature = "sqlx")]
    pub(crate) async fn with_renewal(&self) -> Result<(Token, Duration)> {
        const SOONEST: Duration = Duration::from_secs(1);
        let held = self.current().await?;
        Ok((held.token, (held.renew_at - Instant::now()).max(SOONEST)))
    }

    async fn current(&self) -> Result<Held> {
        let mut held = self.held.lock().await;
        let now = Instant::now();
        if let Some(good) = held.as_ref().filter(|held| now < held.renew_at) {
            return Ok(good.clone());
        }
        match (self.mint)().await {
            Ok(minted) => Ok(held.insert(Held::new(minted)).clone()),
            Err(error) => match held.as_ref().filter(|held| now < held.ends_at) {
                Some(old) => {
                    tracing::warn!(%error, "the token could not be renewed yet");
                    Ok(old.clone())
                }
                None => Err(error),
            },
        }
    }

    /// The server refused it: the next one asked for is a new one.
    pub async fn forget(&self) {
        *self.held.lock().await = None;
    }
}

impl Held {
    /// Renewed when between a quarter and seven twentieths of its life are left, by chance.
    fn new(Minted { token, lives }: Minted) -> Self {
        let now = Instant::now();
        let share = 0.75 - 0.1 * random_share();
        Self { token, renew_at: now + lives.mul_f64(share), ends_at: now + lives }
    }
}

/// From 0 to 1. Without a source of chance all renew alike, which is no reason to fail.
pub(crate) fn random_share() -> f64 {
    let mut byte = [0];
    match aws_lc_rs::rand::fill(&mut byte) {
        Ok(()) => f64::from(byte[0]) / 255.0,
        Err(_) => 0.5,
    }
}

impl fmt::Debug for LiveToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LiveToken")
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::Error;

    const HOUR: Duration = Duration::from_secs(3600);

    /// The first tokens are minted, and then the server is away.
    fn counting(good: usize) -> (LiveToken, Arc<AtomicUsize>) {
        let asked = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&asked);
        let live = LiveToken::new(move || {
            let number = count.fetch_add(1, Ordering::SeqCst) + 1;
            async move {
                match number {
                    number if number <= good => {
                        Ok(Minted { token: Token::new(number.to_string()), lives: HOUR })
                    }
                    _ => Err(Error::Host { host: String::from("away") }),
                }
            }
        });
        (live, asked)
    }

    #[tokio::test(start_paused = true)]
    async fn a_token_is_used_again_and_renewed_before_it_ends() {
        let (live, asked) = counting(usize::MAX);
        for minute in 0..3600 {
            live.get().await.unwrap();
            let held = live.held.lock().await;
            let left = held.as_ref().unwrap().ends_at - Instant::now();
            assert!(left > Duration::from_secs(14 * 60), "minute {minute}: {left:?}");
            drop(held);
            tokio::time::advance(Duration::from_secs(60)).await;
        }
        let renewals = asked.load(Ordering::SeqCst);
        assert!((80..=93).contains(&renewals), "{renewals} in sixty hours");
    }

    #[tokio::test(start_paused = true)]
    async fn an_absent_server_is_bridged_for_as_long_as_the_token_lives() {
        let (live, _) = counting(1);
        live.get().await.unwrap();
        tokio::time::advance(Duration::from_secs(59 * 60)).await;
        assert_eq!(live.get().await.unwrap().expose(), "1");
        tokio::time::advance(Duration::from_secs(61)).await;
        assert!(live.get().await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn a_forgotten_token_does_not_come_back() {
        let (live, _) = counting(2);
        assert_eq!(live.get().await.unwrap().expose(), "1");
        live.forget().await;
        assert_eq!(live.get().await.unwrap().expose(), "2");
    }
}
