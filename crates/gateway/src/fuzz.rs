//! Whatever arrives before a login: nothing of it may do more than be refused.
//!
//! Properties over generated input, a second each. `LAKEPORT_FUZZ_SECONDS=600 cargo test --release
//! -p lakeport-gateway fuzz -- --nocapture` takes longer and says how many inputs were tried.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::FutureExt;

use crate::error::Refusal;
use crate::login::read_password;
use crate::message::{self, ErrorFields};
use crate::options;
use crate::proxy;
use crate::startup::{self, Packet, Startup};

/// Pieces that a start-up packet is made of, so that not all inputs end at the first check.
const PIECES: [&[u8]; 24] = [
    b"\0",
    b"\0\0",
    b"user\0",
    b"ann\0",
    b"database\0",
    b"options\0",
    b"-c lakeport.instance=shop",
    b"-clakeport.instance=shop",
    b"--lakeport.instance=a\\ b",
    b"-c LakePort.Instance=x",
    b"-c search_path=a,\\ b",
    b" -c ",
    b" \\ \t",
    b"\\",
    b"lakeport.instance\0",
    b"LAKEPORT.instance\0",
    b"lakeport.other\0",
    b"_pq_.grease\0",
    b"application_name\0",
    b"replication\0",
    b"\xff\xfe",
    b"\x00\x03\x00\x00",
    b"\x04\xd2\x16\x2f",
    b"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
];
const CODES: [u32; 8] = [
    0x3_0000,
    0x3_0002,
    0x3_ffff,
    0x2_0000,
    message::SSL_REQUEST,
    message::GSSENC_REQUEST,
    message::CANCEL_REQUEST,
    0,
];

/// Bytes that say themselves how they are to be put together: pieces, or what follows as it is.
fn shaped(input: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = input.iter();
    while let Some(&byte) = rest.next() {
        match PIECES.get(usize::from(byte)) {
            Some(piece) => out.extend_from_slice(piece),
            None if byte >= 0xe0 => out.extend(rest.by_ref().take(usize::from(byte & 0x0f))),
            None => out.push(byte),
        }
    }
    out
}

/// A packet whose length is right, or nearly so.
fn packet(code: u8, slip: u8, body: &[u8]) -> Vec<u8> {
    let code = CODES[usize::from(code) % CODES.len()];
    let length = body.len() as u32 + 8;
    let said = match slip {
        0..=200 => length,
        201..=220 => length.wrapping_sub(u32::from(slip - 200)),
        221..=240 => length + u32::from(slip - 220),
        _ => u32::MAX / u32::from(slip),
    };
    [&said.to_be_bytes()[..], &code.to_be_bytes(), body].concat()
}

fn seconds() -> Duration {
    let asked = std::env::var("LAKEPORT_FUZZ_SECONDS").ok().and_then(|text| text.parse().ok());
    Duration::from_secs(asked.unwrap_or(1))
}

/// Tries a property on inputs of all kinds.
fn check(name: &str, property: impl Fn(&[u8]) + std::panic::RefUnwindSafe) {
    let tried = AtomicU64::new(0);
    bolero::check!()
        .with_iterations(usize::MAX)
        .with_test_time(seconds())
        .with_max_len(2_048)
        .for_each(|input: &[u8]| {
            tried.fetch_add(1, Relaxed);
            property(input);
        });
    let tried = tried.load(Relaxed);
    eprintln!("{name}: {tried} inputs");
    assert!(tried > 100, "{name} was tried {tried} times only");
}

/// A reader of a slice never waits.
fn now<T>(future: impl Future<Output = T>) -> T {
    future.now_or_never().expect("it waits for nothing")
}

#[test]
fn fuzz_packets_are_read_exactly_or_refused() {
    check("packets", |input| {
        let (head, body) = input.split_at(input.len().min(2));
        let [code, slip] = *head else { return };
        let bytes = packet(code, slip, &shaped(body));
        let mut stream = &bytes[..];
        match now(startup::read(&mut stream)) {
            Ok(packet) => {
                let said = u32::from_be_bytes(*bytes.first_chunk().expect("a length")) as usize;
                assert_eq!(bytes.len() - stream.len(), said, "no byte more or less is read");
                if let Packet::Startup { major, minor, body } = packet {
                    understood(major, minor, &body);
                }
            }
            Err(Refusal::Disconnected(_) | Refusal::NoPacket(_)) => {}
            Err(other) => panic!("{other:?}"),
        }
    });
}

/// What is passed on is what was meant, and holds nothing that is ours.
fn understood(major: u16, minor: u16, body: &[u8]) {
    let Ok(startup) = Startup::parse(major, minor, body) else { return };
    assert!((1..=63).contains(&startup.user.len()) && startup.minor() <= 2);
    let mut passed_on = BytesMut::new();
    message::startup(&mut passed_on, &startup.parameters);
    let again = Startup::parse(3, 0, &passed_on[8..]).expect("what is passed on is well-formed");
    assert_eq!((&again.user, &again.parameters), (&startup.user, &startup.parameters));
    assert!(again.instances.is_empty() && again.protocol_options.is_empty());
}

#[test]
fn fuzz_options_lose_what_is_ours_and_nothing_else() {
    check("options", |input| {
        let raw: Vec<u8> = shaped(input).into_iter().filter(|byte| *byte != 0).collect();
        let split = options::split(&raw);
        let rest = split.rest.unwrap_or_default();
        let again = options::split(&rest);
        assert!(again.instances.is_empty());
        assert_eq!(again.rest.unwrap_or_default(), rest);
        if split.instances.is_empty() && !raw.to_ascii_lowercase().windows(9).any(is_ours) {
            assert_eq!(rest, raw);
        }
    });
}

