//! The first packet of a connection: SSLRequest, GSSENCRequest, CancelRequest or StartupMessage.
//!
//! Everything in it is untrusted: lengths are checked before a byte is reserved or awaited, and what no
//! packet is gets no answer. What else is wrong is answered as PostgreSQL answers it.

use tokio::io::{AsyncRead, AsyncReadExt};

use crate::error::Refusal;
use crate::message;
use crate::options;

/// The longest packet, its length word included, as PostgreSQL has it.
const MAX_PACKET: usize = 10_004;
/// A length word and a code.
const HEAD: usize = 8;
/// Head, process id, and a secret of 4 to 256 bytes.
const CANCEL_LENGTHS: std::ops::RangeInclusive<usize> = 16..=12 + 256;
/// PostgreSQL cuts longer names off, so that they would name another role.
const MAX_ROLE_NAME: usize = 63;
/// A parameter that turns the connection into one for replication.
const REPLICATION: &str = "replication";
/// The newest minor version of protocol 3 that the gateway speaks.
const NEWEST_MINOR: u16 = 2;

pub(crate) enum Packet {
    Ssl,
    GssEnc,
    Cancel(CancelRequest),
    Startup { major: u16, minor: u16, body: Vec<u8> },
}

pub(crate) struct CancelRequest {
    pub(crate) pid: u32,
    pub(crate) secret: Vec<u8>,
}

/// Reads one packet, and not a byte more.
pub(crate) async fn read<S: AsyncRead + Unpin>(stream: &mut S) -> Result<Packet, Refusal> {
    let length = stream.read_u32().await? as usize;
    if !(HEAD..=MAX_PACKET).contains(&length) {
        return Err(Refusal::NoPacket("invalid length of startup packet"));
    }
    let code = stream.read_u32().await?;
    if code == message::CANCEL_REQUEST && !CANCEL_LENGTHS.contains(&length) {
        return Err(Refusal::NoPacket("invalid length of cancel request"));
    }
    let mut body = vec![0; length - HEAD];
    stream.read_exact(&mut body).await?;
    Ok(packet(code, body))
}

fn packet(code: u32, body: Vec<u8>) -> Packet {
    match (code, body.split_first_chunk::<4>()) {
        (message::SSL_REQUEST, _) => Packet::Ssl,
        (message::GSSENC_REQUEST, _) => Packet::GssEnc,
        (message::CANCEL_REQUEST, Some((pid, secret))) => {
            Packet::Cancel(CancelRequest { pid: u32::from_be_bytes(*pid), secret: secret.to_vec() })
        }
        _ => Packet::Startup { major: (code >> 16) as u16, minor: code as u16, body },
    }
}

/// A StartupMessage, understood.
#[derive(Debug)]
pub(crate) struct Startup {
    /// The minor version that the client asked for.
    asked_minor: u16,
    /// The role that logs in.
    pub(crate) user: String,
    /// The names that the client gave to the instance it wants.
    pub(crate) instances: Vec<String>,
    /// What PostgreSQL shall see: everything but what is ours and the protocol options.
    pub(crate) parameters: Vec<(String, Vec<u8>)>,
    /// The `_pq_.` protocol options; the gateway knows none of them.
    pub(crate) protocol_options: Vec<String>,
}

impl Startup {
    pub(crate) fn parse(major: u16, minor: u16, body: &[u8]) -> Result<Self, Refusal> {
        if major != 3 {
            return Err(Refusal::Protocol { major, minor });
        }
        let mut startup = Self {
            asked_minor: minor,
            user: String::new(),
            instances: Vec::new(),
            parameters: Vec::new(),
            protocol_options: Vec::new(),
        };
        for (name, value) in pairs(body)? {
            startup.add(name, value)?;
        }
        startup.user = startup.user()?;
        if startup.get(REPLICATION).is_some_and(asks_for_replication) {
            return Err(Refusal::Replication);
        }
        Ok(startup)
    }

    /// The minor version that will be spoken.
    pub(crate) fn minor(&self) -> u16 {
        self.asked_minor.min(NEWEST_MINOR)
    }

    /// Whether the client asked for more than it gets, and so must be told.
    pub(crate) fn needs_negotiation(&self) -> bool {
        self.asked_minor > NEWEST_MINOR || !self.protocol_options.is_empty()
    }

    /// How many bytes a cancel secret has in this version.
    pub(crate) fn cancel_secret_length(&self) -> usize {
        if self.minor() >= 2 { 32 } else { 4 }
    }

    /// What the client calls itself, for the log: PostgreSQL cuts it off at the same length.
    pub(crate) fn application(&self) -> Option<String> {
        let name = self.get("application_name").filter(|name| !name.is_empty())?;
        Some(String::from_utf8_lossy(&name[..name.len().min(MAX_ROLE_NAME)]).into_owned())
    }

    fn add(&mut self, name: &str, value: &[u8]) -> Result<(), Refusal> {
        if name.starts_with("_pq_.") {
            self.protocol_options.push(name.to_owned());
        } else if options::is_ours(name.as_bytes()) {
            if name.eq_ignore_ascii_case(options::INSTANCE) {
                self.instances.push(String::from_utf8_lossy(value).into_owned());
            }
        } else if self.get(name).is_some() {
            return Err(Refusal::Malformed("a parameter occurs twice in the startup packet"));
        } else if name == "options" {
            let options = options::split(value);
            self.instances.extend(options.instances);
            // An empty value keeps its place, so that a second `options` is seen as such.
            self.parameters.push((name.to_owned(), options.rest.unwrap_or_default()));
        } else {
            self.parameters.push((name.to_owned(), value.to_vec()));
        }
        Ok(())
    }

