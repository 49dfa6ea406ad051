//! The calendar that old versions of Spark wrote in: Julian before 1582-10-15, Gregorian from then on. Delta's
//! is Gregorian throughout.
//!
//! Owns: which files were written so, as their footers say, and the way from the one calendar to the other,
//! such that the year, the month and the day stay as they were written. A timestamp is of a day only in a
//! time zone, that of the writer; Java's old time zones moreover knew no local mean time, which differs
//! from a zone's standard time before 1900.

use std::sync::Arc;

use delta_kernel::parquet::file::metadata::KeyValue;
use jiff::Timestamp;
use jiff::tz::{AmbiguousOffset, Offset, TimeZone};

/// The Gregorian calendar begins, in days since 1970-01-01.
const GREGORIAN: i64 = -141_427;
const MICROS_A_SECOND: i64 = 1_000_000;
const MICROS_A_DAY: i64 = 86_400 * MICROS_A_SECOND;
/// 1900-01-01: since then, old and new time zones agree.
const ZONES_AGREE: i64 = -2_208_988_800 * MICROS_A_SECOND;
/// 1970-01-01 as a Julian day.
const EPOCH_JULIAN: i64 = 2_440_588;

const VERSION: &str = "org.apache.spark.version";
const ZONE: &str = "org.apache.spark.timeZone";

/// The calendars of a file.
#[derive(Debug, Clone, Default)]
pub(super) struct Calendar {
    /// Dates and timestamps are in the old one.
    dates: bool,
    /// So are timestamps of 96 bits.
    int96: bool,
    zone: Option<Arc<str>>,
}

/// What is to be done to days or microseconds.
#[derive(Debug, Clone)]
pub(super) struct Rebase {
    zone: Zone,
}

#[derive(Debug, Clone)]
enum Zone {
    Utc,
    Other { zone: TimeZone, standard: Offset },
    Unknown(Arc<str>),
}

impl Calendar {
    /// By the rules of Spark: old versions wrote in the old calendar, later ones say so if they did, and
    /// others never do.
    pub(super) fn of(footer: Option<&Vec<KeyValue>>) -> Self {
        let find = |key: &str| footer?.iter().find(|pair| pair.key == key);
        let value = |key: &str| find(key)?.value.as_deref();
        let Some(version) = value(VERSION) else { return Self::default() };
        let has = |key: &str| find(key).is_some();
        Self {
            dates: version < "3.0.0" || has("org.apache.spark.legacyDateTime"),
            int96: version < "3.1.0" || has("org.apache.spark.legacyINT96"),
            zone: value(ZONE).map(Arc::from),
        }
    }

    pub(super) fn of_dates(&self) -> Option<Rebase> {
        self.dates.then_some(Rebase { zone: Zone::Utc })
    }

    pub(super) fn of_timestamps(&self, int96: bool) -> Option<Rebase> {
        let old = if int96 { self.int96 } else { self.dates };
        old.then(|| Rebase { zone: Zone::of(self.zone.as_ref()) })
    }
}

impl Zone {
    /// Files of before 3.0 do not name theirs; Spark takes the reader's, which is UTC here.
    fn of(name: Option<&Arc<str>>) -> Self {
        let Some(name) = name else { return Self::Utc };
        if matches!(&**name, "UTC" | "Z" | "GMT" | "Etc/UTC" | "Etc/GMT" | "+00:00") {
            return Self::Utc;
        }
        match TimeZone::get(name).ok().or_else(|| fixed(name)) {
            Some(zone) => Self::Other { standard: standard(&zone), zone },
            None => Self::Unknown(Arc::clone(name)),
        }
    }
}

/// `+02:30`
fn fixed(offset: &str) -> Option<TimeZone> {
    let (sign, digits) = match offset.strip_prefix('-') {
        Some(digits) => (-1, digits),
        None => (1, offset.strip_prefix('+')?),
    };
    let (hours, minutes) = digits.split_once(':')?;
    let seconds = hours.parse::<i32>().ok()? * 3600 + minutes.parse::<i32>().ok()? * 60;
    Offset::from_seconds(sign * seconds).ok().map(TimeZone::fixed)
}

/// What Java's old time zones took a zone to be before 1900: its standard time of today.
fn standard(zone: &TimeZone) -> Offset {
    const WINTER_AND_SUMMER_2037: [i64; 2] = [2_114_380_800, 2_130_019_200];
    let offsets = WINTER_AND_SUMMER_2037.map(|second| {
        zone.to_offset(Timestamp::from_second(second).unwrap_or(Timestamp::UNIX_EPOCH))
    });
    offsets.into_iter().min().unwrap_or(Offset::UTC)
}

