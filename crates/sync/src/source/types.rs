//! The type map: each Delta type, its PostgreSQL type, and the Arrow type it is encoded from.

use std::sync::Arc;

use delta_kernel::arrow::datatypes::{DataType as ArrowType, Field, TimeUnit};
use delta_kernel::schema::{DataType, PrimitiveType};

use crate::job::PgType;

/// A top-level column's type, as far as loading cares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ColumnType {
    Boolean,
    Byte,
    Short,
    Integer,
    Long,
    Float,
    Double,
    Decimal {
        precision: u8,
        scale: u8,
    },
    Date,
    Timestamp,
    TimestampNtz,
    Text,
    Binary,
    IntervalMonths,
    IntervalMicros,
    /// Arrays, maps, structs, and values that say their own type.
    Json,
    Void,
    /// By choice, for strings.
    Varchar(u32),
    /// By choice, for arrays of numbers: types of the extension `vector`.
    Vector(u16),
    HalfVector(u16),
}

impl ColumnType {
    pub(crate) fn of(delta: &DataType) -> Self {
        match delta {
            DataType::Primitive(primitive) => Self::of_primitive(primitive),
            _ => Self::Json,
        }
    }

    /// The chosen type, if values of this one can have it. `delta_type` is the column's own, in SQL
    /// spelling.
    pub(crate) fn chosen(self, delta_type: &str, choice: PgType) -> Option<Self> {
        let numbers = matches!(delta_type, "array<float>" | "array<double>");
        match choice {
            PgType::Varchar(size) => (self == Self::Text).then_some(Self::Varchar(size)),
            PgType::Vector(size) => numbers.then_some(Self::Vector(size)),
            PgType::HalfVector(size) => numbers.then_some(Self::HalfVector(size)),
        }
    }

    /// Whether it is a type of the extension `vector`.
    pub(crate) fn is_vector(&self) -> bool {
        matches!(self, Self::Vector(_) | Self::HalfVector(_))
    }

    fn of_primitive(primitive: &PrimitiveType) -> Self {
        match primitive {
            PrimitiveType::Boolean => Self::Boolean,
            PrimitiveType::Byte => Self::Byte,
            PrimitiveType::Short => Self::Short,
            PrimitiveType::Integer => Self::Integer,
            PrimitiveType::Long => Self::Long,
            PrimitiveType::Float => Self::Float,
            PrimitiveType::Double => Self::Double,
            PrimitiveType::Decimal(decimal) => {
                Self::Decimal { precision: decimal.precision(), scale: decimal.scale() }
            }
            PrimitiveType::Date => Self::Date,
            PrimitiveType::Timestamp => Self::Timestamp,
            PrimitiveType::TimestampNtz => Self::TimestampNtz,
            PrimitiveType::String => Self::Text,
            PrimitiveType::Binary => Self::Binary,
            PrimitiveType::IntervalYearMonth => Self::IntervalMonths,
            PrimitiveType::IntervalDayTime => Self::IntervalMicros,
            PrimitiveType::Void => Self::Void,
        }
    }

    /// In the spelling of `format_type`, without a schema, so that it compares with what a table has.
    pub(crate) fn postgres(&self) -> String {
        match self {
            Self::Boolean => "boolean",
            Self::Byte | Self::Short => "smallint",
            Self::Integer => "integer",
            Self::Long => "bigint",
            Self::Float => "real",
            Self::Double => "double precision",
            Self::Decimal { precision, scale } => return format!("numeric({precision},{scale})"),
            Self::Date => "date",
            Self::Timestamp => "timestamp with time zone",
            Self::TimestampNtz => "timestamp without time zone",
            Self::Text | Self::Void => "text",
            Self::Binary => "bytea",
            Self::IntervalMonths | Self::IntervalMicros => "interval",
            Self::Json => "jsonb",
            Self::Varchar(size) => return format!("character varying({size})"),
            Self::Vector(size) => return format!("vector({size})"),
            Self::HalfVector(size) => return format!("halfvec({size})"),
        }
        .to_owned()
    }

    /// What the encoder downcasts to; `None` where it looks at the array itself.
    pub(crate) fn arrow(&self) -> Option<ArrowType> {
        Some(match self {
            Self::Boolean => ArrowType::Boolean,
            Self::Byte => ArrowType::Int8,
            Self::Short => ArrowType::Int16,
            Self::Integer | Self::IntervalMonths => ArrowType::Int32,
            Self::Long | Self::IntervalMicros => ArrowType::Int64,
            Self::Float => ArrowType::Float32,
            Self::Double => ArrowType::Float64,
            // Delta allows no negative scale, and 38 at most.
            Self::Decimal { precision, scale } => ArrowType::Decimal128(*precision, *scale as i8),
            Self::Date => ArrowType::Date32,
            Self::Timestamp => ArrowType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
            Self::TimestampNtz => ArrowType::Timestamp(TimeUnit::Microsecond, None),
            Self::Text | Self::Varchar(_) => ArrowType::Utf8,
            Self::Binary => ArrowType::Binary,
            Self::Json | Self::Void => return None,
            Self::Vector(_) | Self::HalfVector(_) => {
                let item = Field::new("element", ArrowType::Float32, true);
                ArrowType::List(Arc::new(item))
            }
        })
    }

