//! Changes of a table's schema inside of its columns, which show in every row and in no change data feed.
//!
//! PostgreSQL holds a nested value as jsonb, so a field that was added, a number that became wider or a name that
//! changed leaves old values as they were written, while the source shows all of them in the new form. So does
//! a text that is CHAR(n) no longer, or only now. Owns: telling such changes from those that no value shows.

use delta_kernel::schema::{
    ColumnMetadataKey, DataType, MetadataValue, PrimitiveType, StructField, StructType,
};

use super::logical::need;

/// The first column whose values show differently under the later schema.
pub(super) fn changed(before: &StructType, after: &StructType) -> Option<String> {
    let mut columns = after.fields();
    let found = columns.find(|field| {
        before.field(field.name()).is_some_and(|was| {
            let inside =
                is_nested(field.data_type()) && !is_same(was.data_type(), field.data_type());
            inside || need(was) != need(field)
        })
    });
    found.map(|field| field.name().clone())
}

/// By column mapping, a name may stand for another column than before.
pub(super) fn physical_name(field: &StructField) -> &str {
    match field.metadata().get(ColumnMetadataKey::ColumnMappingPhysicalName.as_ref()) {
        Some(MetadataValue::String(name)) => name,
        _ => field.name(),
    }
}

fn is_nested(delta: &DataType) -> bool {
    !matches!(delta, DataType::Primitive(_))
}

/// Whether values look the same in JSON.
fn is_same(before: &DataType, after: &DataType) -> bool {
    match (before, after) {
        (DataType::Primitive(before), DataType::Primitive(after)) => looks_same(before, after),
        (DataType::Array(before), DataType::Array(after)) => {
            is_same(before.element_type(), after.element_type())
        }
        (DataType::Map(before), DataType::Map(after)) => {
            is_same(before.key_type(), after.key_type())
                && is_same(before.value_type(), after.value_type())
        }
        (DataType::Struct(before), DataType::Struct(after)) => {
            before.num_fields() == after.num_fields()
                && after.fields().all(|field| {
                    before.field(field.name()).is_some_and(|was| {
                        physical_name(was) == physical_name(field)
                            && is_same(was.data_type(), field.data_type())
                    })
                })
        }
        (DataType::Variant(_), DataType::Variant(_)) => true,
        _ => false,
    }
}

fn looks_same(before: &PrimitiveType, after: &PrimitiveType) -> bool {
    use PrimitiveType::{Byte, Decimal, Integer, Long, Short};
    let is_whole = |number: &PrimitiveType| match number {
        Byte | Short | Integer | Long => true,
        Decimal(decimal) => decimal.scale() == 0,
        _ => false,
    };
    match (before, after) {
        (Decimal(before), Decimal(after)) => before.scale() == after.scale(),
        _ => before == after || (is_whole(before) && is_whole(after)),
    }
}

#[cfg(test)]
mod tests {
    use delta_kernel::schema::{ArrayType, MapType};

    use super::*;

    fn table(column: impl Into<DataType>) -> StructType {
        StructType::try_new([StructField::nullable("c", column)]).unwrap()
    }

    fn shows(before: impl Into<DataType>, after: impl Into<DataType>) -> bool {
        changed(&table(before), &table(after)).is_some()
    }

    #[test]
    fn what_json_shows_is_a_change() {
        let list = |element: DataType| ArrayType::new(element, true);
        let decimal = |precision, scale| DataType::decimal(precision, scale).unwrap();
        assert!(shows(list(DataType::FLOAT), list(DataType::DOUBLE)));
        assert!(shows(list(DataType::INTEGER), list(DataType::DOUBLE)));
        assert!(shows(list(DataType::DATE), list(DataType::TIMESTAMP_NTZ)));
        assert!(shows(list(decimal(4, 1)), list(decimal(6, 2))));
        assert!(shows(list(DataType::INTEGER), list(decimal(12, 2))));
        assert!(!shows(list(DataType::BYTE), list(DataType::LONG)));
        assert!(!shows(list(decimal(4, 1)), list(decimal(6, 1))));
        assert!(!shows(list(DataType::INTEGER), list(decimal(10, 0))));
        let map = |value: DataType| MapType::new(DataType::STRING, value, true);
        assert!(shows(map(DataType::FLOAT), map(DataType::DOUBLE)));
    }

    #[test]
    fn columns_themselves_are_altered_in_place() {
        assert!(!shows(DataType::FLOAT, DataType::DOUBLE));
    }

    #[test]
    fn texts_that_are_padded_now_are_changes() {
        let declared = |as_what: &str| {
            let field = StructField::nullable("c", DataType::STRING);
            let declared = MetadataValue::String(as_what.to_owned());
            let field = field.with_metadata([("__CHAR_VARCHAR_TYPE_STRING", declared)]);
            StructType::try_new([field]).unwrap()
        };
        assert!(changed(&declared("char(3)"), &declared("char(5)")).is_some());
        assert!(changed(&declared("char(3)"), &declared("varchar(3)")).is_some());
        assert!(changed(&declared("varchar(3)"), &declared("varchar(5)")).is_none());
    }

    #[test]
    fn fields_that_come_go_or_stand_for_others_are_changes() {
        let fields = |names: &[&str]| {
            let fields = names.iter().map(|name| StructField::nullable(*name, DataType::STRING));
            DataType::from(StructType::try_new(fields).unwrap())
        };
        assert!(shows(fields(&["a"]), fields(&["a", "b"])));
        assert!(shows(fields(&["a", "b"]), fields(&["a"])));
        assert!(shows(fields(&["a"]), fields(&["b"])));
        // jsonb keeps no order.
        assert!(!shows(fields(&["a", "b"]), fields(&["b", "a"])));
        let stored_as = |name: &str| {
            let key = ColumnMetadataKey::ColumnMappingPhysicalName.as_ref().to_owned();
            let field = StructField::nullable("a", DataType::STRING);
            let field = field.with_metadata([(key, MetadataValue::String(name.to_owned()))]);
            DataType::from(StructType::try_new([field]).unwrap())
        };
        assert!(shows(stored_as("col-1"), stored_as("col-2")));
    }
}