impl Rebase {
    /// Days since 1970-01-01.
    pub(super) fn day(days: i32) -> i32 {
        // The calendars are never further apart than 200 years.
        i32::try_from(gregorian(i64::from(days))).unwrap_or(days)
    }

    /// Microseconds since 1970-01-01; the zone's name where it is unknown and matters.
    pub(super) fn micros(&self, micros: i64) -> Result<i64, Arc<str>> {
        let first = GREGORIAN * MICROS_A_DAY;
        match &self.zone {
            Zone::Utc if micros >= first => Ok(micros),
            _ if micros >= ZONES_AGREE => Ok(micros),
            Zone::Utc => Ok(written(micros)),
            Zone::Other { zone, standard } => {
                let shown = written(micros.saturating_add(micros_of(*standard)));
                Ok(shown.saturating_sub(micros_of(offset_at(zone, *standard, shown))))
            }
            Zone::Unknown(name) => Err(Arc::clone(name)),
        }
    }
}

fn micros_of(offset: Offset) -> i64 {
    i64::from(offset.seconds()) * MICROS_A_SECOND
}

/// The same reading of calendar and clock, in the Gregorian calendar.
fn written(local: i64) -> i64 {
    let day = gregorian(local.div_euclid(MICROS_A_DAY));
    day.saturating_mul(MICROS_A_DAY).saturating_add(local.rem_euclid(MICROS_A_DAY))
}

/// The offset from UTC where clocks show this. Where they were set back, and show it twice, it is the zone's
/// standard time that was written, or else the first.
fn offset_at(zone: &TimeZone, standard: Offset, local: i64) -> Offset {
    let Ok(at) = Timestamp::from_microsecond(local) else {
        // Before all time that the library knows, as at its beginning.
        return zone.to_offset(Timestamp::MIN);
    };
    match zone.to_ambiguous_timestamp(Offset::UTC.to_datetime(at)).offset() {
        AmbiguousOffset::Unambiguous { offset } => offset,
        AmbiguousOffset::Fold { after, .. } if after == standard => after,
        AmbiguousOffset::Fold { before, .. } | AmbiguousOffset::Gap { before, .. } => before,
    }
}

/// The day that has the same year, month and day in the Gregorian calendar.
fn gregorian(days: i64) -> i64 {
    if days >= GREGORIAN {
        return days;
    }
    // Years are reckoned from March, as of 4801 BC.
    let since = days + EPOCH_JULIAN + 32_082;
    let year = (4 * since + 3).div_euclid(1461);
    let day_of_year = since - (1461 * year).div_euclid(4);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5;
    let leap_days = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    let before = 365 * year + leap_days + (153 * month + 2) / 5 + day;
    before - 32_044 - EPOCH_JULIAN
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_keeps_its_year_month_and_day() {
        for (julian, gregorian) in [
            (-141_427, -141_427), // 1582-10-15
            (-141_428, -141_438), // 1582-10-04
            (-171_655, -171_664), // 1500-01-01
            (-719_164, -719_162), // 0001-01-01
            (-171_596, -171_605), // 1500-02-29, which is 1500-03-01 now
        ] {
            assert_eq!(Rebase::day(julian), gregorian, "{julian}");
        }
    }

    fn footer(pairs: &[(&str, &str)]) -> Vec<KeyValue> {
        let pair =
            |(key, value): &(&str, &str)| KeyValue::new((*key).to_owned(), (*value).to_owned());
        pairs.iter().map(pair).collect()
    }

    #[test]
    fn footers_say_which_calendar_it_is() {
        let of = |pairs: &[(&str, &str)]| {
            let calendar = Calendar::of(Some(&footer(pairs)));
            (calendar.dates, calendar.int96)
        };
        assert_eq!(of(&[]), (false, false));
        assert_eq!(of(&[(VERSION, "4.1.4")]), (false, false));
        assert_eq!(of(&[(VERSION, "2.4.8")]), (true, true));
        assert_eq!(of(&[(VERSION, "3.0.3")]), (false, true));
        let legacy = ("org.apache.spark.legacyDateTime", "");
        assert_eq!(of(&[(VERSION, "4.1.4"), legacy]), (true, false));
        // Nobody but Spark means anything by it.
        assert_eq!(of(&[legacy]), (false, false));
    }

    #[test]
    fn an_unknown_zone_matters_only_before_1900() {
        let zone = Zone::of(Some(&Arc::from("Mars/Olympus")));
        let rebase = Rebase { zone };
        assert_eq!(rebase.micros(0), Ok(0));
        assert_eq!(rebase.micros(ZONES_AGREE - 1), Err(Arc::from("Mars/Olympus")));
    }
}
