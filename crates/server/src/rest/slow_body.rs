//! Request bodies must come at some speed: whoever sends one a byte at a time holds a connection, and
//! what was received so far, for as long as it likes.

use std::future::Future;
use std::task::Poll;
use std::time::Duration;

use axum::body::{Body, HttpBody};
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;
use futures_util::StreamExt;
use futures_util::stream::poll_fn;
use tokio::time::{Instant, sleep_until};

/// A body of any length may take so long,
const PATIENCE: Duration = Duration::from_secs(30);
/// and a second more for each of so many bytes.
const BYTES_PER_SECOND: u64 = 16 * 1024;

#[derive(Debug, thiserror::Error)]
#[error("the request body came too slowly")]
struct TooSlow;

pub(crate) async fn refuse(request: Request, next: Next) -> Response {
    if request.body().is_end_stream() {
        return next.run(request).await;
    }
    next.run(request.map(|body| timed(body, PATIENCE))).await
}

/// The same body, which fails when it is behind its time.
fn timed(body: Body, patience: Duration) -> Body {
    let deadline = Instant::now() + patience;
    let mut received = 0;
    let mut body = body.into_data_stream();
    let mut alarm = Box::pin(sleep_until(deadline));
    Body::from_stream(poll_fn(move |context| {
        if alarm.as_mut().poll(context).is_ready() {
            return Poll::Ready(Some(Err(axum::Error::new(TooSlow))));
        }
        let polled = body.poll_next_unpin(context);
        if let Poll::Ready(Some(Ok(bytes))) = &polled {
            received += bytes.len() as u64;
            let earned = Duration::from_secs(received / BYTES_PER_SECOND);
            alarm.as_mut().reset(deadline + earned);
        }
        polled
    }))
}

#[cfg(test)]
mod tests {
    use axum::body::{Bytes, to_bytes};
    use futures_util::stream;

    use super::*;

    fn drip(pieces: usize, size: usize) -> Body {
        let piece = Bytes::from(vec![b'x'; size]);
        let dripping = stream::iter(0..pieces).then(move |_| {
            let piece = piece.clone();
            async move {
                tokio::time::sleep(Duration::from_secs(1)).await;
                Ok::<_, axum::Error>(piece)
            }
        });
        Body::from_stream(dripping)
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_may_be_long_but_not_slow() {
        let long = timed(drip(300, 20_000), Duration::from_secs(30));
        assert_eq!(to_bytes(long, usize::MAX).await.unwrap().len(), 6_000_000);
        let slow = timed(drip(300, 1), Duration::from_secs(30));
        let error = to_bytes(slow, usize::MAX).await.unwrap_err();
        assert!(error.to_string().contains("too slowly"), "{error}");
    }
}
