//! Variants that are stored in columns of their own types, put together again.
//!
//! A shredded variant has a column `typed_value` for values of one type, and `value` for all others; an object
//! has both where only some of its fields have columns. Owns: making the whole value of them, with the
//! library's own writer.

use std::sync::Arc;

use delta_kernel::arrow::array::cast::AsArray as _;
use delta_kernel::arrow::array::types::{
    Date32Type, Decimal128Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type,
    Int64Type, Time64MicrosecondType, TimestampMicrosecondType, TimestampNanosecondType,
};
use delta_kernel::arrow::array::{Array as _, ArrayRef, BinaryArray, BinaryBuilder, StructArray};
use delta_kernel::arrow::buffer::NullBuffer;
use delta_kernel::arrow::datatypes::{DataType, Fields, TimeUnit};
use delta_kernel::arrow::error::ArrowError;
use delta_kernel::arrow::temporal_conversions::{
    time64us_to_time, timestamp_ns_to_datetime, timestamp_us_to_datetime,
};
use parquet_variant::{
    ObjectFieldBuilder, Variant, VariantBuilder, VariantBuilderExt, VariantDecimal4,
    VariantDecimal8, VariantDecimal16, VariantMetadata,
};
use uuid::Uuid;

type Result<T> = std::result::Result<T, ArrowError>;

/// The variants of a column, each in one piece: `wanted` are the fields `metadata` and `value`.
pub(super) fn whole(stored: &StructArray, wanted: &Fields) -> Result<ArrayRef> {
    let metadata = binary(stored, "metadata")?.ok_or_else(|| damaged("it has no metadata"))?;
    if stored.column_by_name("typed_value").is_none() {
        let value = binary(stored, "value")?.ok_or_else(|| damaged("it has no value"))?;
        let nulls = NullBuffer::union(stored.nulls(), value.nulls());
        let parts: Vec<ArrayRef> = vec![Arc::new(metadata.clone()), Arc::new(value.clone())];
        return Ok(Arc::new(StructArray::try_new(wanted.clone(), parts, nulls)?));
    }
    let place = Place::of(stored)?;
    let mut parts = [BinaryBuilder::new(), BinaryBuilder::new()];
    for row in 0..stored.len() {
        if stored.is_null(row) {
            parts.iter_mut().for_each(BinaryBuilder::append_null);
            continue;
        }
        let names = VariantMetadata::try_new(metadata.value(row))?;
        let mut builder = VariantBuilder::new().with_metadata(names.clone());
        if !place.append(row, &names, &mut builder)? {
            // What must be there, and is not, is a variant's null.
            builder.append_value(Variant::Null);
        }
        let (metadata, value) = builder.try_finish()?;
        parts[0].append_value(metadata);
        parts[1].append_value(value);
    }
    let parts = parts.map(|mut part| Arc::new(part.finish()) as ArrayRef).to_vec();
    Ok(Arc::new(StructArray::try_new(wanted.clone(), parts, stored.nulls().cloned())?))
}

/// A place in variants: the whole, a field of an object, the elements of a list.
struct Place<'a> {
    value: Option<&'a BinaryArray>,
    typed: Option<Typed<'a>>,
}

enum Typed<'a> {
    One(&'a ArrayRef),
    Object(&'a StructArray, Vec<(&'a str, Place<'a>)>),
    List(&'a delta_kernel::arrow::array::ListArray, Box<Place<'a>>),
}

impl<'a> Place<'a> {
    fn of(stored: &'a StructArray) -> Result<Self> {
        let typed = stored.column_by_name("typed_value").map(Typed::of).transpose()?;
        Ok(Self { value: binary(stored, "value")?, typed })
    }

    /// Appends the value; `false` where there is none.
    fn append(
        &self,
        row: usize,
        names: &VariantMetadata<'_>,
        out: &mut impl VariantBuilderExt,
    ) -> Result<bool> {
        let value = self.value.filter(|value| value.is_valid(row)).map(|value| value.value(row));
        let rest =
            value.map(|bytes| Variant::try_new_with_metadata(names.clone(), bytes)).transpose()?;
        match (&self.typed, rest) {
            (Some(Typed::Object(objects, fields)), rest) if objects.is_valid(row) => {
                append_object(fields, rest, row, names, out)?;
            }
            (Some(typed), None) if typed.is_valid(row) => typed.append(row, names, out)?,
            (Some(typed), Some(_)) if typed.is_valid(row) => {
                return Err(damaged("a value is there twice"));
            }
            (_, Some(rest)) => out.append_value(rest),
            (_, None) => return Ok(false),
        }
        Ok(true)
    }
}

impl<'a> Typed<'a> {
    fn of(typed: &'a ArrayRef) -> Result<Self> {
        let place = |array: &'a ArrayRef| {
            let parts = array.as_struct_opt();
            Place::of(parts.ok_or_else(|| damaged("a typed field is no struct"))?)
        };
        Ok(match typed.data_type() {
            DataType::Struct(fields) => {
                let objects = typed.as_struct();
                let places = fields.iter().zip(objects.columns());
                let places =
                    places.map(|(field, array)| Ok((field.name().as_str(), place(array)?)));
                Self::Object(objects, places.collect::<Result<_>>()?)
            }
            DataType::List(_) => {
                let lists = typed.as_list::<i32>();
                Self::List(lists, Box::new(place(lists.values())?))
            }
            _ => Self::One(typed),
        })
    }

    fn is_valid(&self, row: usize) -> bool {
        match self {
            Self::One(array) => array.is_valid(row),
            Self::Object(array, _) => array.is_valid(row),
            Self::List(array, _) => array.is_valid(row),
        }
    }

    fn append(
        &self,
        row: usize,
        names: &VariantMetadata<'_>,
        out: &mut impl VariantBuilderExt,
    ) -> Result<()> {
        match self {
            Self::One(array) => append_one(array, row, out),
            Self::Object(_, fields) => append_object(fields, None, row, names, out),
            Self::List(lists, elements) => {
                let offsets = lists.value_offsets();
                let mut list = out.try_new_list()?;
                // Arrow keeps offsets ascending and not negative.
                for element in offsets[row] as usize..offsets[row + 1] as usize {
                    if !elements.append(element, names, &mut list)? {
                        list.append_value(Variant::Null);
                    }
                }
                list.finish();
                Ok(())
            }
        }
    }
}

