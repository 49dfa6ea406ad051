//! Variants, which say their own types, as JSON text.
//!
//! The choices are those of `json.rs`; what JSON has no type for is text.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use delta_kernel::arrow::array::cast::AsArray;
use delta_kernel::arrow::array::{Array, BinaryArray, StructArray};
use parquet_variant::Variant;

use super::encoder::ValueError;
use super::iso8601::push_timestamp;
use super::json::{push_float, push_number, push_string, quoted};
use super::numeric::push_decimal_text;
use crate::job::NullBytes;
use crate::source::is_variant;

/// A column of variants: the names in a value are kept beside it.
pub(crate) struct Variants<'a> {
    values: &'a StructArray,
    metadata: &'a BinaryArray,
    value: &'a BinaryArray,
}

impl<'a> Variants<'a> {
    /// `None` where the struct is one of the user's.
    pub(crate) fn of(array: &'a StructArray) -> Option<Self> {
        let part = |name: &str| array.column_by_name(name)?.as_binary_opt();
        if !is_variant(array) {
            return None;
        }
        Some(Self { values: array, metadata: part("metadata")?, value: part("value")? })
    }

    pub(crate) fn is_null(&self, row: usize) -> bool {
        self.values.is_null(row) || self.value.is_null(row)
    }

    pub(crate) fn push(
        &self,
        row: usize,
        nul: NullBytes,
        out: &mut Vec<u8>,
    ) -> Result<(), ValueError> {
        // Checks all of the value, so that walking through it finds nothing amiss.
        let variant = Variant::try_new(self.metadata.value(row), self.value.value(row))
            .map_err(|error| ValueError::Variant(error.to_string()))?;
        push(&variant, nul, out)
    }
}

fn push(variant: &Variant<'_, '_>, nul: NullBytes, out: &mut Vec<u8>) -> Result<(), ValueError> {
    let decimal = |out: &mut Vec<u8>, integer, scale| push_decimal_text(out, integer, scale);
    match variant {
        Variant::Null => out.extend_from_slice(b"null"),
        Variant::BooleanTrue => out.extend_from_slice(b"true"),
        Variant::BooleanFalse => out.extend_from_slice(b"false"),
        Variant::Int8(number) => push_number(out, number),
        Variant::Int16(number) => push_number(out, number),
        Variant::Int32(number) => push_number(out, number),
        Variant::Int64(number) => push_number(out, number),
        Variant::Float(number) => push_float(out, *number, f64::from(*number)),
        Variant::Double(number) => push_float(out, *number, *number),
        Variant::Decimal4(number) => decimal(out, i128::from(number.integer()), number.scale()),
        Variant::Decimal8(number) => decimal(out, i128::from(number.integer()), number.scale()),
        Variant::Decimal16(number) => decimal(out, number.integer(), number.scale()),
        Variant::TimestampMicros(at) => {
            quoted(out, |out| push_timestamp(out, at.timestamp_micros(), true));
        }
        Variant::TimestampNtzMicros(at) => {
            quoted(out, |out| push_timestamp(out, at.and_utc().timestamp_micros(), false));
        }
        // The debug forms are ISO 8601.
        Variant::Date(day) => push_string(out, &format!("{day:?}"), nul)?,
        Variant::Time(time) => push_string(out, &format!("{time:?}"), nul)?,
        Variant::TimestampNanos(at) => push_string(out, &format!("{at:?}"), nul)?,
        Variant::TimestampNtzNanos(at) => push_string(out, &format!("{at:?}"), nul)?,
        Variant::Uuid(uuid) => push_string(out, &uuid.to_string(), nul)?,
        Variant::Binary(bytes) => push_string(out, &BASE64.encode(bytes), nul)?,
        Variant::String(text) => push_string(out, text, nul)?,
        Variant::ShortString(text) => push_string(out, text.as_str(), nul)?,
        Variant::Object(object) => {
            out.push(b'{');
            for (nth, (name, value)) in object.iter().enumerate() {
                if nth > 0 {
                    out.push(b',');
                }
                push_string(out, name, nul)?;
                out.push(b':');
                push(&value, nul, out)?;
            }
            out.push(b'}');
        }
        Variant::List(list) => {
            out.push(b'[');
            for (nth, value) in list.iter().enumerate() {
                if nth > 0 {
                    out.push(b',');
                }
                push(&value, nul, out)?;
            }
            out.push(b']');
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use parquet_variant::VariantBuilder;

    use super::*;

    fn json(value: Variant<'_, '_>) -> String {
        let mut out = Vec::new();
        push(&value, NullBytes::Fail, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn each_type_has_its_form() {
        assert_eq!(json(Variant::from(7i8)), "7");
        assert_eq!(json(Variant::from(0.1f32)), "0.1");
        assert_eq!(json(Variant::from(f64::NAN)), "\"NaN\"");
        assert_eq!(json(Variant::from("a \"b\"")), r#""a \"b\"""#);
        assert_eq!(json(Variant::from(&b"\x01\x02"[..])), "\"AQI=\"");
        let decimal = parquet_variant::VariantDecimal8::try_new(-12_345, 3).unwrap();
        assert_eq!(json(Variant::Decimal8(decimal)), "-12.345");
    }

    #[test]
    fn objects_and_lists_nest() {
        let mut builder = VariantBuilder::new();
        let mut object = builder.new_object();
        object.insert("n", Variant::Null);
        let mut list = object.new_list("list");
        list.append_value(1i32);
        list.append_value("x");
        list.finish();
        object.finish();
        let (metadata, value) = builder.finish();
        let variant = Variant::try_new(&metadata, &value).unwrap();
        assert_eq!(json(variant), r#"{"list":[1,"x"],"n":null}"#);
    }
}
