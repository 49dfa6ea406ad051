//! What a file has of the columns that are asked for.
//!
//! Owns: finding a column, by its id where it has one, else by its name in whatever case, as Spark does; and
//! which columns need not be decoded at all. A column that is not there is NULL throughout.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use delta_kernel::arrow::datatypes::{
    DataType as ArrowType, Field, FieldRef, Fields, Schema, SchemaRef as ArrowSchemaRef,
};
use delta_kernel::engine::arrow_conversion::TryIntoArrow as _;
use delta_kernel::parquet::arrow::{PARQUET_FIELD_ID_META_KEY, ProjectionMask};
use delta_kernel::schema::{
    ArrayType, ColumnMetadataKey, DataType, MapType, MetadataValue, PrimitiveType, StructField,
    StructType,
};
use delta_kernel::{KernelError, KernelResult};

use super::file::Footer;
use super::leaf::Leaf;

/// How a file's batches become what is asked for.
pub(super) struct Plan {
    pub(super) mask: ProjectionMask,
    pub(super) columns: Vec<Child>,
    pub(super) schema: ArrowSchemaRef,
    /// Columns of the table that are not simply what the file holds, by their paths.
    pub(in crate::source) remarks: Vec<(String, Remark)>,
}

/// What is particular about a column in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(in crate::source) enum Remark {
    /// Timestamps of 96 bits.
    Int96,
    /// Dates or timestamps in the calendar of old versions of Spark.
    OldCalendar,
    /// Another case in its name.
    OtherCase,
    /// Inside of a column: a type that was widened since, or a field that was added.
    Older,
}

/// A column, or a field of a struct.
#[derive(Debug)]
pub(super) struct Child {
    /// Its position among what is decoded; of no meaning where it is missing.
    pub(super) from: usize,
    pub(super) make: Make,
}

#[derive(Debug)]
pub(super) enum Make {
    /// The file has no such column.
    Missing,
    Leaf(Leaf),
    Struct(Vec<Child>),
    List(Box<Make>),
    /// Keys and values.
    Map(Box<[Make; 2]>),
    Variant,
}

impl Plan {
    pub(super) fn new(wanted: &StructType, footer: &Footer) -> KernelResult<Self> {
        let schema: Schema = wanted.try_into_arrow()?;
        let mut planner =
            Planner { footer, leaves: Vec::new(), path: Vec::new(), remarks: Vec::new() };
        let columns = planner.children(wanted, footer.fields(), 0)?;
        let mask = ProjectionMask::leaves(footer.columns(), planner.leaves);
        Ok(Self { mask, columns, schema: Arc::new(schema), remarks: planner.remarks })
    }
}

struct Planner<'a> {
    footer: &'a Footer,
    /// Columns of the file that have to be decoded.
    leaves: Vec<usize>,
    /// Where in the table we are, for errors.
    path: Vec<String>,
    remarks: Vec<(String, Remark)>,
}

/// The fields of a file, or of a struct in it, as they are looked for.
struct Stored<'a> {
    fields: &'a Fields,
    by_id: HashMap<i64, usize>,
    by_name: HashMap<String, Vec<usize>>,
    /// Of each field.
    first_leaves: Vec<usize>,
}

impl<'a> Stored<'a> {
    /// `first` is the first leaf of all.
    fn new(fields: &'a Fields, first: usize) -> Self {
        let mut stored = Self {
            fields,
            by_id: HashMap::new(),
            by_name: HashMap::new(),
            first_leaves: Vec::new(),
        };
        let mut leaf = first;
        for (at, field) in fields.iter().enumerate() {
            if let Some(id) = stored_id(field) {
                stored.by_id.entry(id).or_insert(at);
            }
            stored.by_name.entry(field.name().to_lowercase()).or_default().push(at);
            stored.first_leaves.push(leaf);
            leaf += leaves(field);
        }
        stored
    }
}

