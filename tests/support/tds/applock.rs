//! `sp_getapplock`: exclusive locks by name, of a session or of its transaction.

use std::collections::HashMap;
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

#[derive(Default)]
pub struct AppLocks {
    /// Who holds it, how many times, and whether its transaction owns it.
    held: Mutex<HashMap<String, (i32, u32, bool)>>,
    freed: Condvar,
}

impl AppLocks {
    /// 0: taken; 1: after waiting; -1: timeout.
    pub fn take(&self, name: &str, owner: i32, of_transaction: bool, wait: Option<Duration>) -> i32 {
        let until = Instant::now() + wait.unwrap_or(Duration::from_secs(60));
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let mut answer = 0;
        loop {
            match held.get_mut(name) {
                None => {
                    held.insert(name.to_owned(), (owner, 1, of_transaction));
                    return answer;
                }
                Some((holder, times, _)) if *holder == owner => {
                    *times += 1;
                    return answer;
                }
                Some(_) => {}
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return -1;
            }
            answer = 1;
            held = self.freed.wait_timeout(held, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// 0, or -999 where it is not held.
    pub fn free(&self, name: &str, owner: i32) -> i32 {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let Some((holder, times, _)) = held.get_mut(name) else { return -999 };
        if *holder != owner {
            return -999;
        }
        *times -= 1;
        if *times == 0 {
            held.remove(name);
            self.freed.notify_all();
        }
        0
    }

    /// At the end of a transaction, or of the session.
    pub fn free_all(&self, owner: i32, transaction_only: bool) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.retain(|_, (holder, _, of_transaction)| *holder != owner || transaction_only && !*of_transaction);
        self.freed.notify_all();
    }

    pub fn is_held(&self, name: &str) -> bool {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).contains_key(name)
    }
}
