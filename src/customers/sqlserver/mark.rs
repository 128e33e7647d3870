//! How far a read came, and whether there is something new since.

use super::super::CustomersError;
use super::SqlServer;
use super::key::Key;
use crate::declare::config::{Changes, SqliteRows};
use crate::declare::connector::text_literal;
use crate::wire::tds::cell::{number_at, text_at};
use crate::wire::tds::{Column, SqlType};
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

/// A transaction may end so long after the time that it wrote into its rows; they are read again for as long.
pub(super) const OVERLAP_MINUTES: u32 = 5;
/// Rows that stand aside and are looked at again one by one; with more, all rows are read again.
const MOST_ASIDE: usize = 5_000;

/// How far the last complete read of a server came.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Mark {
    /// Rows that there were.
    rows: i64,
    since: Since,
    /// Keys of rows that stood aside: they are read again, as long as they stand aside.
    aside: HashSet<Arc<str>>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum Since {
    /// Everything is read each time.
    Always,
    /// The least `rowversion` that was still under way, and the greatest that was there.
    RowVersion { from: i64, greatest: Option<i64> },
    /// The greatest moment that was there, as the server writes it.
    Moment(Option<String>),
    /// A version of Change Tracking.
    Tracking(i64),
}

impl Mark {
    /// Whether nothing was written since `before`.
    pub fn is_as(&self, before: &Self) -> bool {
        match (&self.since, &before.since) {
            (Since::RowVersion { greatest, .. }, Since::RowVersion { greatest: then, .. }) => greatest == then && self.rows == before.rows,
            (Since::Moment(at), Since::Moment(then)) => at == then && self.rows == before.rows,
            (Since::Tracking(version), Since::Tracking(then)) => version == then,
            _ => false,
        }
    }

    /// How long an equal mark may hide a transaction that wrote its time before it ended.
    pub const fn settles_after(&self) -> Duration {
        match self.since {
            Since::Moment(_) => Duration::from_secs(60 * OVERLAP_MINUTES as u64),
            Since::Always | Since::RowVersion { .. } | Since::Tracking(_) => Duration::ZERO,
        }
    }

    pub(in super::super) fn is_aside(&self, key: &str) -> bool {
        self.aside.contains(key)
    }

    pub(super) const fn rows(&self) -> i64 {
        self.rows
    }

    /// With the keys that stood aside. With too many of them the next read is a whole one.
    pub(in super::super) fn with_aside(mut self, aside: HashSet<Arc<str>>) -> Self {
        if aside.len() > MOST_ASIDE {
            self.since = Since::Always;
        } else {
            self.aside = aside;
        }
        self
    }
}

/// What tells the changed rows of a page.
pub(super) struct Changed {
    /// Joined to `q`.
    pub(super) join: String,
    /// True for changed rows.
    pub(super) condition: String,
}

impl SqlServer {
    fn change_column(&self, name: &str) -> Result<&Column, CustomersError> {
        let column = self.column(name).ok_or_else(|| self.missing(name))?;
        let grows = matches!(
            column.sql_type,
            SqlType::RowVersion | SqlType::DateTime | SqlType::SmallDateTime | SqlType::DateTime2 { .. } | SqlType::DateTimeOffset { .. }
        );
        if !grows {
            let why = format!("the column `{name}` is {}, and `changes` wants a rowversion or a date and time", column.sql_type);
            return Err(CustomersError::NoChanges { place: self.link.place.clone(), why: why.into() });
        }
        Ok(column)
    }