fn is_ours(window: &[u8]) -> bool {
    window == b"lakeport."
}

#[test]
fn fuzz_passwords_are_whole_or_refused() {
    check("passwords", |input| {
        let raw = now(read_password(&mut &input[..]));
        let framed = [&b"p"[..], &(input.len() as u32 + 4).to_be_bytes(), input].concat();
        for password in [raw, now(read_password(&mut &framed[..]))].into_iter().flatten() {
            assert!(!password.contains(&0));
        }
        let whole = input.split_last().is_some_and(|(last, text)| *last == 0 && !text.contains(&0));
        assert_eq!(now(read_password(&mut &framed[..])).is_ok(), whole);
    });
}

#[test]
fn fuzz_proxy_headers_are_read_exactly_or_refused() {
    check("PROXY headers", |input| {
        assert!(now(proxy::read(&mut &input[..])).is_err() || input.len() >= 16);
        let (head, rest) = input.split_at(input.len().min(2));
        let [command, family] = *head else { return };
        let command = if command < 128 { 0x20 | (command & 1) } else { command };
        let family = if family < 128 { [0x11, 0x21][usize::from(family & 1)] } else { family };
        let bytes = [&proxy::tests::header(command, family, rest)[..], b"next"].concat();
        let mut stream = &bytes[..];
        if now(proxy::read(&mut stream)).is_ok() {
            assert_eq!(stream, b"next");
        }
    });
}

#[test]
fn fuzz_what_a_server_says_is_framed_or_refused() {
    check("messages of servers", |input| {
        let mut bytes = BytesMut::from(input);
        while let Ok(Some(message)) = message::take(&mut bytes) {
            assert!(message.raw().len() >= 5);
        }
        let mut out = BytesMut::new();
        let fields = ErrorFields::decode(input);
        let _ = (fields.sqlstate().len(), fields.message());
        fields.encode(&mut out);
        let whole = message::take(&mut out);
        assert!(input.len() > 60_000 || whole.is_ok_and(|message| message.is_some()));
        assert!(out.is_empty(), "nothing that a server says begins a message of its own");
    });
}

// --- A property for each message that the gateway writes -------------------------------------------

fn taken(mut out: BytesMut) -> (u8, Bytes) {
    let message = message::take(&mut out).expect("a valid length").expect("a whole message");
    assert!(out.is_empty());
    (message.kind(), Bytes::copy_from_slice(message.body()))
}

#[test]
fn cancel_keys_survive_their_way_to_the_client_and_back() {
    bolero::check!().with_type::<(u32, Vec<u8>)>().for_each(|(pid, secret): &(u32, Vec<u8>)| {
        let secret = &secret[..secret.len().min(256)];
        let mut key = BytesMut::new();
        message::backend_key_data(&mut key, *pid, secret);
        let (kind, body) = taken(key);
        assert_eq!((kind, &body[..4], &body[4..]), (b'K', &pid.to_be_bytes()[..], secret));

        let mut request = BytesMut::new();
        message::cancel_request(&mut request, *pid, secret);
        match now(startup::read(&mut &request[..])) {
            Ok(Packet::Cancel(read)) => {
                assert_eq!((read.pid, read.secret.as_slice()), (*pid, secret));
                assert!(secret.len() >= 4);
            }
            Err(_) => assert!(secret.len() < 4),
            Ok(_) => panic!("another packet"),
        }
    });
}

#[test]
fn errors_arrive_field_by_field_and_no_text_can_add_one() {
    bolero::check!().with_type::<(String, String, Option<String>)>().for_each(
        |(state, text, hint): &(String, String, Option<String>)| {
            let mut out = BytesMut::new();
            let fields = [
                (b'C', Some(state.as_str())),
                (b'M', Some(text.as_str())),
                (b'H', hint.as_deref()),
            ];
            message::error_response(&mut out, fields);
            let (kind, body) = taken(out);
            let read = ErrorFields::decode(&body);
            assert_eq!((kind, read.sqlstate()), (b'E', state.replace('\0', "").as_str()));
            assert_eq!(read.message(), text.replace('\0', ""));
            let ends = body.iter().filter(|byte| **byte == 0).count();
            assert_eq!(ends, 3 + usize::from(hint.is_some()));
        },
    );
}

#[test]
fn a_version_is_negotiated_in_the_form_of_the_protocol() {
    bolero::check!().with_type::<(u16, Vec<String>)>().for_each(
        |(minor, unknown): &(u16, Vec<String>)| {
            let mut out = BytesMut::new();
            message::negotiate_protocol_version(&mut out, *minor, unknown);
            if out.len() > 60_000 {
                return;
            }
            let (kind, body) = taken(out);
            assert_eq!(
                (kind, body[..4].to_vec()),
                (b'v', vec![0, 3, minor.to_be_bytes()[0], *minor as u8])
            );
            assert_eq!(body[4..8], (unknown.len() as u32).to_be_bytes());
            assert_eq!(body[8..].iter().filter(|byte| **byte == 0).count(), unknown.len());
        },
    );
}

#[test]
fn questions_have_no_room_for_anything_else() {
    let mut out = BytesMut::new();
    message::cleartext_password(&mut out);
    assert_eq!(taken(out), (b'R', Bytes::from_static(&[0, 0, 0, 3])));
    let mut out = BytesMut::new();
    message::authentication_ok(&mut out);
    let (kind, body) = taken(out);
    assert!(kind == b'R' && message::is_authentication_ok(&body));
}
