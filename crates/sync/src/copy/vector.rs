//! Arrays of numbers in the binary form of the extension `vector`: the number of dimensions, a reserved
//! field, then the numbers, in single or half precision.

use delta_kernel::arrow::array::cast::AsArray;
use delta_kernel::arrow::array::{Array, Float32Array, ListArray};
use half::f16;

use super::encoder::ValueError;

/// A column of arrays that are all to have one size.
pub(crate) struct Vectors<'a> {
    lists: &'a ListArray,
    numbers: &'a Float32Array,
    size: u16,
    width: Width,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Width {
    Full,
    Half,
}

impl<'a> Vectors<'a> {
    pub(crate) fn new(array: &'a dyn Array, size: u16, width: Width) -> Self {
        let lists = array.as_list();
        Self { lists, numbers: lists.values().as_primitive(), size, width }
    }

    pub(crate) fn is_null(&self, row: usize) -> bool {
        self.lists.is_null(row)
    }

    pub(crate) fn push(&self, row: usize, out: &mut Vec<u8>) -> Result<(), ValueError> {
        // Arrow keeps offsets ascending and not negative.
        let offsets = self.lists.value_offsets();
        let span = offsets[row] as usize..offsets[row + 1] as usize;
        let refused = || ValueError::NoVector { has: span.len(), size: self.size };
        if span.len() != usize::from(self.size) {
            return Err(refused());
        }
        out.extend_from_slice(&self.size.to_be_bytes());
        out.extend_from_slice(&[0; 2]);
        for place in span.clone() {
            let number = self.numbers.value(place);
            let half = f16::from_f32(number);
            let fits = match self.width {
                Width::Full => number.is_finite(),
                Width::Half => half.is_finite(),
            };
            if self.numbers.is_null(place) || !fits {
                return Err(refused());
            }
            match self.width {
                Width::Full => out.extend_from_slice(&number.to_be_bytes()),
                Width::Half => out.extend_from_slice(&half.to_be_bytes()),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use delta_kernel::arrow::datatypes::Float32Type;

    use super::*;

    fn push(numbers: Vec<Option<f32>>, size: u16, width: Width) -> Result<Vec<u8>, ValueError> {
        let lists = ListArray::from_iter_primitive::<Float32Type, _, _>([Some(numbers)]);
        let mut out = Vec::new();
        Vectors::new(&lists, size, width).push(0, &mut out)?;
        Ok(out)
    }

    #[test]
    fn vectors_carry_their_size_and_width() {
        let numbers = || vec![Some(1.0), Some(-2.0)];
        let full = push(numbers(), 2, Width::Full).unwrap();
        assert_eq!(full, [0, 2, 0, 0, 0x3f, 0x80, 0, 0, 0xc0, 0, 0, 0]);
        assert_eq!(push(numbers(), 2, Width::Half).unwrap(), [0, 2, 0, 0, 0x3c, 0, 0xc0, 0]);
    }

    #[test]
    fn what_is_no_vector_is_refused() {
        assert!(push(vec![Some(1.0)], 2, Width::Full).is_err());
        assert!(push(vec![None], 1, Width::Full).is_err());
        assert!(push(vec![Some(f32::NAN)], 1, Width::Full).is_err());
        assert!(push(vec![Some(1e6)], 1, Width::Full).is_ok());
        assert!(push(vec![Some(1e6)], 1, Width::Half).is_err());
    }
}
