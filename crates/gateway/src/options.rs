//! The `options` start-up parameter: finds our own settings in it and takes them out.
//!
//! It splits the text as PostgreSQL does (white space, backslash escapes, `-c name=value`,
//! `-cname=value`, `--name=value`), and leaves everything that is not ours byte for byte.

/// The prefix of the settings that are the gateway's own.
const OURS: &[u8] = b"lakeport.";
/// The setting that selects an instance.
pub(crate) const INSTANCE: &str = "lakeport.instance";

/// A value of `options`, taken apart.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Options {
    /// The values of `lakeport.instance`, in order.
    pub(crate) instances: Vec<String>,
    /// What PostgreSQL shall see; `None` when nothing is left.
    pub(crate) rest: Option<Vec<u8>>,
}

pub(crate) fn split(raw: &[u8]) -> Options {
    let words = words(raw);
    let mut instances = Vec::new();
    let mut kept: Vec<&[u8]> = Vec::new();
    let mut at = 0;
    while at < words.len() {
        let (setting, used) = setting(&words[at..]);
        match setting.filter(|(name, _)| is_ours(name)) {
            Some((name, value)) if name == INSTANCE.as_bytes() => {
                instances.push(String::from_utf8_lossy(value).into_owned());
            }
            Some(_) => {}
            None => kept.extend(words[at..at + used].iter().map(|word| word.raw)),
        }
        at += used;
    }
    let unchanged = kept.len() == words.len();
    let rest = if unchanged { raw.to_vec() } else { kept.join(&b' ') };
    Options { instances, rest: (!rest.is_empty()).then_some(rest) }
}

/// Whether a setting of this name is the gateway's own. Setting names know no case.
pub(crate) fn is_ours(name: &[u8]) -> bool {
    name.len() > OURS.len() && name[..OURS.len()].eq_ignore_ascii_case(OURS)
}

/// A setting's name, in lower case, and its value.
type Setting<'a> = (Vec<u8>, &'a [u8]);

/// The setting that the first words make, and how many words that takes.
fn setting<'a>(words: &'a [Word<'_>]) -> (Option<Setting<'a>>, usize) {
    let first = words[0].text.as_slice();
    if first == b"-c" {
        return match words.get(1) {
            Some(word) => (assignment(&word.text), 2),
            None => (None, 1),
        };
    }
    let text = first.strip_prefix(b"--").or_else(|| first.strip_prefix(b"-c"));
    (text.and_then(assignment), 1)
}

/// `name=value`, with the name as PostgreSQL compares it.
fn assignment(text: &[u8]) -> Option<Setting<'_>> {
    let equals = text.iter().position(|byte| *byte == b'=')?;
    let name = text[..equals].to_ascii_lowercase();
    Some((name, &text[equals + 1..]))
}

struct Word<'a> {
    raw: &'a [u8],
    /// Without the escapes.
    text: Vec<u8>,
}

fn words(raw: &[u8]) -> Vec<Word<'_>> {
    let mut words = Vec::new();
    let mut at = 0;
    while at < raw.len() {
        if is_space(raw[at]) {
            at += 1;
            continue;
        }
        let start = at;
        let mut text = Vec::new();
        while at < raw.len() && !is_space(raw[at]) {
            if raw[at] == b'\\' && at + 1 < raw.len() {
                at += 1;
            }
            text.push(raw[at]);
            at += 1;
        }
        words.push(Word { raw: &raw[start..at], text });
    }
    words
}

/// C's `isspace`, which includes the vertical tab.
fn is_space(byte: u8) -> bool {
    byte.is_ascii_whitespace() || byte == 0x0b
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(raw: &str, instances: &[&str], rest: Option<&str>) {
        let wanted = Options {
            instances: instances.iter().map(|name| (*name).to_owned()).collect(),
            rest: rest.map(|rest| rest.as_bytes().to_vec()),
        };
        assert_eq!(split(raw.as_bytes()), wanted, "{raw:?}");
    }

    #[test]
    fn every_spelling_of_the_instance_is_found_and_removed() {
        check("-c lakeport.instance=shop", &["shop"], None);
        check("-clakeport.instance=shop", &["shop"], None);
        check("--lakeport.instance=shop", &["shop"], None);
        check(" \t-c  LakePort.Instance=shop\x0b", &["shop"], None);
        check("-c lakeport.instance=a\\ b", &["a b"], None);
        check("-c lakeport.instance=a --lakeport.instance=b", &["a", "b"], None);
    }

    #[test]
    fn what_is_not_ours_stays_as_it_was() {
        let foreign = "-c  geqo=off \\-x --search-path=a\\ b\\\\c";
        check(foreign, &[], Some(foreign));
        check(
            "-c geqo=off -c lakeport.instance=s --a=b\\ c",
            &["s"],
            Some("-c geqo=off --a=b\\ c"),
        );
        check("-c lakeport.other=1 -d 5", &[], Some("-d 5"));
        check("-c name", &[], Some("-c name"));
        check("-c", &[], Some("-c"));
        check("trailing\\", &[], Some("trailing\\"));
        check("-c lakeport.=x", &[], Some("-c lakeport.=x"));
        check("", &[], None);
    }
}
