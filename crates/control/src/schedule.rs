//! Schedules of pipelines: when an update starts by itself.
//!
//! A time at which the pipeline is still at work, or paused, is skipped; times that passed while no server
//! ran come to one update at the next start.

use croner::Cron;
use croner::parser::{CronParser, Seconds};
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};
use lakeport_store::Schedule;

use crate::Control;
use crate::{Error, Result};

/// A schedule that can be asked for its next time.
struct Clock {
    cron: Cron,
    zone: TimeZone,
}

impl Clock {
    fn of(schedule: &Schedule) -> Result<Self> {
        let fields = schedule.cron.split_whitespace().count();
        // In a crontab a week begins with Sunday as 0, in a Quartz expression with Sunday as 1.
        let parser = CronParser::builder().sloppy_ranges(true);
        let parser = match fields {
            1 | 5 => parser.seconds(Seconds::Disallowed),
            6 | 7 => parser.seconds(Seconds::Required).alternative_weekdays(true),
            _ => {
                let problem = "it has five fields as in a crontab, or six or seven as in Quartz";
                return Err(Error::invalid("cron", problem));
            }
        };
        let cron = parser
            .build()
            .parse(&schedule.cron)
            .map_err(|error| Error::invalid("cron", format!("\"{}\": {error}", schedule.cron)))?;
        let zone = TimeZone::get(&schedule.timezone).map_err(|_| {
            let problem = format!("there is no time zone \"{}\"", schedule.timezone);
            Error::invalid("timezone", problem)
        })?;
        Ok(Self { cron, zone })
    }

    /// The next time, if there will be one.
    fn after(&self, now: Timestamp) -> Option<Timestamp> {
        let next = self.cron.find_next_occurrence(&now.to_zoned(self.zone.clone()), false);
        next.ok().map(|next: Zoned| next.timestamp())
    }
}

/// The schedule's first time; an error if it is not understood or never comes.
pub(crate) fn first_run(schedule: &Schedule) -> Result<Timestamp> {
    Clock::of(schedule)?.after(Timestamp::now()).ok_or_else(|| {
        Error::invalid("cron", format!("\"{}\" names no time that will come", schedule.cron))
    })
}

impl Control {
    /// Starts the updates whose time has come.
    pub(crate) async fn run_schedules(&self) -> Result<()> {
        for pipeline in self.store.scheduled_pipelines(self.node).await? {
            let (Some(schedule), Some(due)) = (&pipeline.schedule, pipeline.next_run) else {
                continue;
            };
            // Checked when it was set; a time zone may have gone since.
            let next = Clock::of(schedule).ok().and_then(|clock| clock.after(Timestamp::now()));
            self.store.start_scheduled_update(pipeline.id, due, next).await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn next(cron: &str, timezone: &str, after: &str) -> String {
        let schedule = Schedule { cron: cron.to_owned(), timezone: timezone.to_owned() };
        let next = Clock::of(&schedule).unwrap().after(after.parse().unwrap());
        next.unwrap().to_string()
    }

    #[test]
    fn crontab_lines_and_quartz_expressions_are_understood() {
        // 2026-03-02 is a Monday.
        let monday = "2026-03-02T10:07:30Z";
        assert_eq!(next("*/15 * * * *", "UTC", monday), "2026-03-02T10:15:00Z");
        assert_eq!(next("0 9 * * 1", "UTC", monday), "2026-03-09T09:00:00Z");
        assert_eq!(next("0 0 9 ? * MON", "UTC", monday), "2026-03-09T09:00:00Z");
        assert_eq!(next("0 0 9 ? * 2", "UTC", monday), "2026-03-09T09:00:00Z");
        assert_eq!(next("0 0/5 * * * ?", "UTC", monday), "2026-03-02T10:10:00Z");
        assert_eq!(next("30 8 * * *", "Europe/Berlin", monday), "2026-03-03T07:30:00Z");
        assert_eq!(next("@hourly", "UTC", monday), "2026-03-02T11:00:00Z");
    }

    #[test]
    fn what_is_not_understood_is_named() {
        for (cron, timezone, field) in [
            ("* * * *", "UTC", "cron"),
            ("61 * * * *", "UTC", "cron"),
            ("* * * * *", "Mars/Olympus", "timezone"),
        ] {
            let schedule = Schedule { cron: cron.to_owned(), timezone: timezone.to_owned() };
            let refusal = Clock::of(&schedule).err().unwrap();
            assert!(refusal.message().starts_with(field), "{refusal}");
        }
    }
}
