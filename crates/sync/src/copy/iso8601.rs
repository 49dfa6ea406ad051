//! Dates and timestamps as ISO 8601 text, for values inside JSON.

use std::io::Write as _;

const MICROS_A_DAY: i64 = 86_400_000_000;

/// `2020-02-29`, from days since 1970-01-01.
pub(crate) fn push_date(out: &mut Vec<u8>, days: i32) {
    push_days(out, i64::from(days));
}

/// `2020-02-29T12:00:00.500000Z`, from microseconds since 1970-01-01; the `Z` only for instants.
pub(crate) fn push_timestamp(out: &mut Vec<u8>, micros: i64, is_instant: bool) {
    push_days(out, micros.div_euclid(MICROS_A_DAY));
    let in_day = micros.rem_euclid(MICROS_A_DAY);
    let (seconds, fraction) = (in_day / 1_000_000, in_day % 1_000_000);
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    // Writing to a Vec cannot fail, here and below.
    let _ = write!(out, "T{hour:02}:{minute:02}:{second:02}");
    if fraction != 0 {
        let _ = write!(out, ".{fraction:06}");
    }
    if is_instant {
        out.push(b'Z');
    }
}

fn push_days(out: &mut Vec<u8>, days: i64) {
    let (year, month, day) = civil(days);
    let _ = match year {
        0..=9999 => write!(out, "{year:04}-{month:02}-{day:02}"),
        // ISO 8601 wants a sign on years outside four digits.
        _ => write!(out, "{year:+05}-{month:02}-{day:02}"),
    };
}

/// The proleptic Gregorian date of a day count. Years are reckoned from March, so that a leap day is
/// the last day of its year, and the month follows from the day of the year by one straight line.
fn civil(days: i64) -> (i64, i64, i64) {
    const DAYS_TO_MARCH_OF_YEAR_0: i64 = 719_468;
    const DAYS_IN_400_YEARS: i64 = 146_097;
    let shifted = days + DAYS_TO_MARCH_OF_YEAR_0;
    let (era, day_of_era) =
        (shifted.div_euclid(DAYS_IN_400_YEARS), shifted.rem_euclid(DAYS_IN_400_YEARS));
    let leap_days = day_of_era / 1460 - day_of_era / 36_524 + day_of_era / 146_096;
    let year_of_era = (day_of_era - leap_days) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_days() {
        for (days, date) in [
            (0, (1970, 1, 1)),
            (-1, (1969, 12, 31)),
            (11_016, (2000, 2, 29)),
            (-719_162, (1, 1, 1)),
            (2_932_896, (9999, 12, 31)),
        ] {
            assert_eq!(civil(days), date);
        }
    }

    #[test]
    fn text_forms() {
        let text = |micros, is_instant| {
            let mut out = Vec::new();
            push_timestamp(&mut out, micros, is_instant);
            String::from_utf8(out).unwrap()
        };
        assert_eq!(text(0, true), "1970-01-01T00:00:00Z");
        assert_eq!(text(-1, false), "1969-12-31T23:59:59.999999");
        let mut out = Vec::new();
        push_date(&mut out, 2_932_897);
        assert_eq!(out, b"+10000-01-01");
    }
}
