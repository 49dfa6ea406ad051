//! The threads that carry connections.
//!
//! Each is a runtime of its own, and a connection stays on the one that it was given to. In a shared
//! runtime a thread that wakes for a message first wakes another to watch the sockets in its place; a
//! session that sends one message at a time would pay for that with each. It never waits for anybody:
//! what a connection asks of the rest of the program runs where that lives.

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use tokio::runtime::{Builder, Handle};
use tokio_util::sync::CancellationToken;

pub(crate) struct Threads {
    threads: Vec<Thread>,
    ended: CancellationToken,
}

struct Thread {
    runtime: Handle,
    /// How many connections it carries.
    load: Arc<AtomicUsize>,
}

impl Threads {
    /// One for each processor.
    pub(crate) fn start() -> io::Result<Self> {
        let count = thread::available_parallelism().map_or(1, usize::from);
        let ended = CancellationToken::new();
        let threads = (0..count).map(|_| start(ended.clone())).collect::<io::Result<_>>()?;
        Ok(Self { threads, ended })
    }

    /// Runs it on the thread that carries the fewest.
    pub(crate) fn spawn(&self, future: impl Future<Output = ()> + Send + 'static) {
        let load = |thread: &&Thread| thread.load.load(Ordering::Relaxed);
        // There is always one.
        let Some(thread) = self.threads.iter().min_by_key(load) else { return };
        let place = Place::on(thread);
        thread.runtime.spawn(async move {
            let _place = place;
            future.await;
        });
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        self.ended.cancel();
    }
}

/// Counts as load while it lives, however its connection ends.
struct Place(Arc<AtomicUsize>);

impl Place {
    fn on(thread: &Thread) -> Self {
        thread.load.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(&thread.load))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

fn start(ended: CancellationToken) -> io::Result<Thread> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let handle = runtime.handle().clone();
    thread::Builder::new()
        .name("lakeport-gateway".to_owned())
        .spawn(move || runtime.block_on(ended.cancelled()))?;
    Ok(Thread { runtime: handle, load: Arc::default() })
}
