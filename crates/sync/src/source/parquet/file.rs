//! One file: its bytes from the store, its footer, its rows.
//!
//! Owns: in which Arrow types the file is decoded. What Parquet alone says of a column decides, never the
//! Arrow schema that some writers add; timestamps in the old form of 96 bits come in microseconds, since
//! nanoseconds would end in 2262.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use delta_kernel::arrow::datatypes::{DataType, Field, FieldRef, Fields, Schema, TimeUnit};
use delta_kernel::arrow::record_batch::RecordBatch;
use delta_kernel::object_store::path::Path;
use delta_kernel::object_store::{ObjectStore, ObjectStoreExt as _};
use delta_kernel::parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
use delta_kernel::parquet::arrow::async_reader::{
    AsyncFileReader, ParquetRecordBatchStreamBuilder,
};
use delta_kernel::parquet::basic::Type as Stored;
use delta_kernel::parquet::errors::Result as ParquetResult;
use delta_kernel::parquet::file::metadata::{ParquetMetaData, ParquetMetaDataReader};
use delta_kernel::parquet::schema::types::SchemaDescriptor;
use delta_kernel::schema::SchemaRef;
use delta_kernel::{FileMeta, KernelResult};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::{BoxStream, StreamExt as _};

use super::calendar::Calendar;
use super::make::make;
use super::plan::Plan;

/// Read with the last bytes of a file, so that most footers take one request.
const FOOTER_BYTES: usize = 64 * 1024;

/// What a file says of itself.
pub(in crate::source) struct Footer {
    metadata: ArrowReaderMetadata,
    pub(super) calendar: Calendar,
}

impl Footer {
    fn new(metadata: ArrowReaderMetadata) -> KernelResult<Self> {
        let file = Arc::clone(metadata.metadata());
        let calendar = Calendar::of(file.file_metadata().key_value_metadata());
        let columns = metadata.parquet_schema();
        if !(0..columns.num_columns()).any(|leaf| is_int96(columns, leaf)) {
            return Ok(Self { metadata, calendar });
        }
        let fields = decoded(metadata.schema().fields(), columns);
        let options = ArrowReaderOptions::new().with_schema(Arc::new(Schema::new(fields)));
        Ok(Self { metadata: ArrowReaderMetadata::try_new(file, options)?, calendar })
    }

    /// The columns in the types that they are decoded in.
    pub(super) fn fields(&self) -> &Fields {
        self.metadata.schema().fields()
    }

    pub(super) fn columns(&self) -> &SchemaDescriptor {
        self.metadata.parquet_schema()
    }

    pub(super) fn is_int96(&self, leaf: usize) -> bool {
        is_int96(self.columns(), leaf)
    }
}

/// Opens the file and reads its footer.
pub(super) async fn open(
    store: Arc<dyn ObjectStore>,
    file: FileMeta,
) -> KernelResult<(StoredFile, Footer)> {
    let path = Path::from_url_path(file.location.path())?;
    // Removed files may come without their size.
    let size = match file.size {
        0 => store.head(&path).await?.size,
        size => size,
    };
    let mut opened = StoredFile { store, path, size };
    let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
    let metadata = ArrowReaderMetadata::load_async(&mut opened, options).await?;
    let footer = Footer::new(metadata)?;
    Ok((opened, footer))
}

/// The rows of a file, in its order, in the columns of `wanted`.
pub(super) async fn read(
    store: Arc<dyn ObjectStore>,
    file: FileMeta,
    wanted: SchemaRef,
    batch_rows: usize,
) -> KernelResult<BoxStream<'static, KernelResult<RecordBatch>>> {
    let (opened, footer) = open(store, file).await?;
    let plan = Plan::new(&wanted, &footer)?;
    let rows = ParquetRecordBatchStreamBuilder::new_with_metadata(opened, footer.metadata)
        .with_projection(plan.mask.clone())
        .with_batch_size(batch_rows)
        .build()?;
    Ok(rows.map(move |batch| make(batch?, &plan)).boxed())
}

/// The fields as they are decoded: 96 bits to microseconds, all else as Parquet says.
fn decoded(fields: &Fields, columns: &SchemaDescriptor) -> Fields {
    let mut leaf = 0;
    fields.iter().map(|field| decoded_field(field, columns, &mut leaf)).collect()
}

fn decoded_field(field: &FieldRef, columns: &SchemaDescriptor, leaf: &mut usize) -> FieldRef {
    let mut inner = |field: &FieldRef| decoded_field(field, columns, leaf);
    let decoded = match field.data_type() {
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(inner).collect()),
        DataType::List(element) => DataType::List(inner(element)),
        DataType::Map(entries, sorted) => DataType::Map(inner(entries), *sorted),
        other => {
            let is_int96 = is_int96(columns, *leaf);
            *leaf += 1;
            if !is_int96 {
                return Arc::clone(field);
            }
            debug_assert!(matches!(other, DataType::Timestamp(_, None)));
            DataType::Timestamp(TimeUnit::Microsecond, None)
        }
    };
    Arc::new(Field::clone(field).with_data_type(decoded))
}

fn is_int96(columns: &SchemaDescriptor, leaf: usize) -> bool {
    columns.columns().get(leaf).is_some_and(|column| column.physical_type() == Stored::INT96)
}

/// A file in a store, as the decoder reads it.
pub(super) struct StoredFile {
    store: Arc<dyn ObjectStore>,
    path: Path,
    size: u64,
}

impl AsyncFileReader for StoredFile {
    fn get_bytes(&mut self, range: Range<u64>) -> BoxFuture<'_, ParquetResult<Bytes>> {
        async move { Ok(self.store.get_range(&self.path, range).await?) }.boxed()
    }

    fn get_byte_ranges(
        &mut self,
        ranges: Vec<Range<u64>>,
    ) -> BoxFuture<'_, ParquetResult<Vec<Bytes>>> {
        async move { Ok(self.store.get_ranges(&self.path, &ranges).await?) }.boxed()
    }

    fn get_metadata<'a>(
        &'a mut self,
        options: Option<&'a ArrowReaderOptions>,
    ) -> BoxFuture<'a, ParquetResult<Arc<ParquetMetaData>>> {
        async move {
            let size = self.size;
            let reader = ParquetMetaDataReader::new()
                .with_arrow_reader_options(options)
                .with_prefetch_hint(Some(FOOTER_BYTES));
            reader.load_and_finish(self, size).await.map(Arc::new)
        }
        .boxed()
    }
}
