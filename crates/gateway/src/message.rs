//! The messages of the PostgreSQL protocol that the gateway reads and writes itself.
//!
//! Encoding and framing only: no I/O, no decisions. What flows after login is never parsed here.

use bytes::{Buf, BufMut, Bytes, BytesMut};

use crate::error::INVALID_AUTHORIZATION;

pub(crate) const PROTOCOL_3_0: u32 = 3 << 16;
pub(crate) const CANCEL_REQUEST: u32 = (1234 << 16) | 5678;
pub(crate) const SSL_REQUEST: u32 = (1234 << 16) | 5679;
pub(crate) const GSSENC_REQUEST: u32 = (1234 << 16) | 5680;

pub(crate) const AUTHENTICATION: u8 = b'R';
pub(crate) const BACKEND_KEY_DATA: u8 = b'K';
pub(crate) const ERROR_RESPONSE: u8 = b'E';
pub(crate) const NOTICE_RESPONSE: u8 = b'N';
pub(crate) const PARAMETER_STATUS: u8 = b'S';
pub(crate) const PASSWORD: u8 = b'p';
pub(crate) const READY_FOR_QUERY: u8 = b'Z';
const NEGOTIATE_PROTOCOL_VERSION: u8 = b'v';

const AUTHENTICATION_OK: u32 = 0;
const CLEARTEXT_PASSWORD: u32 = 3;

/// A server that sends more than this in one message of its login is not taken seriously.
const MAX_LOGIN_MESSAGE: usize = 64 * 1024;

pub(crate) fn cleartext_password(out: &mut BytesMut) {
    frame(out, AUTHENTICATION, |body| body.put_u32(CLEARTEXT_PASSWORD));
}

pub(crate) fn authentication_ok(out: &mut BytesMut) {
    frame(out, AUTHENTICATION, |body| body.put_u32(AUTHENTICATION_OK));
}

pub(crate) fn is_authentication_ok(body: &[u8]) -> bool {
    body == AUTHENTICATION_OK.to_be_bytes()
}

/// Names the version that will be spoken and the protocol options that will not.
pub(crate) fn negotiate_protocol_version(out: &mut BytesMut, minor: u16, unknown: &[String]) {
    frame(out, NEGOTIATE_PROTOCOL_VERSION, |body| {
        body.put_u32(PROTOCOL_3_0 | u32::from(minor));
        body.put_u32(unknown.len() as u32);
        for option in unknown {
            put_cstr(body, option.as_bytes());
        }
    });
}

pub(crate) fn backend_key_data(out: &mut BytesMut, pid: u32, secret: &[u8]) {
    frame(out, BACKEND_KEY_DATA, |body| {
        body.put_u32(pid);
        body.put_slice(secret);
    });
}

pub(crate) fn error_response<const N: usize>(out: &mut BytesMut, fields: [(u8, Option<&str>); N]) {
    frame(out, ERROR_RESPONSE, |body| {
        for (kind, value) in fields {
            if let Some(value) = value {
                body.put_u8(kind);
                put_cstr(body, value.as_bytes());
            }
        }
        body.put_u8(0);
    });
}

/// An error as protocols before 3.0 had it: a text, with neither length nor fields.
pub(crate) fn old_error(out: &mut BytesMut, text: &str) {
    out.put_u8(ERROR_RESPONSE);
    put_cstr(out, format!("FATAL:  {text}\n").as_bytes());
}

pub(crate) fn startup(out: &mut BytesMut, parameters: &[(String, Vec<u8>)]) {
    packet(out, PROTOCOL_3_0, |body| {
        for (name, value) in parameters {
            put_cstr(body, name.as_bytes());
            put_cstr(body, value);
        }
        body.put_u8(0);
    });
}

pub(crate) fn cancel_request(out: &mut BytesMut, pid: u32, secret: &[u8]) {
    packet(out, CANCEL_REQUEST, |body| {
        body.put_u32(pid);
        body.put_slice(secret);
    });
}

/// One whole message: its raw bytes, to pass on as they are.
pub(crate) struct Message {
    raw: Bytes,
}

impl Message {
    pub(crate) fn kind(&self) -> u8 {
        self.raw[0]
    }

    pub(crate) fn body(&self) -> &[u8] {
        &self.raw[5..]
    }

    pub(crate) fn raw(&self) -> &[u8] {
        &self.raw
    }
}

/// A length that no message can have.
#[derive(Debug)]
pub(crate) struct BadLength;

/// Takes the first whole message out of `input`; `None` while it is not complete.
pub(crate) fn take(input: &mut BytesMut) -> Result<Option<Message>, BadLength> {
    let Some((&[_, a, b, c, d], _)) = input.split_first_chunk::<5>() else { return Ok(None) };
    let length = u32::from_be_bytes([a, b, c, d]) as usize;
    if !(4..=MAX_LOGIN_MESSAGE).contains(&length) {
        return Err(BadLength);
    }
    if input.len() < 1 + length {
        return Ok(None);
    }
    Ok(Some(Message { raw: input.split_to(1 + length).freeze() }))
}

