//! Arrays, maps and structs as JSON text, for `jsonb`.
//!
//! Owns: one tree of typed column views a batch, made once, so that writing a value looks up no type.
//! The choices: maps are objects with text keys, binary is base64, decimals are numbers with all their
//! digits, NaN and the infinities are strings, dates and timestamps are ISO 8601.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use delta_kernel::arrow::array::cast::AsArray;
use delta_kernel::arrow::array::{
    Array, BinaryArray, BooleanArray, Date32Array, Decimal128Array, Float32Array, Float64Array,
    Int8Array, Int16Array, Int32Array, Int64Array, ListArray, MapArray, StringArray, StructArray,
    TimestampMicrosecondArray,
};
use delta_kernel::arrow::datatypes::{DataType, TimeUnit};
use serde::Serialize;

use super::encoder::ValueError;
use super::iso8601::{push_date, push_timestamp};
use super::numeric::push_decimal_text;
use super::variant::Variants;
use crate::job::NullBytes;

/// A column, or a part of one, with its type already looked up.
pub(crate) enum Node<'a> {
    Null,
    Boolean(&'a BooleanArray),
    Int8(&'a Int8Array),
    Int16(&'a Int16Array),
    Int32(&'a Int32Array),
    Int64(&'a Int64Array),
    Float32(&'a Float32Array),
    Float64(&'a Float64Array),
    Decimal(&'a Decimal128Array, u8),
    Date(&'a Date32Array),
    Timestamp(&'a TimestampMicrosecondArray, bool),
    Text(&'a StringArray),
    Binary(&'a BinaryArray),
    List(&'a ListArray, Box<Node<'a>>),
    Map(&'a MapArray, Box<Node<'a>>, Box<Node<'a>>),
    Struct(&'a StructArray, Vec<Member<'a>>),
    Variant(Variants<'a>),
}

pub(crate) struct Member<'a> {
    /// `"name":`, escaped already.
    label: Vec<u8>,
    node: Node<'a>,
}

impl<'a> Node<'a> {
    pub(crate) fn new(array: &'a dyn Array) -> Result<Self, ValueError> {
        let inner = |array: &'a dyn Array| Self::new(array);
        Ok(match array.data_type() {
            DataType::Null => Self::Null,
            DataType::Boolean => Self::Boolean(array.as_boolean()),
            DataType::Int8 => Self::Int8(array.as_primitive()),
            DataType::Int16 => Self::Int16(array.as_primitive()),
            DataType::Int32 => Self::Int32(array.as_primitive()),
            DataType::Int64 => Self::Int64(array.as_primitive()),
            DataType::Float32 => Self::Float32(array.as_primitive()),
            DataType::Float64 => Self::Float64(array.as_primitive()),
            DataType::Decimal128(_, scale) => {
                let scale = u8::try_from(*scale).map_err(|_| unexpected(array))?;
                Self::Decimal(array.as_primitive(), scale)
            }
            DataType::Date32 => Self::Date(array.as_primitive()),
            DataType::Timestamp(TimeUnit::Microsecond, zone) => {
                Self::Timestamp(array.as_primitive(), zone.is_some())
            }
            DataType::Utf8 => Self::Text(array.as_string()),
            DataType::Binary => Self::Binary(array.as_binary()),
            DataType::List(_) => {
                let list = array.as_list();
                Self::List(list, Box::new(inner(list.values().as_ref())?))
            }
            DataType::Map(_, _) => {
                let map = array.as_map();
                let keys = inner(map.keys().as_ref())?;
                Self::Map(map, Box::new(keys), Box::new(inner(map.values().as_ref())?))
            }
            DataType::Struct(_) => Self::of_struct(array.as_struct())?,
            _ => return Err(unexpected(array)),
        })
    }

    fn of_struct(array: &'a StructArray) -> Result<Self, ValueError> {
        if let Some(found) = Variants::of(array) {
            return Ok(Self::Variant(found));
        }
        let members = array.fields().iter().zip(array.columns()).map(|(field, column)| {
            let mut label = Vec::new();
            push_string(&mut label, field.name(), NullBytes::Fail)?;
            label.push(b':');
            Ok(Member { label, node: Self::new(column.as_ref())? })
        });
        Ok(Self::Struct(array, members.collect::<Result<_, ValueError>>()?))
    }

    pub(crate) fn is_null(&self, row: usize) -> bool {
        match self {
            Self::Null => true,
            Self::Boolean(a) => a.is_null(row),
            Self::Int8(a) => a.is_null(row),
            Self::Int16(a) => a.is_null(row),
            Self::Int32(a) => a.is_null(row),
            Self::Int64(a) => a.is_null(row),
            Self::Float32(a) => a.is_null(row),
            Self::Float64(a) => a.is_null(row),
            Self::Decimal(a, _) => a.is_null(row),
            Self::Date(a) => a.is_null(row),
            Self::Timestamp(a, _) => a.is_null(row),
            Self::Text(a) => a.is_null(row),
            Self::Binary(a) => a.is_null(row),
            Self::List(a, _) => a.is_null(row),
            Self::Map(a, _, _) => a.is_null(row),
            Self::Struct(a, _) => a.is_null(row),
            Self::Variant(variants) => variants.is_null(row),
        }
    }

    pub(crate) fn push(
        &self,
        row: usize,
        nul: NullBytes,
        out: &mut Vec<u8>,
    ) -> Result<(), ValueError> {
        if self.is_null(row) {
            out.extend_from_slice(b"null");
            return Ok(());
        }
        match self {
            Self::Null => {}
            Self::Boolean(a) => push_number(out, a.value(row)),
            Self::Int8(a) => push_number(out, a.value(row)),
            Self::Int16(a) => push_number(out, a.value(row)),
            Self::Int32(a) => push_number(out, a.value(row)),
            Self::Int64(a) => push_number(out, a.value(row)),
            Self::Float32(a) => push_float(out, a.value(row), f64::from(a.value(row))),
            Self::Float64(a) => push_float(out, a.value(row), a.value(row)),
            Self::Decimal(a, scale) => push_decimal_text(out, a.value(row), *scale),
            Self::Date(a) => quoted(out, |out| push_date(out, a.value(row))),
            Self::Timestamp(a, is_instant) => {
                quoted(out, |out| push_timestamp(out, a.value(row), *is_instant));
            }
            Self::Text(a) => push_string(out, a.value(row), nul)?,
            Self::Binary(a) => {
                quoted(out, |out| out.extend_from_slice(BASE64.encode(a.value(row)).as_bytes()));
            }
            Self::List(a, items) => push_list(out, a, items, row, nul)?,
            Self::Map(a, keys, values) => push_map(out, a, keys, values, row, nul)?,
            Self::Struct(_, members) => push_struct(out, members, row, nul)?,
            Self::Variant(variants) => variants.push(row, nul, out)?,
        }
        Ok(())
    }

    /// As an object's key, which has to be text: what is not a string is written as JSON in a string.
    fn push_key(&self, row: usize, nul: NullBytes, out: &mut Vec<u8>) -> Result<(), ValueError> {
        if let Self::Text(a) = self {
            return push_string(out, a.value(row), nul);
        }
        let mut value = Vec::new();
        self.push(row, nul, &mut value)?;
        match value.first() {
            Some(b'"') => out.extend_from_slice(&value),
            _ => push_string(out, &String::from_utf8_lossy(&value), nul)?,
        }
        Ok(())
    }
}

fn push_list(
    out: &mut Vec<u8>,
    list: &ListArray,
    items: &Node<'_>,
    row: usize,
    nul: NullBytes,
) -> Result<(), ValueError> {
    out.push(b'[');
    for (nth, item) in span(list.value_offsets(), row).enumerate() {
        if nth > 0 {
            out.push(b',');
        }
        items.push(item, nul, out)?;
    }
    out.push(b']');
    Ok(())
}

fn push_map(
    out: &mut Vec<u8>,
    map: &MapArray,
    keys: &Node<'_>,
    values: &Node<'_>,
    row: usize,
    nul: NullBytes,
) -> Result<(), ValueError> {
    out.push(b'{');
    for (nth, entry) in span(map.value_offsets(), row).enumerate() {
        if nth > 0 {
            out.push(b',');
        }
        keys.push_key(entry, nul, out)?;
        out.push(b':');
        values.push(entry, nul, out)?;
    }
    out.push(b'}');
    Ok(())
}

fn push_struct(
    out: &mut Vec<u8>,
    members: &[Member<'_>],
    row: usize,
    nul: NullBytes,
) -> Result<(), ValueError> {
    out.push(b'{');
    for (nth, member) in members.iter().enumerate() {
        if nth > 0 {
            out.push(b',');
        }
        out.extend_from_slice(&member.label);
        member.node.push(row, nul, out)?;
    }
    out.push(b'}');
    Ok(())
}

/// The child rows of a list or map row. Arrow keeps offsets ascending and not negative.
fn span(offsets: &[i32], row: usize) -> std::ops::Range<usize> {
    offsets[row] as usize..offsets[row + 1] as usize
}

pub(super) fn quoted(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    out.push(b'"');
    write(out);
    out.push(b'"');
}

/// Numbers and booleans in their shortest form.
pub(super) fn push_number(out: &mut Vec<u8>, number: impl Serialize) {
    // A number into a Vec: neither the format nor the writer can fail.
    let _ = serde_json::to_writer(out, &number);
}

/// `wide` only tells the kind; the number is written in its own width, so that 0.1 stays 0.1.
pub(super) fn push_float(out: &mut Vec<u8>, number: impl Serialize, wide: f64) {
    match wide {
        _ if wide.is_finite() => push_number(out, number),
        _ if wide.is_nan() => out.extend_from_slice(b"\"NaN\""),
        _ if wide > 0.0 => out.extend_from_slice(b"\"Infinity\""),
        _ => out.extend_from_slice(b"\"-Infinity\""),
    }
}

pub(crate) fn push_string(out: &mut Vec<u8>, text: &str, nul: NullBytes) -> Result<(), ValueError> {
    out.push(b'"');
    let bytes = text.as_bytes();
    let mut copied = 0;
    for (at, byte) in bytes.iter().enumerate() {
        if *byte >= 0x20 && *byte != b'"' && *byte != b'\\' {
            continue;
        }
        out.extend_from_slice(&bytes[copied..at]);
        copied = at + 1;
        push_escaped(out, *byte, nul)?;
    }
    out.extend_from_slice(&bytes[copied..]);
    out.push(b'"');
    Ok(())
}

fn push_escaped(out: &mut Vec<u8>, byte: u8, nul: NullBytes) -> Result<(), ValueError> {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    match byte {
        b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
        b'\n' => out.extend_from_slice(b"\\n"),
        // jsonb takes no NUL, escaped or not.
        0 => match nul {
            NullBytes::Fail => return Err(ValueError::Nul),
            NullBytes::Strip => {}
            NullBytes::Replace => out.extend_from_slice("\u{FFFD}".as_bytes()),
        },
        _ => {
            out.extend_from_slice(b"\\u00");
            out.extend_from_slice(&[HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
        }
    }
    Ok(())
}

fn unexpected(array: &dyn Array) -> ValueError {
    ValueError::Type(array.data_type().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn string(text: &str, nul: NullBytes) -> Result<String, ValueError> {
        let mut out = Vec::new();
        push_string(&mut out, text, nul)?;
        Ok(String::from_utf8(out).unwrap())
    }

    #[test]
    fn strings_escape_as_serde_json_reads_them() {
        let text = "quote \" slash \\ line \n bell \u{7} é 🚢";
        let written = string(text, NullBytes::Fail).unwrap();
        assert_eq!(serde_json::from_str::<String>(&written).unwrap(), text);
    }

    #[test]
    fn nul_follows_the_policy() {
        assert!(matches!(string("a\0b", NullBytes::Fail), Err(ValueError::Nul)));
        assert_eq!(string("a\0b", NullBytes::Strip).unwrap(), "\"ab\"");
        assert_eq!(string("a\0b", NullBytes::Replace).unwrap(), "\"a\u{FFFD}b\"");
    }

    #[test]
    fn narrow_floats_keep_their_own_digits() {
        let mut out = Vec::new();
        push_float(&mut out, 0.1f32, f64::from(0.1f32));
        assert_eq!(out, b"0.1");
    }

    #[test]
    fn map_keys_become_text() {
        let ints = Int32Array::from(vec![7]);
        let floats = Float64Array::from(vec![f64::NAN]);
        let mut out = Vec::new();
        Node::new(&ints).unwrap().push_key(0, NullBytes::Fail, &mut out).unwrap();
        Node::new(&floats).unwrap().push_key(0, NullBytes::Fail, &mut out).unwrap();
        assert_eq!(out, b"\"7\"\"NaN\"");
    }
}
