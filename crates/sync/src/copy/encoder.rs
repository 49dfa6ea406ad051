//! Arrow rows as tuples of PostgreSQL's binary COPY format.
//!
//! Owns: the wire form of each top-level type. Types are looked up once a batch; the row loop only
//! matches on a small enum and copies bytes. Never does I/O.

use std::sync::Arc;

use delta_kernel::arrow::array::cast::AsArray;
use delta_kernel::arrow::array::{
    Array, ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, Float32Array,
    Float64Array, Int8Array, Int16Array, Int32Array, Int64Array, StringArray,
    TimestampMicrosecondArray,
};
use delta_kernel::arrow::compute::cast;
use delta_kernel::arrow::util::display::array_value_to_string;

use super::json::Node;
use super::large::LargeRows;
use super::numeric::push_numeric;
use super::vector::{Vectors, Width};
use crate::error::Error;
use crate::job::NullBytes;
use crate::source::{Batch, ColumnType};

/// Size at which encoded rows are handed on.
pub(crate) const CHUNK_BYTES: usize = 512 * 1024;

/// PostgreSQL's limit on one value, less what it adds itself.
const MAX_FIELD_BYTES: usize = 0x3fff_ff00;
pub(super) const NULL: [u8; 4] = (-1i32).to_be_bytes();
const JSONB_VERSION: u8 = 1;

/// PostgreSQL counts from 2000-01-01, Delta from 1970-01-01.
const EPOCH_DAYS: i32 = 10_957;
const EPOCH_MICROS: i64 = 946_684_800_000_000;
/// The ranges of PostgreSQL's `date` and `timestamp`, counted from 2000-01-01; the end is excluded.
const DATE_RANGE: std::ops::Range<i32> = -2_451_545..2_145_031_949;
const TIMESTAMP_RANGE: std::ops::Range<i64> = -211_813_488_000_000_000..9_223_371_331_200_000_000;

/// Why a value has no form in PostgreSQL.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ValueError {
    #[error(
        "the text contains a NUL character, which PostgreSQL cannot store; remove it at the \
         source, store the column as binary, or sync with NUL characters stripped or replaced"
    )]
    Nul,
    #[error("the date or timestamp is outside PostgreSQL's range")]
    OutOfRange,
    #[error("the value is larger than 1 GB, PostgreSQL's limit")]
    TooLarge,
    #[error("the text has {has} characters, which are too many for character varying({size})")]
    TooLong { has: usize, size: u32 },
    #[error(
        "the array is no vector of {size} numbers: it has {has}; each must be there and finite"
    )]
    NoVector { has: usize, size: u16 },
    #[error("the variant cannot be read: {0}")]
    Variant(String),
    #[error("the data file holds the unexpected type {0}")]
    Type(String),
}

/// What one encoded batch held.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) rows: u64,
    pub(crate) null_key_rows: u64,
}

impl std::ops::AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.rows += other.rows;
        self.null_key_rows += other.null_key_rows;
    }
}

pub(crate) struct RowEncoder {
    /// For error messages only.
    table: String,
    columns: Vec<(String, ColumnType)>,
    /// Positions of the key columns.
    pub(super) key: Vec<usize>,
    pub(super) nul: NullBytes,
    pub(super) large: LargeRows,
}

impl RowEncoder {
    pub(crate) fn new(
        table: String,
        columns: Vec<(String, ColumnType)>,
        key: Vec<usize>,
        nul: NullBytes,
    ) -> Self {
        Self { table, columns, key, nul, large: LargeRows::default() }
    }

    /// Remembers large rows together with others.
    pub(super) fn with_large(mut self, large: LargeRows) -> Self {
        self.large = large;
        self
    }

