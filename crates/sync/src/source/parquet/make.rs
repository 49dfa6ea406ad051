//! From what a file holds to what is asked for, batch by batch.
//!
//! Owns: taking nested columns apart and putting them together again. Buffers are shared, never copied, but
//! where values change.

use std::sync::Arc;

use delta_kernel::arrow::array::cast::AsArray as _;
use delta_kernel::arrow::array::{
    Array as _, ArrayRef, ListArray, MapArray, RecordBatch, RecordBatchOptions, StructArray,
    new_null_array,
};
use delta_kernel::arrow::datatypes::{DataType, Field, Fields};
use delta_kernel::arrow::error::ArrowError;
use delta_kernel::{KernelError, KernelResult};

use super::plan::{Child, Make, Plan};
use super::shredded;

pub(super) fn make(batch: RecordBatch, plan: &Plan) -> KernelResult<RecordBatch> {
    let rows = batch.num_rows();
    let columns = plan.columns.iter().zip(plan.schema.fields()).map(|(child, field)| {
        let stored = batch.columns().get(child.from);
        column(child, stored, field, rows).map_err(|error| {
            KernelError::generic(format!("the column \"{}\": {error}", field.name()))
        })
    });
    let columns = columns.collect::<KernelResult<Vec<_>>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    Ok(RecordBatch::try_new_with_options(Arc::clone(&plan.schema), columns, &options)?)
}

fn column(
    child: &Child,
    stored: Option<&ArrayRef>,
    wanted: &Field,
    rows: usize,
) -> Result<ArrayRef, ArrowError> {
    match (&child.make, stored) {
        (Make::Missing, _) | (_, None) => Ok(missing(wanted, rows)),
        (make, Some(stored)) => array(make, stored, wanted),
    }
}

fn array(make: &Make, stored: &ArrayRef, wanted: &Field) -> Result<ArrayRef, ArrowError> {
    match (make, wanted.data_type()) {
        (Make::Leaf(leaf), wanted) => leaf.make(stored, wanted),
        (Make::Struct(children), DataType::Struct(fields)) => {
            let (_, columns, nulls) = stored.as_struct().clone().into_parts();
            let made = fields_of(children, &columns, fields, stored.len())?;
            let made = StructArray::try_new_with_length(fields.clone(), made, nulls, stored.len())?;
            Ok(Arc::new(made))
        }
        (Make::List(element), DataType::List(field)) => {
            let (_, offsets, values, nulls) = stored.as_list::<i32>().clone().into_parts();
            let values = array(element, &values, field)?;
            Ok(Arc::new(ListArray::try_new(Arc::clone(field), offsets, values, nulls)?))
        }
        (Make::Map(parts), DataType::Map(field, sorted)) => {
            let DataType::Struct(fields) = field.data_type() else { return Err(unlike(wanted)) };
            let [key_field, value_field] = &fields[..] else { return Err(unlike(wanted)) };
            let (_, offsets, entries, nulls, _) = stored.as_map().clone().into_parts();
            let rows = entries.len();
            let (_, columns, _) = entries.into_parts();
            let [keys, values] = &columns[..] else { return Err(unlike(wanted)) };
            let made =
                vec![array(&parts[0], keys, key_field)?, array(&parts[1], values, value_field)?];
            let entries = StructArray::try_new_with_length(fields.clone(), made, None, rows)?;
            let made = MapArray::try_new(Arc::clone(field), offsets, entries, nulls, *sorted)?;
            Ok(Arc::new(made))
        }
        (Make::Variant, DataType::Struct(fields)) => shredded::whole(stored.as_struct(), fields),
        (Make::Missing, _) => Ok(missing(wanted, stored.len())),
        _ => Err(unlike(wanted)),
    }
}

fn fields_of(
    children: &[Child],
    columns: &[ArrayRef],
    wanted: &Fields,
    rows: usize,
) -> Result<Vec<ArrayRef>, ArrowError> {
    let made = children.iter().zip(wanted);
    made.map(|(child, field)| column(child, columns.get(child.from), field, rows)).collect()
}

/// NULLs; a struct that may not be NULL has them in its fields.
fn missing(wanted: &Field, rows: usize) -> ArrayRef {
    match wanted.data_type() {
        DataType::Struct(fields) if !wanted.is_nullable() => {
            let columns = fields.iter().map(|field| missing(field, rows)).collect();
            Arc::new(StructArray::new(fields.clone(), columns, None))
        }
        other => new_null_array(other, rows),
    }
}

fn unlike(wanted: &Field) -> ArrowError {
    ArrowError::SchemaError(format!("it cannot be made into {}", wanted.data_type()))
}
