//! What columns still need after the kernel has named them, to be what Spark shows.
//!
//! Owns: blanks at the end of CHAR(n), which Spark adds when it reads; and the mark that tells a variant from a
//! struct with fields of the same names. Both follow from the table's schema; columns without either are
//! passed as they are.

use std::collections::HashMap;
use std::sync::Arc;

use delta_kernel::arrow::array::cast::AsArray as _;
use delta_kernel::arrow::array::{
    Array as _, ArrayRef, ListArray, MapArray, StringArray, StructArray,
};
use delta_kernel::arrow::datatypes::{DataType as ArrowType, Field};
use delta_kernel::schema::{DataType, MetadataValue, PrimitiveType, StructField, StructType};

/// Where Spark keeps the type that a column was declared with, since Delta only knows strings.
const DECLARED: &str = "__CHAR_VARCHAR_TYPE_STRING";
/// Metadata of a variant's first field.
const MARK: &str = "lakeport.variant";

/// What a table's columns need; those that need nothing are not in it.
pub(super) struct Finish {
    columns: HashMap<String, Need>,
}

/// Of a column, or of a part of one.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Need {
    Nothing,
    /// A struct that has a variant's fields, and is none.
    NoMark,
    Pad(usize),
    Mark,
    Inside(Vec<Need>),
}

impl Need {
    fn any(&self, wanted: fn(&Need) -> bool) -> bool {
        match self {
            Self::Inside(parts) => parts.iter().any(|part| part.any(wanted)),
            other => wanted(other),
        }
    }

    fn is_nothing(&self) -> bool {
        !self.any(|need| matches!(need, Self::Pad(_) | Self::Mark))
    }

    fn pads(&self) -> bool {
        self.any(|need| matches!(need, Self::Pad(_)))
    }

    /// Beside a variant; alone it was never taken for one.
    fn has_like_variant(&self) -> bool {
        self.any(|need| *need == Self::NoMark)
    }
}

impl Finish {
    pub(super) fn of(schema: &StructType) -> Self {
        let needs = schema.fields().map(|field| (field.name().clone(), need(field)));
        Self { columns: needs.filter(|(_, need)| !need.is_nothing()).collect() }
    }

    pub(super) fn column(&self, name: &str, array: &ArrayRef) -> ArrayRef {
        match self.columns.get(name) {
            Some(need) => finished(need, array),
            None => Arc::clone(array),
        }
    }
}

impl Finish {
    /// A column that is shown otherwise than without all this, and why.
    pub(super) fn changed_by(&self) -> Option<(&str, &'static str)> {
        let found = |wanted: fn(&Need) -> bool| {
            self.columns.iter().find(|(_, need)| wanted(need)).map(|(name, _)| name.as_str())
        };
        let padded = found(Need::pads).map(|name| (name, "is CHAR(n), and is padded with blanks"));
        let alike = || found(Need::has_like_variant);
        padded.or_else(|| Some((alike()?, "holds structs that were taken for variants")))
    }
}

/// Whether a struct is a variant.
pub(crate) fn is_variant(array: &StructArray) -> bool {
    array.fields().first().is_some_and(|field| field.metadata().contains_key(MARK))
}

/// What a column needs.
pub(super) fn need(field: &StructField) -> Need {
    let declared = match field.metadata().get(DECLARED) {
        Some(MetadataValue::String(declared)) => declared.as_str(),
        _ => "",
    };
    need_of(field.data_type(), &mut Declared(declared))
}

