//! The login: the server's messages pass through, but its question for a password is answered here.
//!
//! Owns: that one answer. Never: any message after the login.

use std::io::{self, ErrorKind};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::live_token::LiveToken;
use crate::{Error, Result, Token};

const LONGEST_MESSAGE: usize = 64 * 1024;
const CLEARTEXT_PASSWORD: [u8; 4] = [0, 0, 0, 3];

/// Ends when the server has accepted, refused, or asked for something that is not a clear-text
/// password; that and all that follows is between the two sides.
pub(crate) async fn run<L, R>(
    local: &mut L,
    remote: &mut R,
    tokens: &LiveToken,
    broke: &(dyn Fn(io::Error) -> Error + Sync),
) -> Result<()>
where
    L: AsyncWrite + Unpin,
    R: AsyncRead + AsyncWrite + Unpin,
{
    let mut answered = false;
    loop {
        let message = Message::read(remote).await.map_err(broke)?;
        if message.asks_cleartext_password() && !answered {
            let token = tokens.get().await?;
            remote.write_all(&password(&token)).await.map_err(broke)?;
            answered = true;
            continue;
        }
        local.write_all(&message.0).await.map_err(broke)?;
        if message.kind() == b'E' && answered {
            tokens.forget().await;
        }
        if !message.is_notice() {
            return Ok(());
        }
    }
}

/// One message of the server, type and length included.
struct Message(Vec<u8>);

impl Message {
    const HEADER: usize = 5;

    async fn read(remote: &mut (impl AsyncRead + Unpin)) -> io::Result<Self> {
        let mut header = [0; Self::HEADER];
        remote.read_exact(&mut header).await?;
        let [_, length @ ..] = header;
        let length = u32::from_be_bytes(length) as usize;
        if !(4..=LONGEST_MESSAGE).contains(&length) {
            return Err(io::Error::new(
                ErrorKind::InvalidData,
                "a login message of impossible length",
            ));
        }
        let mut message = header.to_vec();
        message.resize(1 + length, 0);
        remote.read_exact(&mut message[Self::HEADER..]).await?;
        Ok(Self(message))
    }

    fn kind(&self) -> u8 {
        self.0[0]
    }

    fn asks_cleartext_password(&self) -> bool {
        self.kind() == b'R' && self.0[Self::HEADER..] == CLEARTEXT_PASSWORD
    }

    /// Notices and the protocol negotiation come before the question.
    fn is_notice(&self) -> bool {
        matches!(self.kind(), b'N' | b'v')
    }
}

fn password(token: &Token) -> Vec<u8> {
    let text = token.expose().as_bytes();
    let length = (text.len() + 5) as u32;
    [&b"p"[..], &length.to_be_bytes(), text, b"\0"].concat()
}