/// The fields that have columns, and those that have none.
fn append_object(
    fields: &[(&str, Place<'_>)],
    rest: Option<Variant<'_, '_>>,
    row: usize,
    names: &VariantMetadata<'_>,
    out: &mut impl VariantBuilderExt,
) -> Result<()> {
    let mut object = out.try_new_object()?;
    for (name, place) in fields {
        place.append(row, names, &mut ObjectFieldBuilder::new(name, &mut object))?;
    }
    match rest {
        None => {}
        Some(Variant::Object(rest)) => {
            for entry in rest.iter_try() {
                let (name, value) = entry?;
                if fields.iter().any(|(typed, _)| *typed == name) {
                    return Err(damaged("a field is there twice"));
                }
                object.try_insert(name, value)?;
            }
        }
        Some(_) => return Err(damaged("an object's other fields are no object")),
    }
    object.finish();
    Ok(())
}

fn append_one(array: &ArrayRef, row: usize, out: &mut impl VariantBuilderExt) -> Result<()> {
    use DataType as T;
    match array.data_type() {
        T::Boolean => out.append_value(array.as_boolean().value(row)),
        T::Int8 => out.append_value(array.as_primitive::<Int8Type>().value(row)),
        T::Int16 => out.append_value(array.as_primitive::<Int16Type>().value(row)),
        T::Int32 => out.append_value(array.as_primitive::<Int32Type>().value(row)),
        T::Int64 => out.append_value(array.as_primitive::<Int64Type>().value(row)),
        T::Float32 => out.append_value(array.as_primitive::<Float32Type>().value(row)),
        T::Float64 => out.append_value(array.as_primitive::<Float64Type>().value(row)),
        T::Utf8 => out.append_value(array.as_string::<i32>().value(row)),
        T::Binary => out.append_value(array.as_binary::<i32>().value(row)),
        T::FixedSizeBinary(16) => {
            let bytes = array.as_fixed_size_binary().value(row);
            out.append_value(Uuid::from_slice(bytes).map_err(|error| damaged(&error.to_string()))?);
        }
        T::Decimal128(precision, scale) => {
            let number = array.as_primitive::<Decimal128Type>().value(row);
            append_decimal(number, *precision, *scale, out)?;
        }
        T::Date32 => {
            let day = array.as_primitive::<Date32Type>().value(row);
            out.append_value(Date32Type::to_naive_date_opt(day).ok_or_else(no_time)?);
        }
        T::Time64(TimeUnit::Microsecond) => {
            let time = array.as_primitive::<Time64MicrosecondType>().value(row);
            out.append_value(time64us_to_time(time).ok_or_else(no_time)?);
        }
        T::Timestamp(TimeUnit::Microsecond, zone) => {
            let at = array.as_primitive::<TimestampMicrosecondType>().value(row);
            let at = timestamp_us_to_datetime(at).ok_or_else(no_time)?;
            if zone.is_some() { out.append_value(at.and_utc()) } else { out.append_value(at) }
        }
        T::Timestamp(TimeUnit::Nanosecond, zone) => {
            let at = array.as_primitive::<TimestampNanosecondType>().value(row);
            let at = timestamp_ns_to_datetime(at).ok_or_else(no_time)?;
            if zone.is_some() { out.append_value(at.and_utc()) } else { out.append_value(at) }
        }
        other => return Err(damaged(&format!("no variant holds {other}"))),
    }
    Ok(())
}

/// In the width that the column's precision asks for.
fn append_decimal(
    number: i128,
    precision: u8,
    scale: i8,
    out: &mut impl VariantBuilderExt,
) -> Result<()> {
    let scale = u8::try_from(scale).map_err(|error| damaged(&error.to_string()))?;
    let narrow = |_| damaged("a decimal has more digits than its column");
    match precision {
        0..=9 => out
            .append_value(VariantDecimal4::try_new(i32::try_from(number).map_err(narrow)?, scale)?),
        10..=18 => out
            .append_value(VariantDecimal8::try_new(i64::try_from(number).map_err(narrow)?, scale)?),
        _ => out.append_value(VariantDecimal16::try_new(number, scale)?),
    }
    Ok(())
}

fn binary<'a>(stored: &'a StructArray, name: &str) -> Result<Option<&'a BinaryArray>> {
    let Some(column) = stored.column_by_name(name) else { return Ok(None) };
    match column.as_binary_opt() {
        Some(bytes) => Ok(Some(bytes)),
        None => Err(damaged(&format!("its {name} holds {}", column.data_type()))),
    }
}

fn damaged(why: &str) -> ArrowError {
    ArrowError::ComputeError(format!("the variant cannot be read: {why}"))
}

fn no_time() -> ArrowError {
    damaged("a date or timestamp is outside of all calendars")
}
