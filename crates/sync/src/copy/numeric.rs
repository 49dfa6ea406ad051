//! Decimals in PostgreSQL's binary `numeric` form: base-10000 digits, a weight, and a display scale.

const POSITIVE: u16 = 0x0000;
const NEGATIVE: u16 = 0x4000;
/// 38 decimal digits, cut at the decimal point: at most ten groups before it and ten after it.
const MAX_GROUPS: usize = 20;

/// Appends the value `unscaled / 10^scale`, without a length before it.
pub(crate) fn push_numeric(out: &mut Vec<u8>, unscaled: i128, scale: u8) {
    let mut groups = [0u16; MAX_GROUPS];
    let count = split(unscaled.unsigned_abs(), scale, &mut groups);
    let fraction_groups = usize::from(scale).div_ceil(4);
    let trailing_zeros = groups[..count].iter().take_while(|group| **group == 0).count();
    let digits = &groups[trailing_zeros..count];
    let weight = if digits.is_empty() { 0 } else { count as i16 - 1 - fraction_groups as i16 };
    let sign = if unscaled < 0 { NEGATIVE } else { POSITIVE };

    out.extend_from_slice(&(digits.len() as u16).to_be_bytes());
    out.extend_from_slice(&weight.to_be_bytes());
    out.extend_from_slice(&sign.to_be_bytes());
    out.extend_from_slice(&u16::from(scale).to_be_bytes());
    for digit in digits.iter().rev() {
        out.extend_from_slice(&digit.to_be_bytes());
    }
}

/// Writes base-10000 groups, the least significant first, aligned to the decimal point; returns how many.
fn split(magnitude: u128, scale: u8, groups: &mut [u16; MAX_GROUPS]) -> usize {
    let mut count = 0;
    let mut rest = magnitude;
    // The last group of the fraction may be short: 1.5 is 1 and 5000.
    let short = u32::from(scale % 4);
    if short > 0 {
        let unit = 10u128.pow(short);
        groups[count] = (rest % unit) as u16 * 10u16.pow(4 - short);
        count += 1;
        rest /= unit;
    }
    // Division by a constant is several times cheaper on 64 bits.
    while rest > u128::from(u64::MAX) {
        groups[count] = (rest % 10_000) as u16;
        count += 1;
        rest /= 10_000;
    }
    let mut rest = rest as u64;
    while rest > 0 {
        groups[count] = (rest % 10_000) as u16;
        count += 1;
        rest /= 10_000;
    }
    count
}

/// Appends the value as decimal text with all `scale` digits.
pub(crate) fn push_decimal_text(out: &mut Vec<u8>, unscaled: i128, scale: u8) {
    if unscaled < 0 {
        out.push(b'-');
    }
    let scale = usize::from(scale);
    let digits = format!("{:0width$}", unscaled.unsigned_abs(), width = scale + 1);
    let (whole, fraction) = digits.split_at(digits.len() - scale);
    out.extend_from_slice(whole.as_bytes());
    if scale > 0 {
        out.push(b'.');
        out.extend_from_slice(fraction.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads the binary form back by the definition of `numeric`: the sum of digit × 10000^position.
    fn decode(bytes: &[u8]) -> (i128, u16) {
        let word = |at: usize| u16::from_be_bytes([bytes[at], bytes[at + 1]]);
        let (count, weight, scale) = (word(0) as usize, word(2) as i16, word(6));
        assert_eq!(bytes.len(), 8 + 2 * count, "length");
        let mut text = String::new();
        let first = weight.max(-1) + 1;
        for position in (-(i32::from(scale.div_ceil(4)))..i32::from(first)).rev() {
            let index = i32::from(weight) - position;
            let in_range = index >= 0 && (index as usize) < count;
            let digit = if in_range { word(8 + 2 * index as usize) } else { 0 };
            text.push_str(&format!("{digit:04}"));
        }
        let padding = usize::from(scale.div_ceil(4) * 4 - scale);
        let (kept, padded) = text.split_at(text.len() - padding);
        assert!(padded.bytes().all(|digit| digit == b'0'), "digits beyond the scale: {text}");
        let magnitude: i128 = if kept.is_empty() { 0 } else { kept.parse().unwrap() };
        (if word(4) == NEGATIVE { -magnitude } else { magnitude }, scale)
    }

    #[test]
    fn every_scale_and_length_round_trips() {
        let mut value: i128 = 7;
        for length in 1..=38u32 {
            value = value % 10i128.pow(36) * 31 + i128::from(length);
            let limited = value % 10i128.pow(length);
            for scale in 0..=38u8 {
                for unscaled in [limited, -limited, 10i128.pow(length) - 1, 10i128.pow(length - 1)]
                {
                    let mut out = Vec::new();
                    push_numeric(&mut out, unscaled, scale);
                    assert_eq!(decode(&out), (unscaled, u16::from(scale)));
                }
            }
        }
    }

    #[test]
    fn zero_has_no_digits_and_keeps_its_scale() {
        let mut out = Vec::new();
        push_numeric(&mut out, 0, 3);
        assert_eq!(out, [0, 0, 0, 0, 0, 0, 0, 3]);
    }

    #[test]
    fn text_keeps_every_digit() {
        let text = |unscaled, scale| {
            let mut out = Vec::new();
            push_decimal_text(&mut out, unscaled, scale);
            String::from_utf8(out).unwrap()
        };
        assert_eq!(text(5, 2), "0.05");
        assert_eq!(text(-12_345, 3), "-12.345");
        assert_eq!(text(0, 0), "0");
        assert_eq!(text(10i128.pow(38) - 1, 38), format!("0.{}", "9".repeat(38)));
    }
}
