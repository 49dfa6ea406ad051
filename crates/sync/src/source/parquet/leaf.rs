//! One value: the types that it may be stored in for each type of Delta, and the way from the one to the other.
//!
//! A way loses nothing: it keeps the value, or fails. What a column was before its type was widened, what
//! other programs store for want of a narrower type, and text without a mark all have one.

use std::sync::Arc;

use delta_kernel::arrow::array::cast::AsArray as _;
use delta_kernel::arrow::array::{Array as _, ArrayRef, PrimitiveArray};
use delta_kernel::arrow::compute::{CastOptions, cast_with_options};
use delta_kernel::arrow::datatypes::{DataType, Date32Type, TimeUnit, TimestampMicrosecondType};
use delta_kernel::arrow::error::ArrowError;
use delta_kernel::schema::PrimitiveType;

use super::calendar::{Calendar, Rebase};

const MICROS_A_DAY: i64 = 86_400_000_000;
const EXACT: CastOptions<'static> = CastOptions {
    safe: false,
    format_options: delta_kernel::arrow::util::display::FormatOptions::new(),
};

/// What is done to a stored column, in this order.
#[derive(Debug)]
pub(super) struct Leaf {
    rebase: Option<Rebase>,
    cast: Cast,
    widens: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cast {
    /// It is of the type that is wanted.
    None,
    /// Arrow does it.
    Arrow,
    /// Midnight of each day.
    Midnight,
    /// A count of microseconds, in this unit so far.
    Micros,
}

impl Leaf {
    /// `None` where a value of the one type cannot be had from the other.
    pub(super) fn new(
        stored: &DataType,
        wanted: &PrimitiveType,
        calendar: &Calendar,
        int96: bool,
    ) -> Option<Self> {
        let cast = cast(stored, wanted)?;
        let rebase = match stored {
            DataType::Date32 => calendar.of_dates(),
            DataType::Timestamp(_, _) if *wanted == PrimitiveType::Timestamp => {
                calendar.of_timestamps(int96)
            }
            _ => None,
        };
        let widens = match wanted {
            PrimitiveType::Double => cast == Cast::Arrow,
            PrimitiveType::Decimal(decimal) => {
                let had = match stored {
                    DataType::Decimal128(_, scale) | DataType::Decimal256(_, scale) => *scale,
                    _ => 0,
                };
                cast == Cast::Arrow && had != decimal.scale() as i8
            }
            _ => cast == Cast::Midnight,
        };
        Some(Self { rebase, cast, widens })
    }

    /// Whether values are of the old calendar.
    pub(super) fn rebases(&self) -> bool {
        self.rebase.is_some()
    }

    /// Whether JSON shows a value otherwise than in the type that it is stored in.
    pub(super) fn widens(&self) -> bool {
        self.widens
    }

    pub(super) fn make(
        &self,
        stored: &ArrayRef,
        wanted: &DataType,
    ) -> Result<ArrayRef, ArrowError> {
        match self.cast {
            Cast::None => self.rebased(stored),
            Cast::Midnight => midnight(&self.rebased(stored)?),
            Cast::Micros => self.rebased(&micros(stored, wanted)?),
            Cast::Arrow => cast_with_options(stored, wanted, &EXACT),
        }
    }

