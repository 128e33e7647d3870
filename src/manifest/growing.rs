//! Lists that a template makes and fills: `{% set _ = found.append(x) %}`. The engine's own lists never change.

use minijinja::value::{Enumerator, Object, ObjectRepr, Value};
use minijinja::{Error, ErrorKind, State};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A Python `list`. Items: as many as fit into the steps of one evaluation.
#[derive(Debug)]
pub struct ListObject(Mutex<Vec<Value>>);

impl ListObject {
    /// With the items of another list.
    ///
    /// # Errors
    /// Where that is none.
    pub fn of(list: &Value) -> Result<Value, Error> {
        Ok(Value::from_object(Self(Mutex::new(list.try_iter()?.collect()))))
    }

    fn items(&self) -> MutexGuard<'_, Vec<Value>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Object for ListObject {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Seq
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let items = self.items();
        let at = i64::try_from(key.clone()).ok()?;
        let at = if at < 0 { items.len().checked_sub(usize::try_from(at.unsigned_abs()).ok()?)? } else { usize::try_from(at).ok()? };
        items.get(at).cloned()
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Values(self.items().clone())
    }

    fn call_method(self: &Arc<Self>, _: &mut State<'_, '_>, method: &str, args: &[Value]) -> Result<Value, Error> {
        let [value] = args else { return Err(Error::from(ErrorKind::MissingArgument)) };
        match method {
            "append" => self.items().push(value.clone()),
            // Its items are taken before the lock: it may be the list itself.
            "extend" => {
                let more: Vec<Value> = value.try_iter()?.collect();
                self.items().extend(more);
            }
            _ => return Err(Error::from(ErrorKind::UnknownMethod)),
        }
        // Python's `None`.
        Ok(Value::from(()))
    }
}