    /// Whether PostgreSQL can turn values of the one type (as `format_type` spells it) into this one
    /// without loss, as Delta's type widening does.
    pub(crate) fn widens(&self, from: &str) -> bool {
        match (self, from) {
            (Self::Integer, "smallint") | (Self::Long, "smallint" | "integer") => true,
            (Self::Double, "real" | "smallint" | "integer") => true,
            (Self::TimestampNtz, "date") => true,
            (Self::Decimal { precision, scale }, _) => {
                let whole = precision.saturating_sub(*scale);
                digits(from).is_some_and(|(had, of)| whole >= had && *scale >= of)
            }
            _ => false,
        }
    }

    /// Whether values are equal to PostgreSQL exactly where their encoded bytes are. Zero has two signs,
    /// and spaces at a varchar's end may be cut off.
    pub(crate) fn equals_by_bytes(&self) -> bool {
        !matches!(self, Self::Float | Self::Double | Self::Varchar(_)) && self.can_be_key()
    }

    /// Whether values have an order and an equality that can carry a primary key.
    pub(crate) fn can_be_key(&self) -> bool {
        !matches!(self, Self::Json | Self::Void) && !self.is_vector()
    }
}

/// Digits before and after the point that a numeric type can hold.
fn digits(pg_type: &str) -> Option<(u8, u8)> {
    match pg_type {
        "smallint" => return Some((5, 0)),
        "integer" => return Some((10, 0)),
        "bigint" => return Some((19, 0)),
        _ => {}
    }
    let (precision, scale) =
        pg_type.strip_prefix("numeric(")?.strip_suffix(')')?.split_once(',')?;
    let (precision, scale): (u8, u8) = (precision.parse().ok()?, scale.parse().ok()?);
    Some((precision.checked_sub(scale)?, scale))
}

/// The type in SQL spelling: `bigint`, `decimal(10,2)`, `struct<a:int>`.
pub(crate) fn delta_name(delta: &DataType) -> String {
    match delta {
        DataType::Primitive(PrimitiveType::Byte) => "tinyint".to_owned(),
        DataType::Primitive(PrimitiveType::Short) => "smallint".to_owned(),
        DataType::Primitive(PrimitiveType::Integer) => "int".to_owned(),
        DataType::Primitive(PrimitiveType::Long) => "bigint".to_owned(),
        DataType::Primitive(primitive) => primitive.to_string(),
        DataType::Array(array) => format!("array<{}>", delta_name(array.element_type())),
        DataType::Map(map) => {
            format!("map<{},{}>", delta_name(map.key_type()), delta_name(map.value_type()))
        }
        DataType::Struct(fields) => {
            let fields = fields.fields();
            let fields: Vec<String> = fields
                .map(|field| format!("{}:{}", field.name(), delta_name(field.data_type())))
                .collect();
            format!("struct<{}>", fields.join(","))
        }
        DataType::Variant(_) => "variant".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use delta_kernel::schema::{ArrayType, MapType, StructField, StructType};

    fn decimal() -> DataType {
        DataType::decimal(10, 2).unwrap()
    }

    #[test]
    fn names_are_sql() {
        let fields = StructType::try_new([
            StructField::nullable("a", DataType::INTEGER),
            StructField::nullable("b", MapType::new(DataType::STRING, decimal(), true)),
        ]);
        let array = ArrayType::new(fields.unwrap(), true);
        let name = delta_name(&DataType::from(array));
        assert_eq!(name, "array<struct<a:int,b:map<string,decimal(10,2)>>>");
    }

    #[test]
    fn types_are_chosen_where_they_fit() {
        let chosen = ColumnType::Json.chosen("array<double>", PgType::Vector(3));
        assert_eq!(chosen, Some(ColumnType::Vector(3)));
        assert_eq!(ColumnType::Json.chosen("array<string>", PgType::Vector(3)), None);
        assert_eq!(ColumnType::Long.chosen("bigint", PgType::Varchar(3)), None);
        let text = ColumnType::Text.chosen("string", PgType::Varchar(3)).unwrap();
        assert_eq!(text.postgres(), "character varying(3)");
    }

    #[test]
    fn widening_loses_nothing() {
        let decimal = |precision, scale| ColumnType::Decimal { precision, scale };
        assert!(ColumnType::Long.widens("smallint") && ColumnType::Double.widens("real"));
        assert!(decimal(12, 2).widens("numeric(10,2)") && decimal(12, 4).widens("numeric(10,2)"));
        assert!(decimal(10, 0).widens("integer"));
        assert!(!decimal(10, 4).widens("numeric(10,2)") && !decimal(10, 2).widens("integer"));
        assert!(!ColumnType::Integer.widens("bigint") && !ColumnType::Double.widens("bigint"));
        assert!(!ColumnType::Text.widens("integer"));
    }

    #[test]
    fn decimals_keep_precision_and_scale() {
        assert_eq!(ColumnType::of(&decimal()).postgres(), "numeric(10,2)");
    }
}
