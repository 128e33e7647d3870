//! Dates, moments and spans of time as templates handle them.

use super::gap::Gap;
use super::moment::Moment;
use jiff::civil::Date;
use minijinja::value::{DynObject, Object, ObjectRepr, Value};
use minijinja::{Error, ErrorKind, State};
use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

/// A `datetime`.
#[derive(Debug)]
pub struct MomentObject(pub Moment);

/// A `date`.
#[derive(Debug)]
pub struct DateObject(pub Date);

/// A `timedelta`, or isodate's `Duration`.
#[derive(Debug)]
pub struct GapObject(pub Gap);

/// A value that can't be used as it is: Python's `ValueError`.
pub fn value_error(what: &'static str) -> Error {
    Error::new(ErrorKind::CannotDeserialize, what)
}

fn text_argument(args: &[Value]) -> Result<&str, Error> {
    args.first().and_then(Value::as_str).ok_or_else(|| Error::from(ErrorKind::MissingArgument))
}

impl Object for MomentObject {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let [year, month, day, hour, minute, second, micro] = self.0.parts();
        Some(Value::from(match key.as_str()? {
            "year" => year,
            "month" => month,
            "day" => day,
            "hour" => hour,
            "minute" => minute,
            "second" => second,
            "microsecond" => micro,
            _ => return None,
        }))
    }

    fn call_method(self: &Arc<Self>, _: &mut State<'_, '_>, method: &str, args: &[Value]) -> Result<Value, Error> {
        Ok(match method {
            "strftime" => Value::from(self.0.strftime(text_argument(args)?)),
            "isoformat" => Value::from(self.0.iso('T')),
            "timestamp" => Value::from(self.0.seconds()),
            "date" => Value::from_object(DateObject(self.0.date())),
            "weekday" => Value::from(self.0.weekday()),
            "isoweekday" => Value::from(self.0.weekday() + 1),
            _ => return Err(Error::from(ErrorKind::UnknownMethod)),
        })
    }

    fn custom_cmp(self: &Arc<Self>, other: &DynObject) -> Option<Ordering> {
        other.downcast_ref::<Self>().map(|other| self.0.cmp(&other.0))
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.iso(' '))
    }
}

impl Object for DateObject {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        Some(match key.as_str()? {
            "year" => Value::from(self.0.year()),
            "month" => Value::from(self.0.month()),
            "day" => Value::from(self.0.day()),
            _ => return None,
        })
    }

    fn call_method(self: &Arc<Self>, _: &mut State<'_, '_>, method: &str, args: &[Value]) -> Result<Value, Error> {
        let moment = || Moment::of_date(self.0).ok_or_else(|| value_error("a date out of range"));
        Ok(match method {
            "strftime" => Value::from(moment()?.strftime(text_argument(args)?)),
            "isoformat" => Value::from(self.0.to_string()),
            "weekday" => Value::from(moment()?.weekday()),
            "isoweekday" => Value::from(moment()?.weekday() + 1),
            _ => return Err(Error::from(ErrorKind::UnknownMethod)),
        })
    }

    fn custom_cmp(self: &Arc<Self>, other: &DynObject) -> Option<Ordering> {
        other.downcast_ref::<Self>().map(|other| self.0.cmp(&other.0))
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl Object for GapObject {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let rest = self.0.micros.rem_euclid(86_400_000_000);
        Some(Value::from(match key.as_str()? {
            "days" => self.0.micros.div_euclid(86_400_000_000),
            "seconds" => rest / 1_000_000,
            "microseconds" => rest % 1_000_000,
            _ => return None,
        }))
    }

    #[expect(clippy::cast_precision_loss, reason = "Python's total_seconds() is a double too")]
    fn call_method(self: &Arc<Self>, _: &mut State<'_, '_>, method: &str, _: &[Value]) -> Result<Value, Error> {
        match method {
            "total_seconds" => Ok(Value::from(self.0.micros as f64 / 1e6)),
            _ => Err(Error::from(ErrorKind::UnknownMethod)),
        }
    }

    fn custom_cmp(self: &Arc<Self>, other: &DynObject) -> Option<Ordering> {
        other.downcast_ref::<Self>().map(|other| (self.0.months, self.0.micros).cmp(&(other.0.months, other.0.micros)))
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.shown())
    }
}
