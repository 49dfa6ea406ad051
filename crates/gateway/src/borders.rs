//! Where messages end in the stream of a server.
//!
//! A message is a kind, a length that counts itself, and the rest. Nothing else of it is looked at, and
//! nothing is kept but a head that arrives in pieces: the cost is one step a message, whatever its size.

/// A kind and a length.
const HEAD: usize = 5;
/// The part of a head that its length counts.
const COUNTED: usize = 4;

/// A place in a stream of messages, which begins at a border.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Borders {
    /// How much of the message that has begun is still to come, once its head is whole.
    left: usize,
    head: [u8; HEAD],
    /// How many bytes of the next head there are.
    known: usize,
}

impl Borders {
    /// Goes on by these bytes. The last place in them where no message is under way, if there is one: 0 is
    /// before the first of them.
    pub(crate) fn follow(&mut self, bytes: &[u8]) -> Option<usize> {
        let mut at = self.complete_head(bytes)?;
        let mut last = None;
        loop {
            let rest = &bytes[at..];
            if self.left > rest.len() {
                self.left -= rest.len();
                return last;
            }
            let rest = &rest[self.left..];
            at += self.left;
            self.left = 0;
            last = Some(at);
            let Some(head) = rest.first_chunk() else {
                self.head[..rest.len()].copy_from_slice(rest);
                self.known = rest.len();
                return last;
            };
            self.left = behind(head);
            at += HEAD;
        }
    }

    /// Where in these bytes, which come next, the message ends that is under way.
    pub(crate) fn first(&self, bytes: &[u8]) -> Option<usize> {
        let mut place = *self;
        let end = place.complete_head(bytes)?.saturating_add(place.left);
        (end <= bytes.len()).then_some(end)
    }

    /// How many of the bytes belong to a head that was cut; `None` if it still is.
    fn complete_head(&mut self, bytes: &[u8]) -> Option<usize> {
        if self.known == 0 {
            return Some(0);
        }
        let taken = (HEAD - self.known).min(bytes.len());
        self.head[self.known..self.known + taken].copy_from_slice(&bytes[..taken]);
        self.known += taken;
        if self.known < HEAD {
            return None;
        }
        self.known = 0;
        self.left = behind(&self.head);
        Some(taken)
    }
}

/// How many bytes follow a head. No border follows one that no message can have.
fn behind(&[_, a, b, c, d]: &[u8; HEAD]) -> usize {
    let length = u32::from_be_bytes([a, b, c, d]) as usize;
    length.checked_sub(COUNTED).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(length: usize) -> Vec<u8> {
        let counted = (length + COUNTED) as u32;
        [&b"D"[..], &counted.to_be_bytes(), &vec![0xff; length]].concat()
    }

    #[test]
    fn borders_are_found_however_the_stream_is_cut() {
        bolero::check!().with_type::<(Vec<u8>, Vec<u8>)>().for_each(
            |(lengths, cuts): &(Vec<u8>, Vec<u8>)| {
                let messages = lengths.iter().map(|length| message(usize::from(*length)));
                let (mut stream, mut borders) = (Vec::new(), vec![0]);
                for message in messages {
                    stream.extend(message);
                    borders.push(stream.len());
                }
                let (mut follower, mut seen) = (Borders::default(), 0);
                for cut in cuts.iter().map(|cut| usize::from(*cut)).chain([usize::MAX]) {
                    let end = stream.len().min(seen + cut.min(stream.len()));
                    let mut here = borders.iter().filter(|border| (seen..=end).contains(*border));
                    let (first, piece) = (here.next(), &stream[seen..end]);
                    let last = here.next_back().or(first);
                    assert_eq!(follower.first(piece), first.map(|border| border - seen));
                    assert_eq!(follower.follow(piece), last.map(|border| border - seen));
                    seen = end;
                }
            },
        );
    }

    #[test]
    fn behind_an_impossible_length_there_is_no_border() {
        for length in 0..COUNTED as u32 {
            let mut borders = Borders::default();
            let bytes = [&b"D"[..], &length.to_be_bytes()].concat();
            assert_eq!(borders.follow(&bytes), Some(0));
            assert_eq!(borders.follow(&message(3)), None);
        }
    }
}