    fn rebased(&self, array: &ArrayRef) -> Result<ArrayRef, ArrowError> {
        let Some(rebase) = &self.rebase else { return Ok(Arc::clone(array)) };
        if let Some(days) = array.as_primitive_opt::<Date32Type>() {
            let days: PrimitiveArray<Date32Type> = days.unary(Rebase::day);
            return Ok(Arc::new(days));
        }
        let micros = array.as_primitive::<TimestampMicrosecondType>();
        let rebased: PrimitiveArray<TimestampMicrosecondType> = micros.try_unary(|at| {
            rebase.micros(at).map_err(|zone| {
                ArrowError::ComputeError(format!(
                    "a timestamp before 1900 was written in the calendar of old versions of Spark, \
                     in the time zone \"{zone}\", which is unknown here"
                ))
            })
        })?;
        Ok(Arc::new(rebased.with_data_type(array.data_type().clone())))
    }
}

fn cast(stored: &DataType, wanted: &PrimitiveType) -> Option<Cast> {
    use PrimitiveType as P;
    let whole = stored.is_integer();
    let cast = |way: bool| way.then_some(Cast::Arrow);
    match wanted {
        P::Boolean => (*stored == DataType::Boolean).then_some(Cast::None),
        P::Byte => exact(stored, &DataType::Int8).or(cast(whole)),
        P::Short => exact(stored, &DataType::Int16).or(cast(whole)),
        P::Integer => exact(stored, &DataType::Int32).or(cast(whole)),
        P::Long => exact(stored, &DataType::Int64).or(cast(whole)),
        P::IntervalYearMonth => exact(stored, &DataType::Int32),
        P::IntervalDayTime => exact(stored, &DataType::Int64),
        P::Float => exact(stored, &DataType::Float32).or(cast(*stored == DataType::Float16)),
        P::Double => {
            // Whole numbers of 64 bits do not all fit.
            let narrow = whole && stored.primitive_width().is_some_and(|bytes| bytes <= 4);
            let float = matches!(stored, DataType::Float16 | DataType::Float32);
            exact(stored, &DataType::Float64).or(cast(narrow || float))
        }
        P::Decimal(decimal) => {
            // Delta allows no negative scale, and 38 at most.
            let scale = decimal.scale() as i8;
            let same = exact(stored, &DataType::Decimal128(decimal.precision(), scale));
            let fits = match stored {
                DataType::Decimal128(_, had) | DataType::Decimal256(_, had) => *had <= scale,
                _ => whole,
            };
            same.or(cast(fits))
        }
        P::Date => exact(stored, &DataType::Date32).or(cast(*stored == DataType::Int32)),
        P::Timestamp | P::TimestampNtz => match stored {
            DataType::Date32 if *wanted == P::TimestampNtz => Some(Cast::Midnight),
            DataType::Timestamp(TimeUnit::Microsecond, zone)
                if zone.as_deref() == (*wanted == P::Timestamp).then_some("UTC") =>
            {
                Some(Cast::None)
            }
            DataType::Timestamp(_, _) | DataType::Int64 => Some(Cast::Micros),
            _ => None,
        },
        P::String => exact(stored, &DataType::Utf8).or(cast(*stored == DataType::Binary)),
        P::Binary => {
            let bytes = matches!(stored, DataType::Utf8 | DataType::FixedSizeBinary(_));
            exact(stored, &DataType::Binary).or(cast(bytes))
        }
        P::Void => None,
    }
}

fn exact(stored: &DataType, wanted: &DataType) -> Option<Cast> {
    (stored == wanted).then_some(Cast::None)
}

/// Timestamps of any unit in microseconds; with or without a zone they count the same.
fn micros(stored: &ArrayRef, wanted: &DataType) -> Result<ArrayRef, ArrowError> {
    let unit = match stored.data_type() {
        DataType::Timestamp(_, zone) => DataType::Timestamp(TimeUnit::Microsecond, zone.clone()),
        _ => DataType::Timestamp(TimeUnit::Microsecond, None),
    };
    let micros = cast_with_options(stored, &unit, &EXACT)?;
    let micros = micros.as_primitive::<TimestampMicrosecondType>().clone();
    Ok(Arc::new(micros.with_data_type(wanted.clone())))
}

fn midnight(days: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    let days = days.as_primitive::<Date32Type>();
    let micros: PrimitiveArray<TimestampMicrosecondType> = days.try_unary(|day| {
        i64::from(day).checked_mul(MICROS_A_DAY).ok_or_else(|| {
            ArrowError::ComputeError(format!("the day {day} since 1970-01-01 is no timestamp"))
        })
    })?;
    Ok(Arc::new(micros))
}