/// Follows the declared type along with the one that Delta knows.
fn need_of(delta: &DataType, declared: &mut Declared<'_>) -> Need {
    let parts = match delta {
        DataType::Primitive(PrimitiveType::String) => {
            return declared.char_length().map_or(Need::Nothing, Need::Pad);
        }
        DataType::Primitive(_) => {
            declared.skip_type();
            return Need::Nothing;
        }
        DataType::Variant(_) => {
            declared.skip_type();
            return Need::Mark;
        }
        DataType::Array(array) => {
            declared.skip("array<");
            vec![need_of(array.element_type(), declared)]
        }
        DataType::Map(map) => {
            declared.skip("map<");
            let key = need_of(map.key_type(), declared);
            declared.skip(",");
            vec![key, need_of(map.value_type(), declared)]
        }
        DataType::Struct(fields) if is_like_variant(fields) => {
            declared.skip("struct<metadata:binary,value:binary>");
            return Need::NoMark;
        }
        DataType::Struct(fields) => {
            declared.skip("struct<");
            let parts = fields.fields().map(|field| {
                declared.skip(",");
                declared.skip_name(field.name());
                need_of(field.data_type(), declared)
            });
            parts.collect()
        }
    };
    declared.skip(">");
    match parts.iter().all(|part| *part == Need::Nothing) {
        true => Need::Nothing,
        false => Need::Inside(parts),
    }
}

fn is_like_variant(fields: &StructType) -> bool {
    let mut fields = fields.fields();
    let mut has = |name: &str| {
        fields
            .next()
            .is_some_and(|field| field.name() == name && *field.data_type() == DataType::BINARY)
    };
    has("metadata") && has("value") && fields.next().is_none()
}

/// What is left of a declared type: `struct<a:char(3),b:array<int>>`.
struct Declared<'a>(&'a str);

impl Declared<'_> {
    fn skip(&mut self, expected: &str) {
        self.0 = self.0.strip_prefix(expected).unwrap_or(self.0);
    }

    fn skip_name(&mut self, name: &str) {
        let quoted = format!("`{}`", name.replace('`', "``"));
        let rest = self.0.strip_prefix(quoted.as_str()).or_else(|| self.0.strip_prefix(name));
        self.0 = rest.unwrap_or(self.0);
        self.skip(":");
    }

    /// A type without parts, with its parameters: `decimal(10,2)`.
    fn skip_type(&mut self) -> &str {
        let mut depth = 0_usize;
        let end = self.0.find(|letter| match letter {
            '(' => {
                depth += 1;
                false
            }
            ')' => {
                depth = depth.saturating_sub(1);
                false
            }
            ',' | '>' => depth == 0,
            _ => false,
        });
        let (found, rest) = self.0.split_at(end.unwrap_or(self.0.len()));
        self.0 = rest;
        found
    }

    fn char_length(&mut self) -> Option<usize> {
        self.skip_type().strip_prefix("char(")?.strip_suffix(')')?.parse().ok()
    }
}

fn finished(need: &Need, array: &ArrayRef) -> ArrayRef {
    match (need, array.data_type()) {
        (Need::Pad(length), ArrowType::Utf8) => padded(array, *length),
        (Need::Mark, ArrowType::Struct(_)) => Arc::new(marked(array.as_struct())),
        (Need::Inside(parts), _) => finished_inside(parts, array),
        _ => Arc::clone(array),
    }
}

fn finished_inside(parts: &[Need], array: &ArrayRef) -> ArrayRef {
    let refit = |field: &Field, array: &ArrayRef| {
        Arc::new(field.clone().with_data_type(array.data_type().clone()))
    };
    match (array.data_type(), parts) {
        (ArrowType::Struct(_), _) => Arc::new(finished_fields(parts, array.as_struct())),
        (ArrowType::List(_), [element]) => {
            let (field, offsets, values, nulls) = array.as_list::<i32>().clone().into_parts();
            let values = finished(element, &values);
            Arc::new(ListArray::new(refit(&field, &values), offsets, values, nulls))
        }
        (ArrowType::Map(_, _), _) => {
            let (field, offsets, entries, nulls, sorted) = array.as_map().clone().into_parts();
            let entries = finished_fields(parts, &entries);
            let field = Arc::new(Field::clone(&field).with_data_type(entries.data_type().clone()));
            Arc::new(MapArray::new(field, offsets, entries, nulls, sorted))
        }
        _ => Arc::clone(array),
    }
}

