//! Partition values as the kernel reads them.
//!
//! The log holds them as text, and writers spell numbers and times in several ways: `12.3` for a decimal(10,2),
//! `2020-01-01T00:00:00.5` for a timestamp without a zone. Spark reads them as it casts text; the kernel knows one
//! spelling of each. Owns: the way from the former to the latter, on all that is read of the log. What is in no known
//! spelling stays, and the kernel names it.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use delta_kernel::arrow::array::cast::AsArray as _;
use delta_kernel::arrow::array::{
    Array as _, ArrayRef, MapArray, RecordBatch, StringArray, StructArray,
};
use delta_kernel::arrow::datatypes::DataType as ArrowType;
use delta_kernel::engine::arrow_data::{ArrowEngineData, EngineDataArrowExt as _};
use delta_kernel::schema::{DataType, PrimitiveType, SchemaRef, StructType};
use delta_kernel::{
    EngineData, FileDataReadResultIterator, FileMeta, FileSize, FilteredEngineData, JsonHandler,
    KernelResult, KernelResultIterator, PredicateRef,
};
use url::Url;

use super::inside::physical_name;

const VALUES: &str = "partitionValues";

/// The types of partition columns whose values have several spellings, by their names in the log.
#[derive(Clone, Default)]
pub(super) struct Spelling {
    types: Arc<HashMap<String, PrimitiveType>>,
}

impl Spelling {
    pub(super) fn of(schema: &StructType, partition_columns: &[String]) -> Self {
        let found = partition_columns.iter().filter_map(|name| {
            let field = schema.field(name)?;
            match field.data_type() {
                DataType::Primitive(
                    primitive @ (PrimitiveType::Decimal(_)
                    | PrimitiveType::Date
                    | PrimitiveType::Timestamp
                    | PrimitiveType::TimestampNtz),
                ) => Some((physical_name(field).to_owned(), primitive.clone())),
                _ => None,
            }
        });
        Self { types: Arc::new(found.collect()) }
    }

    pub(super) fn is_plain(&self) -> bool {
        self.types.is_empty()
    }

    /// What was read of the log, with its partition values as the kernel reads them.
    pub(super) fn respelled(&self, read: FileDataReadResultIterator) -> FileDataReadResultIterator {
        if self.is_plain() {
            return read;
        }
        let spelling = self.clone();
        Box::new(read.map(move |batch| {
            let batch = batch?.try_into_record_batch()?;
            let batch = spelling.batch(&batch)?;
            Ok(Box::new(ArrowEngineData::new(batch)) as Box<dyn EngineData>)
        }))
    }

    fn batch(&self, batch: &RecordBatch) -> KernelResult<RecordBatch> {
        let columns = batch.columns().iter().map(|column| match column.as_struct_opt() {
            Some(action) => self.action(action),
            None => Ok(Arc::clone(column)),
        });
        Ok(RecordBatch::try_new(batch.schema(), columns.collect::<KernelResult<_>>()?)?)
    }

    /// An `add`, `remove` or `cdc`; others have no such field.
    fn action(&self, action: &StructArray) -> KernelResult<ArrayRef> {
        let (fields, mut columns, nulls) = action.clone().into_parts();
        let rows = action.len();
        if let Some(at) = fields.iter().position(|field| field.name() == VALUES)
            && let Some(values) = columns[at].as_map_opt()
            && *values.values().data_type() == ArrowType::Utf8
            && *values.keys().data_type() == ArrowType::Utf8
        {
            columns[at] = self.values(values)?;
        }
        Ok(Arc::new(StructArray::try_new_with_length(fields, columns, nulls, rows)?))
    }

    fn values(&self, map: &MapArray) -> KernelResult<ArrayRef> {
        let (names, texts) = (map.keys().as_string::<i32>(), map.values().as_string::<i32>());
        let spelled = names.iter().zip(texts).map(|(name, text)| {
            let primitive = self.types.get(name?);
            let text = text?;
            Some(match primitive {
                Some(primitive) => respell(text, primitive),
                None => Cow::Borrowed(text),
            })
        });
        let spelled: StringArray = spelled.collect();
        let (field, offsets, entries, nulls, sorted) = map.clone().into_parts();
        let (entry_fields, columns, _) = entries.into_parts();
        let columns = vec![Arc::clone(&columns[0]), Arc::new(spelled) as ArrayRef];
        let entries = StructArray::try_new(entry_fields, columns, None)?;
        Ok(Arc::new(MapArray::try_new(field, offsets, entries, nulls, sorted)?))
    }
}

/// Reads the log's JSON.
pub(super) struct LogReader {
    pub(super) inner: Arc<dyn JsonHandler>,
    pub(super) spelling: Spelling,
}

impl JsonHandler for LogReader {
    fn parse_json(
        &self,
        json_strings: Box<dyn EngineData>,
        output_schema: SchemaRef,
    ) -> KernelResult<Box<dyn EngineData>> {
        self.inner.parse_json(json_strings, output_schema)
    }

    fn read_json_files(
        &self,
        files: &[FileMeta],
        physical_schema: SchemaRef,
        predicate: Option<PredicateRef>,
    ) -> KernelResult<FileDataReadResultIterator> {
        let read = self.inner.read_json_files(files, physical_schema, predicate)?;
        Ok(self.spelling.respelled(read))
    }

