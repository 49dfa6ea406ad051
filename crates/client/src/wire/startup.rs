//! The first packets of a PostgreSQL connection, as the local side sends them.
//!
//! Owns: their bounds and kinds, and the error packet that answers a failure. Never: their parameters.

use std::io::{self, ErrorKind};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::Error;

const CANCEL: u32 = 80_877_102;
const SSL: u32 = 80_877_103;
const GSS_ENCRYPTION: u32 = 80_877_104;

/// PostgreSQL's own limit of a start-up packet.
const LONGEST: usize = 10_000;
const SHORTEST: usize = 8;

/// A whole packet, length included, that says what the connection is for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Opening {
    Startup(Vec<u8>),
    Cancel(Vec<u8>),
}

/// Declines encryption, which a private socket does not need, until the real first packet comes.
/// `None` if the other side only looked whether somebody listens.
pub(crate) async fn read<S>(local: &mut S) -> io::Result<Option<Opening>>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    loop {
        let length = match local.read_u32().await {
            Ok(length) => length as usize,
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(None),
            Err(error) => return Err(error),
        };
        if !(SHORTEST..=LONGEST).contains(&length) {
            return Err(io::Error::new(ErrorKind::InvalidData, "not a PostgreSQL start-up packet"));
        }
        let mut packet = vec![0; length];
        packet[..4].copy_from_slice(&(length as u32).to_be_bytes());
        local.read_exact(&mut packet[4..]).await?;
        match u32::from_be_bytes([packet[4], packet[5], packet[6], packet[7]]) {
            SSL | GSS_ENCRYPTION => local.write_all(b"N").await?,
            CANCEL => return Ok(Some(Opening::Cancel(packet))),
            _ => return Ok(Some(Opening::Startup(packet))),
        }
    }
}

/// An ErrorResponse: "client unable to establish connection", with the error's own hint.
pub(crate) fn fatal(error: &Error) -> Vec<u8> {
    let mut fields = Vec::new();
    let mut field = |kind: u8, text: &str| {
        fields.push(kind);
        fields.extend(text.bytes().filter(|byte| *byte != 0));
        fields.push(0);
    };
    field(b'S', "FATAL");
    field(b'V', "FATAL");
    field(b'C', "08001");
    field(b'M', &error.to_string());
    if let Some(hint) = error.hint() {
        field(b'H', &hint);
    }
    fields.push(0);
    let mut packet = vec![b'E'];
    packet.extend((fields.len() as u32 + 4).to_be_bytes());
    packet.extend(fields);
    packet
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(code: u32, rest: &[u8]) -> Vec<u8> {
        let length = (8 + rest.len()) as u32;
        [&length.to_be_bytes()[..], &code.to_be_bytes(), rest].concat()
    }

    async fn read_from(bytes: &[u8]) -> (io::Result<Option<Opening>>, Vec<u8>) {
        let (mut near, mut far) = tokio::io::duplex(64 * 1024);
        near.write_all(bytes).await.unwrap();
        near.shutdown().await.unwrap();
        let opening = read(&mut far).await;
        drop(far);
        let mut answers = Vec::new();
        near.read_to_end(&mut answers).await.unwrap();
        (opening, answers)
    }

    #[tokio::test]
    async fn encryption_is_declined_before_the_startup_packet() {
        let startup = packet(196_608, b"user\0me\0\0");
        let bytes = [packet(GSS_ENCRYPTION, b""), packet(SSL, b""), startup.clone()].concat();
        let (opening, answers) = read_from(&bytes).await;
        assert_eq!(opening.unwrap(), Some(Opening::Startup(startup)));
        assert_eq!(answers, b"NN");
    }

    #[tokio::test]
    async fn cut_and_oversized_packets_are_errors_and_silence_is_not() {
        let startup = packet(196_608, b"user\0me\0\0");
        assert!(read_from(&startup[..10]).await.0.is_err());
        assert!(read_from(&[0, 0, 0, 7, 0, 0, 0]).await.0.is_err());
        assert!(read_from(&[0xff; 64]).await.0.is_err());
        assert_eq!(read_from(b"").await.0.unwrap(), None);
        let cancel = packet(CANCEL, &[1; 8]);
        assert_eq!(read_from(&cancel).await.0.unwrap(), Some(Opening::Cancel(cancel)));
    }
}