fn finished_fields(parts: &[Need], array: &StructArray) -> StructArray {
    let columns = array.columns().iter().zip(parts);
    let columns: Vec<ArrayRef> = columns.map(|(column, part)| finished(part, column)).collect();
    let fields = array.fields().iter().zip(&columns);
    let fields = fields
        .map(|(field, column)| Field::clone(field).with_data_type(column.data_type().clone()));
    StructArray::new(fields.collect(), columns, array.nulls().cloned())
}

fn marked(array: &StructArray) -> StructArray {
    let fields = array.fields().iter().enumerate().map(|(nth, field)| {
        let mut field = Field::clone(field);
        if nth == 0 {
            field = field.with_metadata(HashMap::from([(MARK.to_owned(), String::new())]));
        }
        field
    });
    StructArray::new(fields.collect(), array.columns().to_vec(), array.nulls().cloned())
}

/// With blanks at the ends of texts that are shorter, counted in characters.
fn padded(array: &ArrayRef, length: usize) -> ArrayRef {
    let texts = array.as_string::<i32>();
    let short = |text: &str| text.len() < length || text.chars().count() < length;
    if !texts.iter().flatten().any(short) {
        return Arc::clone(array);
    }
    let padded = texts.iter().map(|text| text.map(|text| format!("{text:length$}")));
    Arc::new(padded.collect::<StringArray>())
}

#[cfg(test)]
mod tests {
    use delta_kernel::schema::{ArrayType, MapType};

    use super::*;

    fn field(delta: DataType, declared: &str) -> StructField {
        let field = StructField::nullable("c", delta);
        field.with_metadata([(DECLARED, MetadataValue::String(declared.to_owned()))])
    }

    #[test]
    fn declared_types_are_followed_inside() {
        assert_eq!(need(&field(DataType::STRING, "char(5)")), Need::Pad(5));
        assert_eq!(need(&field(DataType::STRING, "varchar(5)")), Need::Nothing);
        let list = DataType::from(ArrayType::new(DataType::STRING, true));
        assert_eq!(need(&field(list, "array<char(2)>")), Need::Inside(vec![Need::Pad(2)]));
        let fields = StructType::try_new([
            StructField::nullable("d", DataType::decimal(10, 2).unwrap()),
            StructField::nullable("odd,name", DataType::STRING),
            StructField::nullable("m", MapType::new(DataType::STRING, DataType::INTEGER, true)),
            StructField::nullable("e", DataType::STRING),
        ]);
        let declared = "struct<d:decimal(10,2),`odd,name`:char(3),m:map<char(1),int>,e:char(4)>";
        assert_eq!(
            need(&field(DataType::from(fields.unwrap()), declared)),
            Need::Inside(vec![
                Need::Nothing,
                Need::Pad(3),
                Need::Inside(vec![Need::Pad(1), Need::Nothing]),
                Need::Pad(4),
            ])
        );
    }

    #[test]
    fn variants_are_found_at_any_depth_and_structs_are_none() {
        let variant = DataType::unshredded_variant;
        let nested = StructField::nullable("c", ArrayType::new(variant(), true));
        assert_eq!(need(&nested), Need::Inside(vec![Need::Mark]));
        let DataType::Variant(alike) = variant() else { unreachable!() };
        assert_eq!(need(&StructField::nullable("c", DataType::Struct(alike))), Need::NoMark);
    }

    #[test]
    fn blanks_are_counted_in_characters() {
        let texts: ArrayRef = Arc::new(StringArray::from(vec![Some("é"), None, Some("abc")]));
        let padded = padded(&texts, 3);
        let expected = StringArray::from(vec![Some("é  "), None, Some("abc")]);
        assert_eq!(padded.as_string::<i32>(), &expected);
    }
}
