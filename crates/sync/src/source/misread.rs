//! What older builds may have read wrongly of a table, so that whoever holds such values can load them again.
//!
//! Owns: the list of faults that were mended, and how to find out whether a table is one of those that had them:
//! from its schema, from the files' footers, and where those only say that it may be, from the values.

use std::sync::Arc;

use delta_kernel::arrow::array::Array;
use delta_kernel::arrow::array::cast::AsArray as _;
use delta_kernel::arrow::compute::{max, min};
use delta_kernel::arrow::datatypes::{DataType, Date32Type, TimestampMicrosecondType};
use delta_kernel::engine::arrow_data::EngineDataArrowExt as _;
use delta_kernel::schema::StructType;
use delta_kernel::{Engine as _, KernelResult};

use super::engine::Engine;
use super::open::{LOG_BATCH_ROWS, SourceTable};
use super::parquet::Remark;
use super::scan::DataFile;
use crate::error::Error;

/// The revision of the reader. It grows when values of some table are read otherwise than before; the faults before
/// then belong into the list below.
pub const READER_REVISION: i32 = 1;

/// 1582-10-15, in days since 1970-01-01.
const GREGORIAN: i32 = -141_427;
/// 1900-01-01, in microseconds: before it, time zones of old versions of Spark were others.
const ZONES_AGREE: i64 = -2_208_988_800_000_000;

impl SourceTable {
    /// Why an older build may have read the table wrongly, if it may: the first fault that is found.
    pub(crate) fn misread_before(&self) -> Result<Option<String>, Error> {
        if let Some((column, what)) = self.finish.changed_by() {
            return Ok(Some(format!("column \"{column}\" {what}")));
        }
        let engine = self.engine(LOG_BATCH_ROWS)?;
        for file in &self.files()? {
            let found = self.misread_in(&engine, file);
            let found = found.map_err(|error| self.file_error(&engine, file, &error))?;
            if let Some((column, what)) = found {
                let path = self.relative(file);
                return Ok(Some(format!("column \"{column}\" {what}, in the data file {path}")));
            }
        }
        Ok(None)
    }

    fn misread_in(
        &self,
        engine: &Engine,
        file: &DataFile,
    ) -> KernelResult<Option<(String, &'static str)>> {
        for (column, remark) in engine.data().remarks(&file.meta, self.scan.physical_schema())? {
            let what = match remark {
                Remark::OtherCase => "has a name of another case, and was taken for NULL",
                // Where changes were followed; a table that is read whole each time is well.
                Remark::Older => "holds values in the form of before a schema change",
                Remark::Int96 if self.holds(engine, file, &column, remark)? => {
                    "holds timestamps of before 1677 or after 2262 in 96 bits"
                }
                Remark::OldCalendar if self.holds(engine, file, &column, remark)? => {
                    "holds dates in the calendar of old versions of Spark"
                }
                _ => continue,
            };
            return Ok(Some((column, what)));
        }
        Ok(None)
    }

    /// Whether any value of a column is one of those that were wrong.
    fn holds(
        &self,
        engine: &Engine,
        file: &DataFile,
        path: &str,
        remark: Remark,
    ) -> KernelResult<bool> {
        let wanted = self.scan.physical_schema();
        // Names may have dots in them.
        let within = |name: &str| path == name || path.starts_with(&format!("{name}."));
        let fields = wanted.fields().filter(|field| within(field.name())).cloned();
        let column = StructType::try_new(fields)?;
        let file = std::slice::from_ref(&file.meta);
        for batch in engine.parquet_handler().read_parquet_files(file, Arc::new(column), None)? {
            let batch = batch?.try_into_record_batch()?;
            if batch.columns().iter().any(|array| was_wrong(array.as_ref(), remark)) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

fn was_wrong(array: &dyn Array, remark: Remark) -> bool {
    let inner = |array: &dyn Array| was_wrong(array, remark);
    match array.data_type() {
        DataType::Date32 => {
            remark == Remark::OldCalendar
                && min(array.as_primitive::<Date32Type>()).is_some_and(|day| day < GREGORIAN)
        }
        DataType::Timestamp(_, _) => {
            let micros = array.as_primitive::<TimestampMicrosecondType>();
            // In nanoseconds they were counted around.
            let fits = |at: i64| remark != Remark::Int96 || at.checked_mul(1000).is_some();
            let (first, last) = (min(micros), max(micros));
            first.is_some_and(|at| !fits(at) || (remark == Remark::OldCalendar && at < ZONES_AGREE))
                || last.is_some_and(|at| !fits(at))
        }
        DataType::Struct(_) => array.as_struct().columns().iter().any(|column| inner(column)),
        DataType::List(_) => inner(array.as_list::<i32>().values()),
        DataType::Map(_, _) => {
            let map = array.as_map();
            inner(map.keys()) || inner(map.values())
        }
        _ => false,
    }
}
