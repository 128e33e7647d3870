//! What a simple type asks of its values beyond their form (XML Schema part 2, 4.3).

use super::builtin::{Ordered, WhiteSpace};
use super::number::Decimal;
use regex::Regex;
use std::cmp::Ordering::{Equal, Greater, Less};
use std::sync::Arc;

/// A bound.
#[derive(Clone, Debug)]
pub struct Bound {
    /// As the schema writes it.
    pub written: Arc<str>,
    /// Its value.
    pub value: Ordered,
    /// Whether the bound itself is outside.
    pub exclusive: bool,
}

/// The facets of a type, those of its bases among them.
#[derive(Clone, Debug, Default)]
pub struct Facets {
    /// The closed list of values.
    pub enumeration: Option<Vec<Arc<str>>>,
    /// Exactly so long.
    pub length: Option<usize>,
    /// At least so long.
    pub min_length: Option<usize>,
    /// At most so long.
    pub max_length: Option<usize>,
    /// Each must match, the written form first.
    pub patterns: Vec<(Arc<str>, Regex)>,
    /// At most so many digits.
    pub total_digits: Option<usize>,
    /// At most so many behind the point.
    pub fraction_digits: Option<usize>,
    /// Not below.
    pub min: Option<Bound>,
    /// Not above.
    pub max: Option<Bound>,
    /// How blanks are read, where the type says.
    pub white_space: Option<WhiteSpace>,
}

/// Which facet a value breaks. Names limits and lengths, never the value.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Broken {
    /// Not in the closed list.
    #[error("it is none of the {0} values of the type's list")]
    Enumeration(usize),
    /// The wrong length.
    #[error("its length is {found}, the type's is {wanted}")]
    Length {
        /// How long it is.
        found: usize,
        /// How long it must be.
        wanted: usize,
    },
    /// Too short.
    #[error("its length is {found}, the least is {least}")]
    TooShort {
        /// How long it is.
        found: usize,
        /// The least.
        least: usize,
    },
    /// Too long.
    #[error("its length is {found}, the most is {most}")]
    TooLong {
        /// How long it is.
        found: usize,
        /// The most.
        most: usize,
    },
    /// A pattern.
    #[error("it does not match the pattern `{0}`")]
    Pattern(Arc<str>),
    /// Too many digits.
    #[error("it has {found} digits, the most is {most}")]
    TotalDigits {
        /// How many it has.
        found: usize,
        /// The most.
        most: usize,
    },
    /// Too many digits behind the point.
    #[error("it has {found} digits behind the point, the most is {most}")]
    FractionDigits {
        /// How many it has.
        found: usize,
        /// The most.
        most: usize,
    },
    /// Below the least.
    #[error("it is below the least, {0}")]
    Below(Arc<str>),
    /// Above the most.
    #[error("it is above the most, {0}")]
    Above(Arc<str>),
}

impl Facets {
    /// Checks what can be checked on any text: list and patterns.
    pub(super) fn check_text(&self, text: &str) -> Result<(), Broken> {
        if let Some(list) = &self.enumeration
            && !list.iter().any(|item| **item == *text)
        {
            return Err(Broken::Enumeration(list.len()));
        }
        match self.patterns.iter().find(|(_, regex)| !regex.is_match(text)) {
            Some((written, _)) => Err(Broken::Pattern(Arc::clone(written))),
            None => Ok(()),
        }
    }

    /// Checks a length.
    pub(super) const fn check_length(&self, found: usize) -> Result<(), Broken> {
        match (self.length, self.min_length, self.max_length) {
            (Some(wanted), _, _) if found != wanted => Err(Broken::Length { found, wanted }),
            (_, Some(least), _) if found < least => Err(Broken::TooShort { found, least }),
            (_, _, Some(most)) if found > most => Err(Broken::TooLong { found, most }),
            _ => Ok(()),
        }
    }

    /// Checks digits and bounds.
    pub(super) fn check_value(&self, value: &Ordered) -> Result<(), Broken> {
        if let Ordered::Decimal(decimal) = value {
            self.check_digits(decimal)?;
        }
        if let Some(bound) = &self.min {
            match value.compare(&bound.value) {
                Some(Greater) => {}
                Some(Equal) if !bound.exclusive => {}
                _ => return Err(Broken::Below(Arc::clone(&bound.written))),
            }
        }
        if let Some(bound) = &self.max {
            match value.compare(&bound.value) {
                Some(Less) => {}
                Some(Equal) if !bound.exclusive => {}
                _ => return Err(Broken::Above(Arc::clone(&bound.written))),
            }
        }
        Ok(())
    }

    fn check_digits(&self, decimal: &Decimal) -> Result<(), Broken> {
        let (total, fraction) = decimal.digits();
        if let Some(most) = self.total_digits.filter(|most| total > *most) {
            return Err(Broken::TotalDigits { found: total, most });
        }
        if let Some(most) = self.fraction_digits.filter(|most| fraction > *most) {
            return Err(Broken::FractionDigits { found: fraction, most });
        }
        Ok(())
    }
}