    /// Appends the batch's rows to `out`, and calls `emit` whenever a chunk is full. Rows with a NULL
    /// in their key are counted and left out.
    pub(crate) fn encode(
        &self,
        batch: &Batch,
        out: &mut Vec<u8>,
        mut emit: impl FnMut(&mut Vec<u8>) -> Result<(), Error>,
    ) -> Result<Counts, Error> {
        let arrays = self.canonical(batch.columns())?;
        let fields = self.fields(&arrays)?;
        let nullable_keys = self.nullable_keys(&arrays);
        let field_count = field_count(fields.len());

        let mut counts = Counts::default();
        for row in batch.live_rows() {
            if nullable_keys.iter().any(|key| key.is_null(row)) {
                counts.null_key_rows += 1;
                continue;
            }
            let start = out.len();
            out.extend_from_slice(&field_count);
            for (column, field) in fields.iter().enumerate() {
                field
                    .push(row, self.nul, out)
                    .map_err(|problem| self.refuse(&arrays, column, Some(row), &problem))?;
            }
            self.large.see(out.len() - start, || self.key_text(&arrays, row));
            counts.rows += 1;
            if out.len() >= CHUNK_BYTES {
                emit(out)?;
            }
        }
        Ok(counts)
    }

    pub(super) fn nullable_keys<'a>(&self, arrays: &'a [ArrayRef]) -> Vec<&'a ArrayRef> {
        self.key.iter().map(|key| &arrays[*key]).filter(|key| key.null_count() > 0).collect()
    }

    /// The columns in the one Arrow type that each Delta type is encoded from.
    pub(super) fn canonical(&self, columns: &[ArrayRef]) -> Result<Vec<ArrayRef>, Error> {
        let arrays = columns.iter().zip(&self.columns).enumerate();
        arrays
            .map(|(nth, (array, (_, column_type)))| match column_type.arrow() {
                Some(wanted) if *array.data_type() != wanted => {
                    cast(array, &wanted).map_err(|_| {
                        let problem = ValueError::Type(array.data_type().to_string());
                        self.refuse(&[], nth, None, &problem)
                    })
                }
                _ => Ok(Arc::clone(array)),
            })
            .collect()
    }

    pub(super) fn fields<'a>(&self, arrays: &'a [ArrayRef]) -> Result<Vec<Field<'a>>, Error> {
        let columns = arrays.iter().zip(&self.columns).enumerate();
        columns
            .map(|(nth, (array, (_, column_type)))| {
                Field::new(array.as_ref(), column_type)
                    .map_err(|problem| self.refuse(&[], nth, None, &problem))
            })
            .collect()
    }

    pub(super) fn refuse(
        &self,
        arrays: &[ArrayRef],
        column: usize,
        row: Option<usize>,
        problem: &ValueError,
    ) -> Error {
        Error::Data {
            table: self.table.clone(),
            column: Some(self.columns[column].0.clone()),
            key: row.map(|row| self.key_text(arrays, row)),
            what: problem.to_string(),
        }
    }

    /// `id=7, region=north`.
    pub(super) fn key_text(&self, arrays: &[ArrayRef], row: usize) -> String {
        let parts = self.key.iter().map(|key| {
            let value = array_value_to_string(&arrays[*key], row).unwrap_or_default();
            format!("{}={}", self.columns[*key].0, value.escape_debug())
        });
        parts.collect::<Vec<_>>().join(", ")
    }
}

/// Tables have at most 1,600 columns.
pub(super) fn field_count(columns: usize) -> [u8; 2] {
    (columns as i16).to_be_bytes()
}

