//! Passing bytes between a client and its server, unread.
//!
//! Towards the client it knows where messages end, so that a session which the gateway ends does so between
//! two of them. One task does both directions with one poll function: no locks, no tasks to wake across, and a
//! flush only where it would otherwise wait. Towards the server the decrypted record is written
//! from where rustls has it; towards the client there is one buffer, small for queries and grown
//! while a result keeps filling it.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncBufRead, AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::borders::Borders;

const SMALLEST: usize = 8 * 1024;
/// Four TLS records, which is what rustls takes before it wants to write.
const LARGEST: usize = 64 * 1024;
/// How many records of a client are passed on before the other direction has its turn.
const TURN: usize = 16;
/// How long a client whose session is ended may take for the rest of a message that it has begun to get.
const TO_BORDER: Duration = Duration::from_secs(2);

/// What a session moves. Others may look at it meanwhile.
#[derive(Debug, Default)]
pub(crate) struct Traffic {
    to_server: AtomicU64,
    to_client: AtomicU64,
    /// Whether the last bytes were the client's, which waits for an answer then.
    asking: AtomicBool,
    /// Whether the client has yet to take what it is sent.
    behind: AtomicBool,
}

impl Traffic {
    pub(crate) fn to_server(&self) -> u64 {
        self.to_server.load(Relaxed)
    }

    pub(crate) fn to_client(&self) -> u64 {
        self.to_client.load(Relaxed)
    }

    /// Whether an answer is on its way, to a client that waits for it or that takes its time.
    pub(crate) fn is_answering(&self) -> bool {
        self.asking.load(Relaxed) || self.behind.load(Relaxed)
    }

    pub(crate) fn add_to_server(&self, bytes: usize) {
        self.to_server.fetch_add(bytes as u64, Relaxed);
        self.asking.store(true, Relaxed);
    }

    pub(crate) fn add_to_client(&self, bytes: usize) {
        self.to_client.fetch_add(bytes as u64, Relaxed);
        self.asking.store(false, Relaxed);
    }

    pub(crate) fn client_is_behind(&self, behind: bool) {
        self.behind.store(behind, Relaxed);
    }
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum End {
    #[error("closed")]
    Finished,
    /// The gateway was told to end it. `whole` means that the client has whole messages only, so that it
    /// can still be told why.
    #[error("ended by the gateway")]
    Closing { whole: bool },
    #[error("broken: {0}")]
    Broken(io::Error),
}

/// Sends the welcome, then relays until the server closes, a socket breaks, or `closing` is cancelled.
/// Then `stop` ends what the server does for the session, while the client gets the message whole that it
/// has a part of.
pub(crate) async fn run<C, S>(
    client: &mut C,
    server: &mut S,
    welcome: Vec<u8>,
    traffic: &Traffic,
    closing: &CancellationToken,
    stop: impl Future<Output = ()>,
) -> End
where
    C: AsyncBufRead + AsyncWrite + Unpin,
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut up = Up::Open;
    let mut down = Down::new(welcome);
    let relay = poll_fn(|context| {
        // Towards the server first: that is where the next answer comes from.
        if let Poll::Ready(Err(error)) = up.poll(context, client, server, traffic) {
            return Poll::Ready(Err(error));
        }
        down.poll(context, server, client, traffic)
    });
    tokio::select! {
        biased;
        ended = relay => return match ended {
            Ok(()) => End::Finished,
            Err(error) => End::Broken(error),
        },
        () = closing.cancelled() => {}
    }
    let whole = poll_fn(|context| down.poll_to_border(context, server, client, traffic));
    let (whole, ()) = tokio::join!(timeout(TO_BORDER, whole), stop);
    End::Closing { whole: matches!(whole, Ok(Ok(()))) }
}

/// Client to server.
enum Up {
    Open,
    /// The client will send no more; the server is being told.
    Ending,
    Ended,
}

impl Up {
    /// Ready when the client has closed its half and the server knows. An answer, such as an error amid a
    /// long COPY, does not wait for whoever sends without a pause.
    fn poll<C, S>(
        &mut self,
        context: &mut Context<'_>,
        client: &mut C,
        server: &mut S,
        traffic: &Traffic,
    ) -> Poll<io::Result<()>>
    where
        C: AsyncBufRead + Unpin,
        S: AsyncWrite + Unpin,
    {
        let mut left = TURN;
        while matches!(self, Self::Open) {
            if left == 0 {
                context.waker().wake_by_ref();
                return Poll::Pending;
            }
            left -= 1;
            let bytes = ready!(fill(context, client))?;
            if bytes.is_empty() {
                *self = Self::Ending;
                break;
            }
            let written = ready!(Pin::new(&mut *server).poll_write(context, bytes))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            Pin::new(&mut *client).consume(written);
            traffic.add_to_server(written);
        }
        if matches!(self, Self::Ending) {
            ready!(Pin::new(server).poll_shutdown(context))?;
            *self = Self::Ended;
        }
        Poll::Ready(Ok(()))
    }
}

/// Many clients close without the TLS goodbye. The protocol has its own (Terminate), and a server
/// does nothing with half a message, so that is an ordinary end.
fn fill<'a, C: AsyncBufRead + Unpin>(
    context: &mut Context<'_>,
    client: &'a mut C,
) -> Poll<io::Result<&'a [u8]>> {
    match ready!(Pin::new(client).poll_fill_buf(context)) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Poll::Ready(Ok(&[])),
        filled => Poll::Ready(filled),
    }
}

