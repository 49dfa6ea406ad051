//! The first rows of a Delta table as text, for people.

use delta_kernel::arrow::array::ArrayRef;
use delta_kernel::arrow::error::ArrowError;
use delta_kernel::arrow::util::display::{ArrayFormatter, FormatOptions};

use crate::error::{Error, SourceProblem};
use crate::job::Source;
use crate::source::{Column, LOG_BATCH_ROWS, SourceTable};

/// Some rows of a version.
#[derive(Debug, Clone)]
pub struct Preview {
    pub version: i64,
    pub columns: Vec<Column>,
    /// Each in the columns' order; NULL is None.
    pub rows: Vec<Vec<Option<String>>>,
    /// As far as the log tells.
    pub row_count: Option<u64>,
}

/// Reads files until there are enough rows.
pub(crate) fn read(source: &Source, limit: usize) -> Result<Preview, Error> {
    let table = SourceTable::open(source)?;
    let files = table.files()?;
    let row_count = files.iter().map(|file| file.rows()).sum();
    let engine = table.engine(LOG_BATCH_ROWS)?;
    let mut rows = Vec::new();
    for file in &files {
        if rows.len() >= limit {
            break;
        }
        let mut batches = table.read(&engine, file)?;
        while rows.len() < limit
            && let Some(batch) = batches.next_batch()?
        {
            let wanted: Vec<usize> = batch.live_rows().take(limit - rows.len()).collect();
            let found = texts(batch.columns(), &wanted).map_err(|error| {
                source.problem(SourceProblem::Unsupported, format!("showing a value: {error}"))
            })?;
            rows.extend(found);
        }
    }
    let columns = table.columns().iter().map(|(column, _)| column.clone()).collect();
    Ok(Preview { version: table.version(), columns, rows, row_count })
}

fn texts(columns: &[ArrayRef], rows: &[usize]) -> Result<Vec<Vec<Option<String>>>, ArrowError> {
    let options = FormatOptions::default().with_display_error(true);
    let formatters = columns.iter().map(|column| ArrayFormatter::try_new(column, &options));
    let formatters = formatters.collect::<Result<Vec<_>, _>>()?;
    let cell = |(column, formatter): (&ArrayRef, &ArrayFormatter<'_>), row: usize| {
        column.is_valid(row).then(|| formatter.value(row).to_string())
    };
    let line = |row: &usize| columns.iter().zip(&formatters).map(|pair| cell(pair, *row)).collect();
    Ok(rows.iter().map(line).collect())
}