/// A top-level column of one batch.
pub(super) enum Field<'a> {
    Boolean(&'a BooleanArray),
    Byte(&'a Int8Array),
    Short(&'a Int16Array),
    Integer(&'a Int32Array),
    Long(&'a Int64Array),
    Float(&'a Float32Array),
    Double(&'a Float64Array),
    Decimal(&'a Decimal128Array, u8),
    Date(&'a Date32Array),
    Timestamp(&'a TimestampMicrosecondArray),
    Text(&'a StringArray),
    Binary(&'a BinaryArray),
    Months(&'a Int32Array),
    Micros(&'a Int64Array),
    Json(Node<'a>),
    Void,
    Varchar(&'a StringArray, u32),
    Vector(Vectors<'a>),
}

impl<'a> Field<'a> {
    fn new(array: &'a dyn Array, column_type: &ColumnType) -> Result<Self, ValueError> {
        Ok(match column_type {
            ColumnType::Boolean => Self::Boolean(array.as_boolean()),
            ColumnType::Byte => Self::Byte(array.as_primitive()),
            ColumnType::Short => Self::Short(array.as_primitive()),
            ColumnType::Integer => Self::Integer(array.as_primitive()),
            ColumnType::Long => Self::Long(array.as_primitive()),
            ColumnType::Float => Self::Float(array.as_primitive()),
            ColumnType::Double => Self::Double(array.as_primitive()),
            ColumnType::Decimal { scale, .. } => Self::Decimal(array.as_primitive(), *scale),
            ColumnType::Date => Self::Date(array.as_primitive()),
            ColumnType::Timestamp | ColumnType::TimestampNtz => {
                Self::Timestamp(array.as_primitive())
            }
            ColumnType::Text => Self::Text(array.as_string()),
            ColumnType::Binary => Self::Binary(array.as_binary()),
            ColumnType::IntervalMonths => Self::Months(array.as_primitive()),
            ColumnType::IntervalMicros => Self::Micros(array.as_primitive()),
            ColumnType::Json => Self::Json(Node::new(array)?),
            ColumnType::Void => Self::Void,
            ColumnType::Varchar(size) => Self::Varchar(array.as_string(), *size),
            ColumnType::Vector(size) => Self::Vector(Vectors::new(array, *size, Width::Full)),
            ColumnType::HalfVector(size) => Self::Vector(Vectors::new(array, *size, Width::Half)),
        })
    }

    /// Appends the value's length and bytes.
    #[inline]
    pub(super) fn push(
        &self,
        row: usize,
        nul: NullBytes,
        out: &mut Vec<u8>,
    ) -> Result<(), ValueError> {
        if self.is_null(row) {
            out.extend_from_slice(&NULL);
            return Ok(());
        }
        match self {
            Self::Boolean(a) => push_fixed(out, [u8::from(a.value(row))]),
            Self::Byte(a) => push_fixed(out, i16::from(a.value(row)).to_be_bytes()),
            Self::Short(a) => push_fixed(out, a.value(row).to_be_bytes()),
            Self::Integer(a) => push_fixed(out, a.value(row).to_be_bytes()),
            Self::Long(a) => push_fixed(out, a.value(row).to_be_bytes()),
            Self::Float(a) => push_fixed(out, a.value(row).to_be_bytes()),
            Self::Double(a) => push_fixed(out, a.value(row).to_be_bytes()),
            Self::Decimal(a, scale) => {
                push_measured(out, |out| {
                    push_numeric(out, a.value(row), *scale);
                    Ok(())
                })?;
            }
            Self::Date(a) => push_fixed(out, date(a.value(row))?.to_be_bytes()),
            Self::Timestamp(a) => push_fixed(out, timestamp(a.value(row))?.to_be_bytes()),
            Self::Text(a) => push_text(out, a.value(row), nul)?,
            Self::Binary(a) => push_bytes(out, a.value(row))?,
            Self::Months(a) => push_interval(out, a.value(row), 0),
            Self::Micros(a) => push_interval(out, 0, a.value(row)),
            Self::Json(node) => push_measured(out, |out| {
                out.push(JSONB_VERSION);
                node.push(row, nul, out)
            })?,
            Self::Void => {}
            Self::Varchar(a, size) => push_varchar(out, a.value(row), *size, nul)?,
            Self::Vector(vectors) => {
                push_measured(out, |out| vectors.push(row, out))?;
            }
        }
        Ok(())
    }

    #[inline]
    fn is_null(&self, row: usize) -> bool {
        match self {
            Self::Boolean(a) => a.is_null(row),
            Self::Byte(a) => a.is_null(row),
            Self::Short(a) => a.is_null(row),
            Self::Integer(a) | Self::Months(a) => a.is_null(row),
            Self::Long(a) | Self::Micros(a) => a.is_null(row),
            Self::Float(a) => a.is_null(row),
            Self::Double(a) => a.is_null(row),
            Self::Decimal(a, _) => a.is_null(row),
            Self::Date(a) => a.is_null(row),
            Self::Timestamp(a) => a.is_null(row),
            Self::Text(a) | Self::Varchar(a, _) => a.is_null(row),
            Self::Binary(a) => a.is_null(row),
            Self::Json(node) => node.is_null(row),
            Self::Void => true,
            Self::Vector(vectors) => vectors.is_null(row),
        }
    }
}

#[inline]
pub(super) fn push_fixed<const N: usize>(out: &mut Vec<u8>, value: [u8; N]) {
    out.extend_from_slice(&(N as i32).to_be_bytes());
    out.extend_from_slice(&value);
}

fn push_bytes(out: &mut Vec<u8>, value: &[u8]) -> Result<(), ValueError> {
    if value.len() > MAX_FIELD_BYTES {
        return Err(ValueError::TooLarge);
    }
    out.extend_from_slice(&(value.len() as i32).to_be_bytes());
    out.extend_from_slice(value);
    Ok(())
}

fn push_text(out: &mut Vec<u8>, text: &str, nul: NullBytes) -> Result<(), ValueError> {
    if !text.as_bytes().contains(&0) {
        return push_bytes(out, text.as_bytes());
    }
    match nul {
        NullBytes::Fail => Err(ValueError::Nul),
        NullBytes::Strip => push_bytes(out, text.replace('\0', "").as_bytes()),
        NullBytes::Replace => push_bytes(out, text.replace('\0', "\u{FFFD}").as_bytes()),
    }
}

/// The server would say that a value is too long, but not whose it is.
fn push_varchar(
    out: &mut Vec<u8>,
    text: &str,
    size: u32,
    nul: NullBytes,
) -> Result<(), ValueError> {
    let limit = size as usize;
    if text.len() > limit {
        // Spaces at the end are cut off without a word, as SQL wants it.
        let has = text.trim_end_matches(' ').chars().count();
        if has > limit {
            return Err(ValueError::TooLong { has, size });
        }
    }
    push_text(out, text, nul)
}

/// Writes a value whose length is only known afterwards.
fn push_measured(
    out: &mut Vec<u8>,
    write: impl FnOnce(&mut Vec<u8>) -> Result<(), ValueError>,
) -> Result<(), ValueError> {
    let start = out.len();
    out.extend_from_slice(&[0; 4]);
    write(out)?;
    let length = out.len() - start - 4;
    if length > MAX_FIELD_BYTES {
        return Err(ValueError::TooLarge);
    }
    out[start..start + 4].copy_from_slice(&(length as i32).to_be_bytes());
    Ok(())
}

/// Microseconds, days, months: the order of PostgreSQL's `interval`.
fn push_interval(out: &mut Vec<u8>, months: i32, micros: i64) {
    out.extend_from_slice(&16i32.to_be_bytes());
    out.extend_from_slice(&micros.to_be_bytes());
    out.extend_from_slice(&0i32.to_be_bytes());
    out.extend_from_slice(&months.to_be_bytes());
}

fn date(days: i32) -> Result<i32, ValueError> {
    days.checked_sub(EPOCH_DAYS)
        .filter(|days| DATE_RANGE.contains(days))
        .ok_or(ValueError::OutOfRange)
}

fn timestamp(micros: i64) -> Result<i64, ValueError> {
    micros
        .checked_sub(EPOCH_MICROS)
        .filter(|micros| TIMESTAMP_RANGE.contains(micros))
        .ok_or(ValueError::OutOfRange)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_end_where_postgresql_ends() {
        assert!(date(i32::MIN).is_err());
        assert_eq!(date(EPOCH_DAYS).unwrap(), 0);
        assert!(timestamp(i64::MIN).is_err());
        assert!(timestamp(i64::MAX).is_ok());
        assert_eq!(timestamp(EPOCH_MICROS - 1).unwrap(), -1);
    }

    #[test]
    fn text_with_nul_follows_the_policy() {
        let push = |nul| {
            let mut out = Vec::new();
            push_text(&mut out, "a\0b", nul).map(|()| out[4..].to_vec())
        };
        assert!(matches!(push(NullBytes::Fail), Err(ValueError::Nul)));
        assert_eq!(push(NullBytes::Strip).unwrap(), b"ab");
        assert_eq!(push(NullBytes::Replace).unwrap(), "a\u{FFFD}b".as_bytes());
    }

    #[test]
    fn measured_values_carry_their_length() {
        let mut out = vec![9];
        push_measured(&mut out, |out| {
            out.extend_from_slice(b"abc");
            Ok(())
        })
        .unwrap();
        assert_eq!(out, [9, 0, 0, 0, 3, b'a', b'b', b'c']);
    }
}