    fn write_json_file(
        &self,
        path: &Url,
        data: KernelResultIterator<'_, FilteredEngineData>,
        overwrite: bool,
    ) -> KernelResult<FileSize> {
        self.inner.write_json_file(path, data, overwrite)
    }
}

fn respell<'a>(text: &'a str, primitive: &PrimitiveType) -> Cow<'a, str> {
    let trimmed = text.trim();
    let found = match primitive {
        PrimitiveType::Decimal(decimal) => decimal_text(trimmed, usize::from(decimal.scale())),
        PrimitiveType::Date => trimmed.split_once(['T', ' ']).map(|(day, _)| day.to_owned()),
        PrimitiveType::TimestampNtz => Some(clock_text(trimmed.trim_end_matches('Z'))),
        PrimitiveType::Timestamp if has_zone(trimmed) => None,
        PrimitiveType::Timestamp => Some(clock_text(trimmed)),
        _ => None,
    };
    found.map_or(Cow::Borrowed(text), Cow::Owned)
}

/// With as many digits after the point as the type has, as long as that loses none.
fn decimal_text(text: &str, scale: usize) -> Option<String> {
    let (sign, digits) = match text.strip_prefix(['-', '+']) {
        Some(digits) => (if text.starts_with('-') { "-" } else { "" }, digits),
        None => ("", text),
    };
    let (digits, exponent) = match digits.split_once(['e', 'E']) {
        Some((digits, exponent)) => (digits, exponent.parse::<i32>().ok()?),
        None => (digits, 0),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let all = format!("{whole}{fraction}");
    let is_number = !all.is_empty() && all.bytes().all(|digit| digit.is_ascii_digit());
    // No decimal of Delta has more than 38 digits.
    if !is_number || exponent.unsigned_abs() > 76 || all.len() > 76 {
        return None;
    }
    let point = i32::try_from(whole.len()).ok()? + exponent;
    let leading = usize::try_from(-point.min(0)).ok()?;
    let all = format!("{}{all}", "0".repeat(leading));
    let point = usize::try_from(point.max(0)).ok()?;
    let all = format!("{all:0<point$}");
    let (whole, fraction) = all.split_at(point);
    let kept = fraction.len().min(scale);
    if fraction[kept..].bytes().any(|digit| digit != b'0') {
        return None;
    }
    let whole = if whole.is_empty() { "0" } else { whole };
    Some(match scale {
        0 => format!("{sign}{whole}"),
        _ => format!("{sign}{whole}.{:0<scale$}", &fraction[..kept]),
    })
}

/// `2020-01-01 00:00:00.5`: a blank between day and time, and all parts there.
fn clock_text(text: &str) -> String {
    match text.split_once(['T', ' ']) {
        None => format!("{text} 00:00:00"),
        Some((day, time)) if time.matches(':').count() == 1 => format!("{day} {time}:00"),
        Some((day, time)) => format!("{day} {time}"),
    }
}

/// Whether a time says how far it is from UTC. Days have hyphens, so that only what follows them counts.
fn has_zone(text: &str) -> bool {
    let time = text.split_once(['T', ' ']).map_or("", |(_, time)| time);
    time.contains(['+', '-']) || time.ends_with(|letter: char| letter.is_ascii_alphabetic())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_get_the_digits_of_their_type() {
        for (text, scale, expected) in [
            ("12.3", 2, "12.30"),
            ("-12", 2, "-12.00"),
            ("+.5", 2, "0.50"),
            ("1E+2", 1, "100.0"),
            ("1.5e-3", 4, "0.0015"),
            ("12.500", 1, "12.5"),
            ("7.", 0, "7"),
            ("0", 3, "0.000"),
        ] {
            assert_eq!(decimal_text(text, scale).as_deref(), Some(expected), "{text}");
        }
        for text in ["12.345", "", "-", "abc", "1e999", "1.2.3"] {
            assert_eq!(decimal_text(text, 2), None, "{text}");
        }
    }

    #[test]
    fn times_are_spelled_one_way() {
        let ntz = |text| respell(text, &PrimitiveType::TimestampNtz).into_owned();
        assert_eq!(ntz("2020-01-01T00:00:00.5"), "2020-01-01 00:00:00.5");
        assert_eq!(ntz("2020-01-01"), "2020-01-01 00:00:00");
        assert_eq!(ntz("2020-01-01 10:30"), "2020-01-01 10:30:00");
        let at = |text| respell(text, &PrimitiveType::Timestamp).into_owned();
        assert_eq!(at("2020-01-01T00:00:00.5"), "2020-01-01 00:00:00.5");
        for zoned in ["2020-01-01T00:00:00.5Z", "2020-01-01 00:00:00+02:00"] {
            assert_eq!(at(zoned), zoned);
        }
        let day = |text| respell(text, &PrimitiveType::Date).into_owned();
        assert_eq!(day("2020-01-01T00:00:00"), "2020-01-01");
        assert_eq!(day("2020-01-01"), "2020-01-01");
    }
}