/// What a server said in an ErrorResponse.
#[derive(Debug)]
pub(crate) struct ErrorFields(Vec<(u8, Bytes)>);

impl ErrorFields {
    pub(crate) fn decode(body: &[u8]) -> Self {
        let mut rest = Bytes::copy_from_slice(body);
        let mut fields = Vec::new();
        while rest.has_remaining() {
            let kind = rest.get_u8();
            let Some(end) = rest.iter().position(|byte| *byte == 0) else { break };
            fields.push((kind, rest.split_to(end)));
            rest.advance(1);
        }
        Self(fields)
    }

    pub(crate) fn encode(&self, out: &mut BytesMut) {
        frame(out, ERROR_RESPONSE, |body| {
            for (kind, value) in &self.0 {
                body.put_u8(*kind);
                put_cstr(body, value);
            }
            body.put_u8(0);
        });
    }

    pub(crate) fn message(&self) -> String {
        String::from_utf8_lossy(self.get(b'M')).into_owned()
    }

    pub(crate) fn sqlstate(&self) -> &str {
        std::str::from_utf8(self.get(b'C')).unwrap_or_default()
    }

    /// The server's files have no line that lets the gateway be this role. Its words are about a socket
    /// and a missing encryption, which are the gateway's and not the client's.
    pub(crate) fn is_shut_out(&self) -> bool {
        let message = self.message();
        self.sqlstate() == INVALID_AUTHORIZATION
            && (message.starts_with("Peer authentication failed")
                || message.contains("pg_hba.conf"))
    }

    fn get(&self, wanted: u8) -> &[u8] {
        self.0.iter().find(|(kind, _)| *kind == wanted).map_or(&[], |(_, value)| value)
    }
}

/// A message with its kind and length; the length is filled in afterwards.
fn frame(out: &mut BytesMut, kind: u8, body: impl FnOnce(&mut BytesMut)) {
    out.put_u8(kind);
    sized(out, body);
}

/// A packet of the start-up phase: a length and a code, but no kind.
fn packet(out: &mut BytesMut, code: u32, body: impl FnOnce(&mut BytesMut)) {
    sized(out, |out| {
        out.put_u32(code);
        body(out);
    });
}

fn sized(out: &mut BytesMut, body: impl FnOnce(&mut BytesMut)) {
    let start = out.len();
    out.put_u32(0);
    body(out);
    let length = (out.len() - start) as u32;
    out[start..start + 4].copy_from_slice(&length.to_be_bytes());
}

/// A NUL inside a text would end it early and shift everything behind it.
fn put_cstr(out: &mut BytesMut, text: &[u8]) {
    out.extend(text.iter().filter(|byte| **byte != 0));
    out.put_u8(0);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_taken_only_when_it_is_whole() {
        let mut whole = BytesMut::new();
        backend_key_data(&mut whole, 7, &[1, 2, 3, 4]);
        for cut in 0..whole.len() {
            let mut part = BytesMut::from(&whole[..cut]);
            assert!(take(&mut part).unwrap().is_none(), "cut at {cut}");
        }
        whole.put_u8(b'Z');
        let message = take(&mut whole).unwrap().unwrap();
        assert_eq!((message.kind(), message.body()), (b'K', &[0, 0, 0, 7, 1, 2, 3, 4][..]));
        assert_eq!(&whole[..], b"Z");
    }

    #[test]
    fn impossible_lengths_are_refused_before_anything_is_reserved() {
        for length in [0u32, 3, 65_537, u32::MAX] {
            let mut input = BytesMut::from(&b"S"[..]);
            input.put_u32(length);
            assert!(take(&mut input).is_err(), "{length}");
        }
    }

    #[test]
    fn an_error_without_sqlstate_or_end_is_still_readable() {
        let fields = ErrorFields::decode(b"Mboo\0Dhal");
        assert_eq!((fields.sqlstate(), fields.message().as_str()), ("", "boo"));
    }

    #[test]
    fn only_the_servers_own_files_shut_a_role_out() {
        let of = |state: &str, message: &str| {
            ErrorFields::decode(format!("SFATAL\0C{state}\0M{message}\0\0").as_bytes())
        };
        let rejected =
            "pg_hba.conf rejects connection for host \"[local]\", user \"x\", no encryption";
        for message in ["Peer authentication failed for user \"x\"", rejected] {
            assert!(of("28000", message).is_shut_out(), "{message}");
            assert!(!of("28P01", message).is_shut_out(), "{message}");
        }
        assert!(!of("28000", "role \"x\" does not exist").is_shut_out());
    }
}
