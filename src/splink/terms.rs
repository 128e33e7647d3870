//! Term frequencies: how common a text of a column is, counted in a frame or known from elsewhere.

use super::bytes;
use super::frame::Frame;
use std::collections::HashMap;

/// Frequencies of a column's values, by the numbers of its texts.
#[derive(Debug)]
pub(super) struct Frequencies {
    pub(super) column: usize,
    pub(super) of: Vec<f64>,
    /// log2 of them.
    pub(super) bits: Vec<f64>,
}

/// Term frequencies of a column that are known from elsewhere.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct GivenFrequencies {
    /// The column.
    pub column: String,
    /// Above 0 and at most 1, by value.
    pub of: HashMap<String, f64>,
}

impl Frequencies {
    pub(super) fn given(column: usize, frame: &Frame, given: &GivenFrequencies) -> Self {
        let texts = frame.columns.get(column);
        let count = texts.and_then(|column| u32::try_from(column.len()).ok()).unwrap_or(0);
        let frequency = |id: u32| texts.and_then(|column| column.text(id)).and_then(|text| given.of.get(text)).copied();
        let of: Vec<f64> = (0..=count).map(|id| frequency(id).unwrap_or(f64::NAN)).collect();
        let bits = of.iter().map(|f| libm::log2(*f)).collect();
        Self { column, of, bits }
    }

    pub(super) fn new(column: usize, frame: &Frame) -> Self {
        let (mut counts, mut total) = (Vec::new(), 0_usize);
        if let Some(of) = frame.columns.get(column) {
            counts.resize(of.len() + 1, 0_usize);
            for id in of.ids.iter().filter(|id| **id != 0) {
                total += 1;
                if let Some(count) = counts.get_mut(usize::try_from(*id).unwrap_or(usize::MAX)) {
                    *count += 1;
                }
            }
        }
        let of: Vec<f64> =
            counts.iter().enumerate().map(|(id, n)| if id == 0 { f64::NAN } else { bytes::number(*n) / bytes::number(total) }).collect();
        let bits = of.iter().map(|f| libm::log2(*f)).collect();
        Self { column, of, bits }
    }
}
