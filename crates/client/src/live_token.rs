//! A token that is always a live one: used again while it is good, renewed before it ends.
//!
//! Owns: when to renew. Never: how; that is the caller's `mint`. One renewal runs at a time, in a task of its
//! own: whoever asks meanwhile gets the old token at once, as long as it is good. Many holders of tokens of one
//! hour do not all renew in the same second.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use crate::{Error, Result, Token};

/// After a renewal that failed, the next one begins this much later, while the old token is good.
const RETRY_AFTER: Duration = Duration::from_secs(30);

/// A fresh token, and for how long it is good from now on.
#[derive(Debug, Clone)]
pub struct Minted {
    pub token: Token,
    pub lives: Duration,
}

type Mint = dyn Fn() -> Pin<Box<dyn Future<Output = Result<Minted>> + Send>> + Send + Sync;

/// What a renewal came to; nothing while it runs.
type Renewal = watch::Receiver<Option<std::result::Result<Held, Arc<Error>>>>;

pub struct LiveToken {
    mint: Box<Mint>,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    held: Option<Held>,
    /// The one that runs now.
    renewal: Option<Renewal>,
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
        Self { mint: Box::new(move || Box::pin(mint())), state: Arc::default() }
    }

    /// Call it within a Tokio runtime, which the renewal runs on.
    ///
    /// # Errors
    /// If there is no good token and none can be had.
    pub async fn get(&self) -> Result<Token> {
        self.current().await.map(|held| held.token)
    }

    /// The token, and for how long it is good.
    ///
    /// # Errors
    /// If there is no good token and none can be had.
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
        let mut renewal = {
            let mut state = lock(&self.state);
            let now = Instant::now();
            match state.held.clone().filter(|held| now < held.ends_at) {
                Some(good) => {
                    if now >= good.renew_at {
                        self.renewal(&mut state);
                    }
                    return Ok(good);
                }
                None => self.renewal(&mut state),
            }
        };
        let answer = renewal.wait_for(Option::is_some).await.ok().and_then(|answer| answer.clone());
        match answer {
            Some(answer) => answer.map_err(Error::Shared),
            // The runtime that the renewal ran on has ended.
            None => (self.mint)().await.map(Held::new),
        }
    }

    /// The renewal that runs, or a new one.
    fn renewal(&self, state: &mut State) -> Renewal {
        if let Some(running) = state.renewal.as_ref().filter(|known| known.has_changed().is_ok()) {
            return running.clone();
        }
        let (tell, renewal) = watch::channel(None);
        state.renewal = Some(renewal.clone());
        let (minted, state) = ((self.mint)(), Arc::clone(&self.state));
        tokio::spawn(async move {
            let answer = minted.await.map(Held::new).map_err(Arc::new);
            lock(&state).settle(&answer);
            tell.send_replace(Some(answer));
        });
        renewal
    }

    /// The server refused it: the next one asked for is a new one.
    pub async fn forget(&self) {
        lock(&self.state).held = None;
    }
}

/// Nothing panics while it holds the lock.
fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl State {
    fn settle(&mut self, answer: &std::result::Result<Held, Arc<Error>>) {
        self.renewal = None;
        match (answer, &mut self.held) {
            (Ok(fresh), held) => *held = Some(fresh.clone()),
            (Err(error), Some(old)) => {
                tracing::warn!(%error, "the token could not be renewed yet");
                old.renew_at = (Instant::now() + RETRY_AFTER).min(old.ends_at);
            }
            (Err(_), None) => {}
        }
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
            // The renewal that this may have begun.
            tokio::task::yield_now().await;
            let left = lock(&live.state).held.as_ref().unwrap().ends_at - Instant::now();
            assert!(left > Duration::from_secs(14 * 60), "minute {minute}: {left:?}");
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

    /// Like a server that stalls and then refuses; the first token is minted at once.
    fn stalling(stall: Duration) -> (Arc<LiveToken>, Arc<AtomicUsize>) {
        let asked = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&asked);
        let live = LiveToken::new(move || {
            let number = count.fetch_add(1, Ordering::SeqCst) + 1;
            async move {
                if number == 1 {
                    return Ok(Minted { token: Token::new(String::from("1")), lives: HOUR });
                }
                tokio::time::sleep(stall).await;
                Err(Error::Host { host: String::from("away") })
            }
        });
        (Arc::new(live), asked)
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_waits_for_a_renewal_while_the_old_token_is_good() {
        let (live, asked) = stalling(Duration::from_secs(2));
        live.get().await.unwrap();
        tokio::time::advance(Duration::from_secs(58 * 60)).await;
        let begun = Instant::now();
        for _ in 0..5 {
            assert_eq!(live.get().await.unwrap().expose(), "1");
        }
        assert_eq!((begun.elapsed(), asked.load(Ordering::SeqCst)), (Duration::ZERO, 2));
        // The renewal fails after two seconds; the next one begins thirty seconds later.
        tokio::time::sleep(Duration::from_secs(31)).await;
        live.get().await.unwrap();
        assert_eq!(asked.load(Ordering::SeqCst), 2);
        tokio::time::sleep(Duration::from_secs(2)).await;
        live.get().await.unwrap();
        assert_eq!(asked.load(Ordering::SeqCst), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn those_who_have_no_token_wait_for_one_renewal() {
        let (live, asked) = stalling(Duration::from_secs(2));
        live.get().await.unwrap();
        live.forget().await;
        let begun = Instant::now();
        let callers: Vec<_> = (0..5)
            .map(|_| {
                let live = Arc::clone(&live);
                tokio::spawn(async move { live.get().await })
            })
            .collect();
        for caller in callers {
            let error = caller.await.unwrap().unwrap_err();
            assert_eq!(error.to_string(), "`away` is neither a host name nor an address");
        }
        assert_eq!((begun.elapsed(), asked.load(Ordering::SeqCst)), (Duration::from_secs(2), 2));
    }

    #[test]
    fn a_renewal_that_ended_with_its_runtime_holds_nobody_up() {
        let live = stalling(HOUR).0;
        let runtime = || tokio::runtime::Builder::new_current_thread().enable_time().build();
        runtime().unwrap().block_on(async {
            live.get().await.unwrap();
            live.forget().await;
            let waiting = Arc::clone(&live);
            tokio::spawn(async move { waiting.get().await });
            tokio::task::yield_now().await;
        });
        assert!(lock(&live.state).renewal.is_some());
        let (fresh, _) = counting(1);
        let live = LiveToken { mint: fresh.mint, state: Arc::clone(&live.state) };
        let token = runtime().unwrap().block_on(live.get()).unwrap();
        assert_eq!(token.expose(), "1");
    }
}