impl Planner<'_> {
    /// `first` is the first leaf of the fields.
    fn children(
        &mut self,
        wanted: &StructType,
        fields: &Fields,
        first: usize,
    ) -> KernelResult<Vec<Child>> {
        let stored = Stored::new(fields, first);
        let ids: HashSet<i64> = wanted.fields().filter_map(id).collect();
        let found = wanted.fields().map(|field| self.find(field, &stored, &ids));
        let found = found.collect::<KernelResult<Vec<Option<usize>>>>()?;
        let mut decoded: Vec<usize> = found.iter().flatten().copied().collect();
        decoded.sort_unstable();
        let children = wanted.fields().zip(found).map(|(field, found)| {
            self.within(field.name(), |planner| {
                let Some(at) = found else { return planner.missing(field) };
                if fields[at].name() != field.name() && id(field).is_none() {
                    planner.remark(Remark::OtherCase);
                }
                let stored_type = fields[at].data_type();
                let make = planner.make(field.data_type(), stored_type, stored.first_leaves[at])?;
                Ok(Child { from: decoded.partition_point(|other| *other < at), make })
            })
        });
        children.collect()
    }

    fn missing(&mut self, field: &StructField) -> KernelResult<Child> {
        if field.is_metadata_column() {
            let message = format!("{} is none that data files are read with", self.shown());
            return Err(KernelError::Unsupported(message));
        }
        if !may_be_missing(field) {
            let message = format!("{} is NOT NULL, and the file does not have it", self.shown());
            return Err(KernelError::generic(message));
        }
        self.remark_inside(Remark::Older);
        Ok(Child { from: 0, make: Make::Missing })
    }

    fn remark(&mut self, remark: Remark) {
        self.remarks.push((self.path.join("."), remark));
    }

    /// Of columns themselves, PostgreSQL makes the same as we do.
    fn remark_inside(&mut self, remark: Remark) {
        if self.path.len() > 1 {
            self.remark(remark);
        }
    }

    fn make(&mut self, wanted: &DataType, stored: &ArrowType, first: usize) -> KernelResult<Make> {
        match (wanted, stored) {
            (DataType::Primitive(wanted), _) => self.leaf(wanted, stored, first),
            (DataType::Variant(_), ArrowType::Struct(fields)) => {
                self.leaves.extend(first..first + fields.iter().map(leaves).sum::<usize>());
                Ok(Make::Variant)
            }
            (DataType::Struct(wanted), ArrowType::Struct(fields)) => {
                let before = self.leaves.len();
                let children = self.children(wanted, fields, first)?;
                if self.leaves.len() == before {
                    // Some field of the file must tell where the struct itself is NULL.
                    self.leaves.push(first);
                }
                Ok(Make::Struct(children))
            }
            (DataType::Array(wanted), ArrowType::List(element)) => {
                self.list(wanted, element, first)
            }
            (DataType::Map(wanted), ArrowType::Map(entries, _)) => self.map(wanted, entries, first),
            _ => Err(self.refused(wanted, stored)),
        }
    }

    fn leaf(
        &mut self,
        wanted: &PrimitiveType,
        stored: &ArrowType,
        at: usize,
    ) -> KernelResult<Make> {
        let int96 = self.footer.is_int96(at);
        self.leaves.push(at);
        match Leaf::new(stored, wanted, &self.footer.calendar, int96) {
            Some(leaf) => {
                if int96 {
                    self.remark(Remark::Int96);
                }
                if leaf.rebases() {
                    self.remark(Remark::OldCalendar);
                }
                if leaf.widens() {
                    self.remark_inside(Remark::Older);
                }
                Ok(Make::Leaf(leaf))
            }
            // Columns in which nothing was ever written, and columns that hold nothing.
            None if *stored == ArrowType::Null || *wanted == PrimitiveType::Void => {
                Ok(Make::Missing)
            }
            None => Err(self.refused(&DataType::Primitive(wanted.clone()), stored)),
        }
    }

    fn list(&mut self, wanted: &ArrayType, element: &Field, first: usize) -> KernelResult<Make> {
        let make = self.within("element", |planner| {
            planner.make(wanted.element_type(), element.data_type(), first)
        })?;
        Ok(Make::List(Box::new(make)))
    }

    fn map(&mut self, wanted: &MapType, entries: &Field, first: usize) -> KernelResult<Make> {
        let ArrowType::Struct(fields) = entries.data_type() else {
            return Err(self.refused(&DataType::from(wanted.clone()), entries.data_type()));
        };
        let [key, value] = &fields[..] else {
            return Err(self.refused(&DataType::from(wanted.clone()), entries.data_type()));
        };
        let keys =
            self.within("key", |planner| planner.make(wanted.key_type(), key.data_type(), first))?;
        let first = first + leaves(key);
        let values = self.within("value", |planner| {
            planner.make(wanted.value_type(), value.data_type(), first)
        })?;
        Ok(Make::Map(Box::new([keys, values])))
    }

    fn within<T>(
        &mut self,
        part: &str,
        work: impl FnOnce(&mut Self) -> KernelResult<T>,
    ) -> KernelResult<T> {
        self.path.push(part.to_owned());
        let done = work(self)?;
        self.path.pop();
        Ok(done)
    }

    /// The field of the file that holds a field of the table; `ids` are those of the table's other fields.
    fn find(
        &self,
        field: &StructField,
        stored: &Stored<'_>,
        ids: &HashSet<i64>,
    ) -> KernelResult<Option<usize>> {
        if field.is_metadata_column() {
            return Ok(None);
        }
        if let Some(at) = id(field).and_then(|id| stored.by_id.get(&id)) {
            return Ok(Some(*at));
        }
        let Some(named) = stored.by_name.get(&field.name().to_lowercase()) else {
            return Ok(None);
        };
        // A field with the id of another one is that one, whatever its name.
        let is_other =
            |at: &usize| stored_id(&stored.fields[*at]).is_some_and(|id| ids.contains(&id));
        let named: Vec<usize> = named.iter().copied().filter(|at| !is_other(at)).collect();
        match named[..] {
            [] => Ok(None),
            [at] => Ok(Some(at)),
            _ => {
                let names = named.iter().map(|at| format!("\"{}\"", stored.fields[*at].name()));
                let path = self.path.iter().map(String::as_str).chain([field.name().as_str()]);
                Err(KernelError::Unsupported(format!(
                    "the file has several columns for the column \"{}\", whose names differ in their \
                     case at most: {}; write the table anew with one of them",
                    path.collect::<Vec<_>>().join("."),
                    names.collect::<Vec<_>>().join(", ")
                )))
            }
        }
    }

    fn refused(&self, wanted: &DataType, stored: &ArrowType) -> KernelError {
        KernelError::Unsupported(format!(
            "{} is of the type {} in the table, the file holds {stored}, which is none that it can be \
             read from",
            self.shown(),
            crate::source::types::delta_name(wanted),
        ))
    }

    fn shown(&self) -> String {
        format!("the column \"{}\"", self.path.join("."))
    }
}

fn leaves(field: &FieldRef) -> usize {
    match field.data_type() {
        ArrowType::Struct(fields) => fields.iter().map(leaves).sum(),
        ArrowType::List(inner) | ArrowType::Map(inner, _) => leaves(inner),
        _ => 1,
    }
}

/// A struct that may not be NULL itself may still have no field that is there.
fn may_be_missing(field: &StructField) -> bool {
    match field.data_type() {
        _ if field.is_nullable() => true,
        DataType::Struct(fields) => fields.fields().all(may_be_missing),
        _ => false,
    }
}

fn id(field: &StructField) -> Option<i64> {
    match field.get_config_value(&ColumnMetadataKey::ParquetFieldId) {
        Some(MetadataValue::Number(id)) => Some(*id),
        _ => None,
    }
}

fn stored_id(field: &Field) -> Option<i64> {
    field.metadata().get(PARQUET_FIELD_ID_META_KEY)?.parse().ok()
}
