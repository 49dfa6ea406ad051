//! What older builds may have read wrongly of a table, so that whoever holds such values can load them again.
//!
//! Owns: the list of faults that were mended, and how to find out, from the log and the files' footers,
//! whether a table is one of those that had them.

use super::open::{LOG_BATCH_ROWS, SourceTable};
use super::parquet::Remark;
use crate::error::Error;

impl SourceTable {
    /// The first fault that is found, in words for people.
    pub(crate) fn misread_before(&self, followed: bool) -> Result<Option<String>, Error> {
        let engine = self.engine(LOG_BATCH_ROWS)?;
        for file in &self.files()? {
            let remarks = engine
                .data()
                .remarks(&file.meta, self.scan.physical_schema())
                .map_err(|error| self.file_error(&engine, file, &error))?;
            let found = remarks.iter().find_map(|(column, remark)| {
                let what = words(*remark, followed)?;
                Some(format!("column \"{column}\" holds {what}, in {}", self.relative(file)))
            });
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }
}

fn words(remark: Remark, followed: bool) -> Option<&'static str> {
    match remark {
        Remark::Int96 => Some("timestamps of 96 bits, which were wrong before 1677 and after 2262"),
        Remark::OldCalendar => Some("dates in the calendar of old versions of Spark"),
        Remark::OtherCase => Some("values under a name of another case, which were taken for NULL"),
        Remark::Older => followed.then_some("values of before a type was widened or a field was added"),
    }
}