    /// How far the table is now: asked before its rows are.
    pub(super) fn mark(&mut self) -> Result<Mark, CustomersError> {
        let from = self.from.clone();
        let count =
            |answered: &crate::wire::tds::Answered, at| answered.rows.first().and_then(|row| number_at(row, at)).unwrap_or_default();
        let aside = HashSet::new();
        match self.changes.clone() {
            Changes::Compared => {
                let answered = self.link.ask(&format!("SELECT COUNT_BIG(*) AS n FROM {from} AS q"), &[])?;
                Ok(Mark { rows: count(&answered, 0), since: Since::Always, aside })
            }
            Changes::Column(name) => {
                let column = self.change_column(&name)?.clone();
                let at = format!("q.{}", column.sql_name());
                if column.sql_type == SqlType::RowVersion {
                    let active = match self.link.ask("SELECT CAST(MIN_ACTIVE_ROWVERSION() AS bigint) AS v", &[]) {
                        Ok(answered) => answered.rows.first().and_then(|row| number_at(row, 0)),
                        Err(CustomersError::Server { fault, .. }) if fault.leaves_a_session() => None,
                        Err(error) => return Err(error),
                    };
                    let asked = format!("SELECT COUNT_BIG(*) AS n, MAX(CAST({at} AS bigint)) AS v FROM {from} AS q");
                    let answered = self.link.ask(&asked, &[])?;
                    let greatest = answered.rows.first().and_then(|row| number_at(row, 1));
                    let since = if let Some(from) = active {
                        Since::RowVersion { from, greatest }
                    } else {
                        tracing::warn!(table = %self.link.place, "customers: the server has no MIN_ACTIVE_ROWVERSION(): all rows are read each time");
                        Since::Always
                    };
                    return Ok(Mark { rows: count(&answered, 0), since, aside });
                }
                let asked = format!("SELECT COUNT_BIG(*) AS n, CONVERT(varchar(40), MAX({at}), 126) AS v FROM {from} AS q");
                let answered = self.link.ask(&asked, &[])?;
                let greatest = answered.rows.first().and_then(|row| text_at(row, 1));
                Ok(Mark { rows: count(&answered, 0), since: Since::Moment(greatest), aside })
            }
            Changes::Tracking => {
                let version = self.tracked("SELECT CAST(CHANGE_TRACKING_CURRENT_VERSION() AS bigint) AS v")?;
                let answered = self.link.ask(&format!("SELECT COUNT_BIG(*) AS n FROM {from} AS q"), &[])?;
                Ok(Mark { rows: count(&answered, 0), since: Since::Tracking(version), aside })
            }
        }
    }

    fn tracked(&mut self, sql: &str) -> Result<i64, CustomersError> {
        let off = |place: Arc<str>| CustomersError::NoChanges {
            place,
            why: "Change Tracking is not on for this table, or the server does not have it".into(),
        };
        match self.link.ask(sql, &[]) {
            Ok(answered) => answered.rows.first().and_then(|row| number_at(row, 0)).ok_or_else(|| off(self.link.place.clone())),
            Err(CustomersError::Server { fault, .. }) if fault.leaves_a_session() => Err(off(self.link.place.clone())),
            Err(error) => Err(error),
        }
    }

    /// The least version of Change Tracking that can still be asked from.
    pub(super) fn least_tracked(&mut self) -> Result<i64, CustomersError> {
        let SqliteRows::Table(_) = self.rows else { return Err(self.missing("")) };
        let object = format!("OBJECT_ID({})", text_literal(&self.from));
        self.tracked(&format!("SELECT CAST(CHANGE_TRACKING_MIN_VALID_VERSION({object}) AS bigint) AS v"))
    }

    /// What tells the rows that changed since; `None` where all must be read.
    pub(super) fn changed_since(&mut self, mark: &Mark, key: &Key) -> Result<Option<Changed>, CustomersError> {
        let joined = |condition| Some(Changed { join: String::new(), condition });
        match &mark.since {
            Since::Always | Since::Moment(None) => Ok(None),
            Since::RowVersion { from, .. } => {
                let Changes::Column(name) = self.changes.clone() else { return Ok(None) };
                let column = self.change_column(&name)?.sql_name();
                Ok(joined(format!("q.{column} >= 0x{from:016X}")))
            }
            Since::Moment(Some(at)) => {
                let Changes::Column(name) = self.changes.clone() else { return Ok(None) };
                let column = self.change_column(&name)?;
                let (name, sql_type) = (column.sql_name(), column.sql_type.sql());
                let from = format!("DATEADD(minute, -{OVERLAP_MINUTES}, CAST({} AS {sql_type}))", text_literal(at));
                Ok(joined(format!("(q.{name} >= {from} OR q.{name} IS NULL)")))
            }
            Since::Tracking(version) => {
                if self.least_tracked()? > *version {
                    tracing::warn!(table = %self.link.place, "customers: Change Tracking no longer reaches back to the last read: all rows are read");
                    return Ok(None);
                }
                let key = key.column.sql_name();
                Ok(Some(Changed {
                    join: format!(" LEFT JOIN CHANGETABLE(CHANGES {}, {version}) AS t ON t.{key} = q.{key}", self.from),
                    condition: format!("t.{key} IS NOT NULL"),
                }))
            }
        }
    }
}
