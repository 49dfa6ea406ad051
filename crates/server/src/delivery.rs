//! Whether an answer reached its client, as far as a server can know: its connection has taken all of it,
//! and was whole until then.
//!
//! Owns: the way from a create's answer to the connection that writes it. Never: what follows from it.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use axum::extract::FromRequestParts;
use axum::http::header::USER_AGENT;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use lakeport_api::ErrorCode;
use lakeport_control::{Created, Error, Sender, Unanswered};
use serde::Serialize;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::rest::auth::{Caller, Origin};
use crate::rest::error::ApiError;

/// Who sends a create.
pub(crate) struct SentBy(pub(crate) Sender);

impl<S: Send + Sync> FromRequestParts<S> for SentBy {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let (caller, origin) = (parts.extensions.get::<Caller>(), parts.extensions.get::<Origin>());
        let (Some(Caller(principal)), Some(Origin(origin))) = (caller, origin) else {
            return Err(ApiError::new(ErrorCode::Unauthenticated, "No caller is known."));
        };
        let program = parts.headers.get(USER_AGENT).and_then(|value| value.to_str().ok());
        Ok(Self(Sender::new(principal, *origin, program.unwrap_or_default())))
    }
}

/// Creates, and answers with what was created. A client that leaves does not stop it halfway.
pub(crate) async fn create<T: Serialize + Send + 'static>(
    create: impl Future<Output = Result<Created<T>, Error>> + Send + 'static,
) -> Result<Response, ApiError> {
    let Created { answer, unanswered } = tokio::spawn(create)
        .await
        .map_err(|error| ApiError::from(Error::internal("creating", error)))??;
    Ok((Extension(Delivery::new(unanswered)), Json(answer)).into_response())
}

/// Travels with an answer to the connection that writes it.
#[derive(Clone)]
pub(crate) struct Delivery(Arc<Mutex<Option<Unanswered>>>);

impl Delivery {
    fn new(unanswered: Unanswered) -> Self {
        Self(Arc::new(Mutex::new(Some(unanswered))))
    }

    fn written(&self) {
        let unanswered = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(unanswered) = unanswered {
            unanswered.written();
        }
    }
}

/// What one connection is about to write.
#[derive(Clone, Default)]
pub(crate) struct Outbox(Arc<Mutex<Vec<Delivery>>>);

impl Outbox {
    /// Takes the delivery that an answer carries, if it does.
    pub(crate) fn take_from(&self, response: &mut Response) {
        if let Some(delivery) = response.extensions_mut().remove::<Delivery>() {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).push(delivery);
        }
    }

    fn written(&self) {
        let written = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        written.iter().for_each(Delivery::written);
    }
}

/// A stream that tells the outbox when what was written to it has gone out.
pub(crate) struct Outgoing<S> {
    stream: S,
    outbox: Outbox,
    /// Something was written since the last flush.
    wrote: bool,
}

impl<S> Outgoing<S> {
    pub(crate) fn new(stream: S, outbox: Outbox) -> Self {
        Self { stream, outbox, wrote: false }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Outgoing<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Outgoing<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = ready!(Pin::new(&mut this.stream).poll_write(context, buffer));
        this.wrote |= matches!(written, Ok(1..));
        Poll::Ready(written)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffers: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = ready!(Pin::new(&mut this.stream).poll_write_vectored(context, buffers));
        this.wrote |= matches!(written, Ok(1..));
        Poll::Ready(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    /// Comes when the whole of an answer was written.
    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(Pin::new(&mut this.stream).poll_flush(context))?;
        if std::mem::take(&mut this.wrote) {
            this.outbox.written();
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(context)
    }
}