/// Server to client.
struct Down {
    buffer: Vec<u8>,
    /// What is read and not yet written.
    start: usize,
    end: usize,
    borders: Borders,
    /// The last place in the buffer between two messages.
    border: Option<usize>,
    /// The first such place in what was read last.
    first_border: Option<usize>,
    /// How large the buffer shall be for the next read.
    wanted: usize,
    unflushed: bool,
    ended: bool,
}

impl Down {
    /// With `first` to be written before anything is read.
    fn new(first: Vec<u8>) -> Self {
        let mut borders = Borders::default();
        Self {
            start: 0,
            end: first.len(),
            border: borders.follow(&first),
            first_border: Some(0),
            borders,
            buffer: first,
            wanted: SMALLEST,
            unflushed: false,
            ended: false,
        }
    }

    fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// Ready when the server has closed and the client has got everything.
    fn poll<S, C>(
        &mut self,
        context: &mut Context<'_>,
        server: &mut S,
        client: &mut C,
        traffic: &Traffic,
    ) -> Poll<io::Result<()>>
    where
        S: AsyncRead + Unpin,
        C: AsyncWrite + Unpin,
    {
        loop {
            ready!(self.write(context, client, traffic))?;
            if self.ended {
                return Pin::new(client).poll_shutdown(context);
            }
            match self.read(context, server) {
                Poll::Ready(read) => self.ended = read? == 0,
                Poll::Pending => {
                    ready!(self.flush(context, client, traffic))?;
                    return Poll::Pending;
                }
            }
        }
    }

    /// Ready when the client has whole messages only. It gets those that were read, and the rest of one
    /// that it has a part of, but nothing of what the server says about being stopped.
    fn poll_to_border<S, C>(
        &mut self,
        context: &mut Context<'_>,
        server: &mut S,
        client: &mut C,
        traffic: &Traffic,
    ) -> Poll<io::Result<()>>
    where
        S: AsyncRead + Unpin,
        C: AsyncWrite + Unpin,
    {
        loop {
            let border = self.border.filter(|border| *border >= self.start);
            self.end = border.unwrap_or(self.end);
            ready!(self.write(context, client, traffic))?;
            if border.is_some() {
                return Poll::Ready(Ok(()));
            }
            if ready!(self.read(context, server))? == 0 {
                return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
            }
            self.border = self.first_border;
        }
    }

    /// Ready when the buffer is empty.
    fn write<C: AsyncWrite + Unpin>(
        &mut self,
        context: &mut Context<'_>,
        client: &mut C,
        traffic: &Traffic,
    ) -> Poll<io::Result<()>> {
        while !self.is_empty() {
            let bytes = &self.buffer[self.start..self.end];
            let Poll::Ready(written) = Pin::new(&mut *client).poll_write(context, bytes) else {
                traffic.client_is_behind(true);
                return Poll::Pending;
            };
            let written = written?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.start += written;
            self.unflushed = true;
            traffic.add_to_client(written);
        }
        Poll::Ready(Ok(()))
    }

    fn flush<C: AsyncWrite + Unpin>(
        &mut self,
        context: &mut Context<'_>,
        client: &mut C,
        traffic: &Traffic,
    ) -> Poll<io::Result<()>> {
        if self.unflushed {
            let flushed = Pin::new(client).poll_flush(context);
            traffic.client_is_behind(flushed.is_pending());
            ready!(flushed)?;
            self.unflushed = false;
        }
        Poll::Ready(Ok(()))
    }

    /// Reads into the empty buffer. After a read that filled it, the next one gets twice as much; a
    /// small read takes it back, so that an idle session holds little.
    fn read<S: AsyncRead + Unpin>(
        &mut self,
        context: &mut Context<'_>,
        server: &mut S,
    ) -> Poll<io::Result<usize>> {
        if self.buffer.len() != self.wanted {
            self.buffer = vec![0; self.wanted];
        }
        let mut target = ReadBuf::new(&mut self.buffer);
        ready!(Pin::new(server).poll_read(context, &mut target))?;
        let filled = target.filled();
        self.first_border = self.borders.first(filled);
        self.border = self.borders.follow(filled);
        let read = filled.len();
        (self.start, self.end) = (0, read);
        if read == self.wanted {
            self.wanted = LARGEST.min(self.wanted * 2);
        } else if read < SMALLEST / 2 {
            self.wanted = SMALLEST;
        }
        Poll::Ready(Ok(read))
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{BufReader, join, repeat, sink};

    use super::*;

    #[tokio::test]
    async fn an_answer_does_not_wait_for_the_end_of_what_is_sent() {
        const RECORD: usize = 1_000;
        let mut client = join(BufReader::with_capacity(RECORD, repeat(7)), Vec::new());
        let mut server = join(&b"E\0\0\0\x04"[..], sink());
        let (closing, traffic) = (CancellationToken::new(), Traffic::default());
        let end = run(&mut client, &mut server, Vec::new(), &traffic, &closing, async {}).await;
        assert!(matches!(end, End::Finished), "{end:?}");
        assert_eq!(client.writer().as_slice(), b"E\0\0\0\x04");
        assert!(traffic.to_server() <= (TURN * RECORD) as u64, "{}", traffic.to_server());
    }
}