    /// Has the session be another role than the one that was asked for.
    pub(crate) fn act_as(&mut self, role: String) {
        for (name, value) in &mut self.parameters {
            if name == "user" {
                *value = role.clone().into_bytes();
            }
        }
        self.user = role;
    }

    fn get(&self, wanted: &str) -> Option<&[u8]> {
        self.parameters.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.as_slice())
    }

    fn user(&self) -> Result<String, Refusal> {
        let user = self.get("user").filter(|user| !user.is_empty()).ok_or(Refusal::NoUser)?;
        if user.len() > MAX_ROLE_NAME {
            return Err(Refusal::LongUser);
        }
        String::from_utf8(user.to_vec())
            .map_err(|_| Refusal::Malformed("the user name is not valid UTF-8"))
    }
}

/// As PostgreSQL reads it: `database`, or a word for true, which may be cut short. Whatever else it is,
/// PostgreSQL judges.
fn asks_for_replication(value: &[u8]) -> bool {
    let value = value.to_ascii_lowercase();
    let begins = |word: &[u8]| !value.is_empty() && word.starts_with(&value);
    value == b"database" || value == b"on" || value == b"1" || begins(b"true") || begins(b"yes")
}

/// The name and value pairs, up to the empty name that must be the last byte.
fn pairs(mut body: &[u8]) -> Result<Vec<(&str, &[u8])>, Refusal> {
    const LAYOUT: Refusal =
        Refusal::Malformed("invalid startup packet layout: expected terminator as last byte");
    let mut pairs = Vec::new();
    loop {
        let name = take_cstr(&mut body).ok_or(LAYOUT)?;
        if name.is_empty() {
            return if body.is_empty() { Ok(pairs) } else { Err(LAYOUT) };
        }
        let name = std::str::from_utf8(name)
            .map_err(|_| Refusal::Malformed("a parameter name is not valid UTF-8"))?;
        pairs.push((name, take_cstr(&mut body).ok_or(LAYOUT)?));
    }
}

fn take_cstr<'a>(input: &mut &'a [u8]) -> Option<&'a [u8]> {
    let end = input.iter().position(|byte| *byte == 0)?;
    let (text, rest) = input.split_at(end);
    *input = &rest[1..];
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(pairs: &[(&str, &str)]) -> Vec<u8> {
        let mut body: Vec<u8> = pairs
            .iter()
            .flat_map(|(name, value)| format!("{name}\0{value}\0").into_bytes())
            .collect();
        body.push(0);
        body
    }

    fn refused(body: &[u8]) -> String {
        Startup::parse(3, 0, body).unwrap_err().to_string()
    }

    #[test]
    fn ours_and_protocol_options_are_not_forwarded() {
        let startup = Startup::parse(
            3,
            9,
            &body(&[
                ("user", "ann"),
                ("_pq_.grease", "x"),
                ("lakeport.instance", "a"),
                ("options", "-c lakeport.instance=b -c geqo=off"),
                ("application_name", "t"),
            ]),
        )
        .unwrap();
        assert_eq!(startup.user, "ann");
        assert_eq!(startup.instances, ["a", "b"]);
        assert_eq!(startup.protocol_options, ["_pq_.grease"]);
        assert_eq!(
            startup.parameters,
            [
                ("user".to_owned(), b"ann".to_vec()),
                ("options".to_owned(), b"-c geqo=off".to_vec()),
                ("application_name".to_owned(), b"t".to_vec()),
            ]
        );
        assert!(startup.needs_negotiation());
        assert_eq!((startup.minor(), startup.cancel_secret_length()), (2, 32));
    }

    #[test]
    fn versions_decide_the_secret() {
        let plain = body(&[("user", "ann")]);
        for (minor, secret) in [(0, 4), (1, 4), (2, 32)] {
            let startup = Startup::parse(3, minor, &plain).unwrap();
            assert_eq!(startup.cancel_secret_length(), secret);
            assert!(!startup.needs_negotiation());
        }
        assert!(matches!(Startup::parse(2, 0, &plain), Err(Refusal::Protocol { major: 2, .. })));
    }

    #[test]
    fn replication_is_refused_in_every_spelling_and_nothing_else_is() {
        let asked = |value| Startup::parse(3, 0, &body(&[("user", "ann"), ("replication", value)]));
        for value in ["database", "true", "T", "tr", "yes", "y", "ON", "1"] {
            assert!(matches!(asked(value), Err(Refusal::Replication)), "{value}");
        }
        for value in ["", "false", "f", "no", "off", "0", "o", "Database!", "truely"] {
            let kept = asked(value).unwrap().parameters;
            assert_eq!(kept[1], (REPLICATION.to_owned(), value.as_bytes().to_vec()), "{value}");
        }
    }

    #[test]
    fn broken_layouts_are_refused() {
        let whole = body(&[("user", "ann"), ("database", "d")]);
        for cut in 0..whole.len() {
            Startup::parse(3, 0, &whole[..cut]).unwrap_err();
        }
        let mut long = whole.clone();
        long.push(0);
        assert!(refused(&long).contains("terminator"));
        assert!(refused(&body(&[("user", "a"), ("user", "b")])).contains("twice"));
        assert!(
            refused(&body(&[("user", "a"), ("options", ""), ("options", "x")])).contains("twice")
        );
        assert!(refused(&body(&[("database", "d")])).contains("no PostgreSQL user name"));
        assert!(refused(&body(&[("user", "")])).contains("no PostgreSQL user name"));
        assert!(refused(&body(&[("user", &"x".repeat(64))])).contains("63 bytes"));
        assert!(refused(b"us\xffr\0ann\0\0").contains("UTF-8"));
        assert!(refused(b"user\0an\xff\0\0").contains("UTF-8"));
    }
}
