//! Passing bytes between a client and its server, unread.
//!
//! One task does both directions with one poll function: no locks, no tasks to wake across, and a
//! flush only where it would otherwise wait. Towards the server the decrypted record is written
//! from where rustls has it; towards the client there is one buffer, small for queries and grown
//! while a result keeps filling it.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncBufRead, AsyncRead, AsyncWrite, ReadBuf};
use tokio_util::sync::CancellationToken;

const SMALLEST: usize = 8 * 1024;
/// Four TLS records, which is what rustls takes before it wants to write.
const LARGEST: usize = 64 * 1024;

/// What a session moves. Others may look at it meanwhile.
#[derive(Debug, Default)]
pub(crate) struct Traffic {
    to_server: AtomicU64,
    to_client: AtomicU64,
    /// Whether the last bytes were the client's, which waits for an answer then.
    asking: AtomicBool,
}

impl Traffic {
    pub(crate) fn to_server(&self) -> u64 {
        self.to_server.load(Relaxed)
    }

    pub(crate) fn to_client(&self) -> u64 {
        self.to_client.load(Relaxed)
    }

    pub(crate) fn is_asking(&self) -> bool {
        self.asking.load(Relaxed)
    }

    pub(crate) fn add_to_server(&self, bytes: usize) {
        self.to_server.fetch_add(bytes as u64, Relaxed);
        self.asking.store(true, Relaxed);
    }

    pub(crate) fn add_to_client(&self, bytes: usize) {
        self.to_client.fetch_add(bytes as u64, Relaxed);
        self.asking.store(false, Relaxed);
    }
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum End {
    #[error("closed")]
    Finished,
    /// The gateway was told to end it. `clean` means that nothing is half-sent to the client, so
    /// that it can still be told why.
    #[error("ended by the gateway")]
    Closing { clean: bool },
    #[error("broken: {0}")]
    Broken(io::Error),
}

/// Sends the welcome, then relays until the server closes, a socket breaks, or `closing` is
/// cancelled.
pub(crate) async fn run<C, S>(
    client: &mut C,
    server: &mut S,
    welcome: Vec<u8>,
    closing: &CancellationToken,
    traffic: &Traffic,
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
        ended = relay => match ended {
            Ok(()) => End::Finished,
            Err(error) => End::Broken(error),
        },
        () = closing.cancelled() => End::Closing { clean: down.is_empty() },
    }
}

/// Client to server.
enum Up {
    Open,
    /// The client will send no more; the server is being told.
    Ending,
    Ended,
}

impl Up {
    /// Ready when the client has closed its half and the server knows.
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
        while matches!(self, Self::Open) {
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
    /// How large the buffer shall be for the next read.
    wanted: usize,
    unflushed: bool,
    ended: bool,
}

impl Down {
    /// With `first` to be written before anything is read.
    fn new(first: Vec<u8>) -> Self {
        let end = first.len();
        Self { buffer: first, start: 0, end, wanted: SMALLEST, unflushed: false, ended: false }
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
            while !self.is_empty() {
                let bytes = &self.buffer[self.start..self.end];
                let written = ready!(Pin::new(&mut *client).poll_write(context, bytes))?;
                if written == 0 {
                    return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
                }
                self.start += written;
                self.unflushed = true;
                traffic.add_to_client(written);
            }
            if self.ended {
                return Pin::new(client).poll_shutdown(context);
            }
            match self.read(context, server) {
                Poll::Ready(read) => self.ended = read? == 0,
                Poll::Pending => {
                    if self.unflushed {
                        ready!(Pin::new(client).poll_flush(context))?;
                        self.unflushed = false;
                    }
                    return Poll::Pending;
                }
            }
        }
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
        let read = target.filled().len();
        (self.start, self.end) = (0, read);
        if read == self.wanted {
            self.wanted = LARGEST.min(self.wanted * 2);
        } else if read < SMALLEST / 2 {
            self.wanted = SMALLEST;
        }
        Poll::Ready(Ok(read))
    }
}
