//! Pages that are asked for in another way: from the beginning, in smaller pages, or in shorter parts of time. Where a manifest's error handler says so.

use super::gap::Gap;

/// Halvings of one window, inside of each other; as in the reference.
pub const MOST_SPLITS: u8 = 10;

/// What an answer asks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Again {
    /// From the first page: `RESET_PAGINATION`.
    First,
    /// The same page with fewer records: `REDUCE_PAGE_SIZE`.
    Smaller,
    /// The slice in two halves: `SPLIT_REQUEST_WINDOW`.
    Split,
}

/// How a stream's pages can be asked for in another way.
#[derive(Clone, Debug, Default)]
pub struct Ways {
    /// `pagination_reset`
    pub first: Option<First>,
    /// `page_size_reduction`
    pub smaller: Option<Smaller>,
    /// `request_window_splitting`
    pub split: Option<Split>,
}

impl Ways {
    /// Whether a slice's time is looked at.
    pub fn looks_at_time(&self) -> bool {
        self.split.is_some() || self.first.as_ref().is_some_and(|first| first.by_time)
    }
}

/// `PaginationReset`
#[derive(Clone, Copy, Debug)]
pub struct First {
    /// The slice begins anew at the youngest record; else as it was.
    pub by_time: bool,
    /// After so many records too.
    pub most_records: Option<usize>,
}

/// `PageSizeReduction`
#[derive(Clone, Debug)]
pub struct Smaller {
    /// What a page's size is divided by; more than 1.
    pub factor: f64,
    /// The smallest page.
    pub least: i128,
    /// Reductions in a row, until a page is given.
    pub attempts: u32,
    /// Seconds before the first attempt; the second waits twice as long, and so on.
    pub seconds: f64,
    /// The smallest page is asked for again so often.
    pub retries: u32,
    /// After a page the size is what it was.
    pub restores: bool,
    /// What people are told.
    pub message: Option<String>,
}

/// `RequestWindowSplitting`
#[derive(Clone, Debug)]
pub struct Split {
    /// What is no longer than this is not split.
    pub least: Option<Gap>,
    /// What people are told.
    pub message: Option<String>,
}

/// The page size while a slice is read.
#[derive(Debug)]
pub struct Sizes<'a> {
    how: &'a Smaller,
    usual: Option<i128>,
    now: Option<i128>,
    attempts: u32,
    retries: u32,
}

impl<'a> Sizes<'a> {
    /// `usual`: what the manifest says.
    pub const fn new(how: &'a Smaller, usual: Option<i128>) -> Self {
        Self { how, usual, now: None, attempts: 0, retries: 0 }
    }

    /// Records of the next page, where that is not the usual number.
    pub const fn now(&self) -> Option<i128> {
        self.now
    }

    /// A page was refused. The seconds to wait before it is asked for again; `None` where there is no other way.
    pub fn refused(&mut self) -> Option<f64> {
        let current = self.now.or(self.usual)?;
        #[expect(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "page sizes are small; saturates")]
        let smaller = ((current as f64 / self.how.factor).floor() as i128).max(self.how.least);
        if smaller >= current {
            self.retries += 1;
            return (self.retries <= self.how.retries).then(|| self.how.seconds * f64::from(self.retries));
        }
        self.attempts += 1;
        if self.attempts > self.how.attempts {
            return None;
        }
        self.now = Some(smaller);
        Some(self.how.seconds * f64::from(self.attempts))
    }

    /// A page was given.
    pub fn taken(&mut self) {
        (self.attempts, self.retries) = (0, 0);
        if self.how.restores {
            self.now = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn how(restores: bool) -> Smaller {
        Smaller { factor: 2.0, least: 10, attempts: 3, seconds: 0.5, retries: 1, restores, message: None }
    }

    #[test]
    fn pages_become_smaller_down_to_the_smallest_and_wait_longer_each_time() {
        let how = how(false);
        let mut sizes = Sizes::new(&how, Some(45));
        assert_eq!((sizes.refused(), sizes.now()), (Some(0.5), Some(22)));
        assert_eq!((sizes.refused(), sizes.now()), (Some(1.0), Some(11)));
        sizes.taken();
        assert_eq!((sizes.refused(), sizes.now()), (Some(0.5), Some(10)), "what was reduced stays so, and the count begins anew");
        assert_eq!((sizes.refused(), sizes.now()), (Some(0.5), Some(10)), "once more with the smallest");
        assert_eq!(sizes.refused(), None);
        let mut sizes = Sizes::new(&how, Some(1_000));
        assert_eq!([sizes.refused(), sizes.refused(), sizes.refused(), sizes.refused()], [Some(0.5), Some(1.0), Some(1.5), None]);
    }

    #[test]
    fn a_size_is_restored_where_that_is_said_and_there_is_none_without_a_usual_one() {
        let how = how(true);
        let mut sizes = Sizes::new(&how, Some(40));
        assert!(sizes.refused().is_some());
        sizes.taken();
        assert_eq!(sizes.now(), None);
        assert_eq!(Sizes::new(&how, None).refused(), None);
    }
}
