//! `pagination_reset`, `page_size_reduction` and `request_window_splitting`: pages that are asked for in another way.

use super::compile::Compiler;
use super::part::{Kind, Part};
use crate::manifest::Gap;
use crate::manifest::again::{Again, First, Smaller, Split, Ways};
use crate::manifest::answer::{Action, ErrorHandling};
use crate::manifest::cursor::smallest_unit;
use crate::manifest::page::{Paginator, Strategy, TokenPlace};
use crate::manifest::source::CursorKind;

/// What a stream has that a changed page depends on.
pub struct Beside<'a> {
    /// Its pages.
    pub paginator: Option<&'a Paginator>,
    /// Its cursor.
    pub cursor: Option<&'a CursorKind>,
    /// Its requests name properties.
    pub properties: bool,
    /// It leaves records out.
    pub filter: bool,
    /// Its first pages are in its parents' records.
    pub in_parents: bool,
}

impl Compiler<'_> {
    /// The ways that a retriever declares, and whether its error handler asks for others.
    pub fn ways(&mut self, retriever: &Part, errors: &ErrorHandling, beside: &Beside<'_>) -> Ways {
        let ways = Ways {
            first: retriever.get("pagination_reset").cloned().and_then(|part| self.first(&part, beside)),
            smaller: retriever.get("page_size_reduction").cloned().and_then(|part| self.smaller(&part, beside)),
            split: retriever.get("request_window_splitting").cloned().and_then(|part| self.split(&part, beside)),
        };
        for (again, name, key) in [
            (Again::Smaller, "REDUCE_PAGE_SIZE", "page_size_reduction"),
            (Again::Split, "SPLIT_REQUEST_WINDOW", "request_window_splitting"),
        ] {
            if asks_for(errors, again) && retriever.get(key).is_none() {
                self.wrong(retriever.span, format!("the action {name} needs `{key}`"), format!("Write `{key}` beside `requester`"));
            }
        }
        ways
    }

    /// What a requester does about errors that has no pages of its own.
    pub fn errors(&mut self, requester: &Part) -> ErrorHandling {
        let errors = self.error_handling(requester);
        if [Again::First, Again::Smaller, Again::Split].into_iter().any(|again| asks_for(&errors, again)) {
            let message = "only a stream's own requester can ask for its pages in another way";
            self.wrong(requester.span, message, "Use another action here");
        }
        errors
    }

    fn first(&mut self, part: &Part, beside: &Beside<'_>) -> Option<First> {
        if !self.is_one_of(part, &["PaginationReset"]) {
            return None;
        }
        let by_time = match self.required(part, "action")?.text() {
            Some("RESET") => false,
            Some("SPLIT_USING_CURSOR") => true,
            _ => {
                self.wrong(part.span, "`action` is SPLIT_USING_CURSOR or RESET", "Write one of these");
                return None;
            }
        };
        if by_time && matches!(beside.cursor, Some(CursorKind::Count { .. })) {
            self.wrong(part.span, "a slice begins anew by a cursor by time alone", "Use `action: RESET`, or a cursor by time");
        }
        let limits = part.get("limits").cloned().filter(|limits| self.is_one_of(limits, &["PaginationResetLimits"]));
        if let Some(limits) = limits.as_ref().filter(|_| beside.filter) {
            self.wrong(limits.span, "limits don't go together with a `record_filter`", "Leave one of both out");
        }
        let most = limits.and_then(|limits| self.whole(&limits, "number_of_records"));
        Some(First { by_time, most_records: most.and_then(|most| usize::try_from(most).ok()) })
    }

    fn smaller(&mut self, part: &Part, beside: &Beside<'_>) -> Option<Smaller> {
        if !self.is_one_of(part, &["PageSizeReduction"]) {
            return None;
        }
        let whole = |this: &mut Self, key: &str, usual: i128, least: i128| {
            let found = if part.get(key).is_some() { this.whole(part, key) } else { Some(usual) };
            if found.is_some_and(|found| found < least) {
                this.wrong(part.span, format!("`{key}` is at least {least}"), "Write more, or leave it out");
            }
            found.unwrap_or(usual).max(least)
        };
        let number = |this: &mut Self, key: &str, usual: f64, fits: fn(f64) -> bool, what: &str| {
            let found = part.get(key).map_or(Some(usual), |value| value.to_json().number());
            if !found.is_some_and(fits) {
                this.wrong(part.span, format!("`{key}` is a number {what}"), "Write one, or leave it out");
            }
            found.filter(|found| fits(*found)).unwrap_or(usual)
        };
        let least = whole(self, "minimum_page_size", 1, 1);
        let restores = match part.text_of("reset_policy") {
            None | Some("NEVER") => false,
            Some("AFTER_SUCCESSFUL_PAGE") => true,
            Some(_) => {
                self.wrong(part.span, "`reset_policy` is NEVER or AFTER_SUCCESSFUL_PAGE", "Write one of these");
                false
            }
        };
        self.apart(part, beside);
        match beside.paginator {
            Some(pages) if pages.size_option.is_some() && pages.says_size() => {
                if matches!(pages.strategy, Strategy::Page { .. }) {
                    let remedy = "Use OffsetIncrement or CursorPagination";
                    self.wrong(part.span, "pages that are counted move when their size changes, and records would be left out", remedy);
                }
                if matches!(pages.token, Some(TokenPlace::Path)) {
                    let remedy = "Use a `page_token_option` of type RequestOption";
                    self.wrong(part.span, "a next page that is an address has its size in it", remedy);
                }
                if let Some(usual) = pages.fixed_size().filter(|usual| *usual <= least) {
                    let message = format!("a page of {usual} can't become smaller: `minimum_page_size` is {least}");
                    self.wrong(part.span, message, "Lower `minimum_page_size`, or raise `page_size`");
                }
                if pages.ends_by_a_fixed_size(least) {
                    let message =
                        "`stop_condition` compares `last_page_size` with a number that stays: a full smaller page would look like the last";
                    self.wrong(part.span, message, "Compare with `page_size`: `{{ last_page_size < page_size }}`");
                }
            }
            _ => {
                let remedy = "Write a DefaultPaginator with `page_size_option`, and `page_size` in its strategy";
                self.wrong(part.span, "a page can only become smaller where its size is asked for", remedy);
            }
        }
        Some(Smaller {
            factor: number(self, "reduction_factor", 2.0, |n| n > 1.0, "greater than 1"),
            least,
            attempts: u32::try_from(whole(self, "max_attempts", 5, 1)).unwrap_or(u32::MAX),
            seconds: number(self, "backoff_seconds", 0.5, |n| n >= 0.0, "that is not negative"),
            retries: u32::try_from(whole(self, "retries_at_minimum_page_size", 0, 0)).unwrap_or(u32::MAX),
            restores,
            message: part.text_of("failure_message").map(str::to_owned),
        })
    }

    fn split(&mut self, part: &Part, beside: &Beside<'_>) -> Option<Split> {
        if !self.is_one_of(part, &["RequestWindowSplitting"]) {
            return None;
        }
        self.apart(part, beside);
        match beside.cursor {
            Some(CursorKind::Date { spec, client_side: false, .. }) => {
                let granularity = spec.granularity.filter(|gap| gap.months == 0 && gap.micros > 0);
                let unit = smallest_unit(&spec.format);
                match granularity {
                    None => {
                        let remedy = "Write `cursor_granularity`, in days or shorter";
                        self.wrong(part.span, "a window is split by `cursor_granularity`, which is missing or has no fixed length", remedy);
                    }
                    Some(gap) if unit.is_some_and(|unit| gap.micros < unit) => {
                        let remedy = "Write a longer `cursor_granularity`, or a finer `datetime_format`";
                        self.wrong(part.span, "`cursor_granularity` is shorter than what `datetime_format` can say", remedy);
                    }
                    Some(_) => {}
                }
            }
            Some(CursorKind::Date { .. }) => {
                let remedy = "Leave out `is_client_side_incremental`";
                self.wrong(part.span, "a window that is not sent can't be split", remedy);
            }
            Some(CursorKind::Count { .. }) | None => {
                self.wrong(part.span, "only a stream with a DatetimeBasedCursor has a window", "Write `incremental_sync`");
            }
        }
        let least = part.get("min_split_window").and_then(|_| self.duration(part, "min_split_window"));
        if least.is_some_and(|least: Gap| least.months != 0 || least.micros <= 0) {
            self.wrong(part.span, "`min_split_window` has no fixed length", "Write it in days or shorter");
        }
        Some(Split { least, message: part.text_of("failure_message").map(str::to_owned) })
    }

    /// What can't be asked for again, since parts of it are out already.
    fn apart(&mut self, part: &Part, beside: &Beside<'_>) {
        if beside.properties {
            self.wrong(part.span, format!("`{}` and query properties exclude each other", part.component()), "Leave one out");
        }
        if beside.in_parents {
            self.wrong(part.span, format!("`{}` and `lazy_read_pointer` exclude each other", part.component()), "Leave one out");
        }
    }
}

fn asks_for(errors: &ErrorHandling, again: Again) -> bool {
    errors.0.iter().flat_map(|handler| &handler.filters).any(|filter| filter.action == Some(Action::Again(again)))
}

/// Whether a part is a file's upload that says something.
pub fn uploads(part: &Part) -> bool {
    !matches!(part.kind, Kind::Null) && !part.fields().is_empty()
}
