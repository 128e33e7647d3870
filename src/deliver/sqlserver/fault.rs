//! What a fault of the server means for deliveries.

use crate::deliver::DeliveryError;
use crate::diagnose::Code;
use crate::wire::tds::{Policy, TdsFault, meaning};
use std::sync::Arc;

/// What is done about a fault of a transaction that was not committed: nothing of it was written.
#[derive(Clone, Debug)]
pub(super) enum Next {
    /// The same again: a race was lost.
    Repeat {
        /// The fault, where it goes on for too long.
        error: DeliveryError,
        /// Whether another row was there first: deliveries that had arrived are looked up.
        duplicate: bool,
    },
    /// One record is at fault; alone, it is this one.
    Refused {
        /// The page.
        code: &'static str,
        /// What is wrong.
        message: Arc<str>,
    },
    /// It is not these records' fault.
    Error(DeliveryError),
}

/// What follows a fault before the commit.
pub(super) fn next(fault: &TdsFault) -> Next {
    let message: Arc<str> = fault.to_string().into();
    let TdsFault::Server { number, class, .. } = fault else { return Next::Error(not_written(fault)) };
    let about = meaning(*number);
    let code = Code(about.code);
    match about.policy {
        Policy::Race => Next::Repeat { error: DeliveryError::Failed { code, message, retry_after: None }, duplicate: false },
        Policy::Duplicate => Next::Repeat { error: DeliveryError::Refused { code, message }, duplicate: true },
        // Severities 17 to 19 are about resources of the server; from 20 on it ends the connection.
        Policy::Other if *class >= 17 => Next::Error(DeliveryError::Failed { code, message, retry_after: None }),
        Policy::Record | Policy::Other => Next::Refused { code: about.code, message },
        Policy::Shape | Policy::Login | Policy::Away | Policy::Throttled => Next::Error(not_written(fault)),
    }
}

/// A fault of the server, the login or the network, before anything was written.
pub(super) fn not_written(fault: &TdsFault) -> DeliveryError {
    let message: Arc<str> = fault.to_string().into();
    match fault {
        TdsFault::Server { number, .. } => {
            let about = meaning(*number);
            let code = Code(about.code);
            match about.policy {
                Policy::Throttled => DeliveryError::Throttled { code, message, wait: about.rest },
                Policy::Race => DeliveryError::Failed { code, message, retry_after: None },
                Policy::Duplicate | Policy::Record | Policy::Shape | Policy::Login | Policy::Away | Policy::Other => {
                    DeliveryError::Unavailable { code, message, retry_after: None }
                }
            }
        }
        TdsFault::NoTicket { .. } => DeliveryError::Unavailable { code: Code("KITH-D040"), message, retry_after: None },
        TdsFault::Tls { .. } => DeliveryError::Unavailable { code: Code("KITH-D052"), message, retry_after: None },
        TdsFault::NotUnderstood { .. } => DeliveryError::Unavailable { code: Code("KITH-D053"), message, retry_after: None },
        TdsFault::Unreachable { .. } | TdsFault::Lost { .. } => {
            DeliveryError::Unavailable { code: Code("KITH-D001"), message, retry_after: None }
        }
    }
}

/// A fault of the commit itself: the server may have done it.
pub(super) fn of_commit(fault: &TdsFault) -> DeliveryError {
    match fault {
        // The server's own word that it did not.
        TdsFault::Server { .. } => not_written(fault),
        TdsFault::Lost { .. }
        | TdsFault::NotUnderstood { .. }
        | TdsFault::Unreachable { .. }
        | TdsFault::NoTicket { .. }
        | TdsFault::Tls { .. } => {
            DeliveryError::OutcomeUnknown { message: format!("the transaction's commit has no answer: {fault}").into() }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(number: u32, class: u8) -> TdsFault {
        TdsFault::Server { number, class, state: 1, named: None }
    }

    #[test]
    fn each_number_has_its_policy_of_delivery() {
        assert!(matches!(next(&server(1205, 13)), Next::Repeat { duplicate: false, error: DeliveryError::Failed { .. } }));
        assert!(matches!(next(&server(2627, 14)), Next::Repeat { duplicate: true, error: DeliveryError::Refused { .. } }));
        assert!(matches!(next(&server(547, 16)), Next::Refused { code: "KITH-D045", .. }));
        assert!(matches!(next(&server(51_000, 16)), Next::Refused { code: "KITH-D048", .. }));
        assert!(matches!(next(&server(40501, 20)), Next::Error(DeliveryError::Throttled { wait: Some(_), .. })));
        assert!(matches!(next(&server(229, 14)), Next::Error(DeliveryError::Unavailable { code: Code("KITH-D042"), .. })));
        assert!(matches!(next(&server(666, 17)), Next::Error(DeliveryError::Failed { .. })));
        assert!(matches!(next(&server(102, 15)), Next::Refused { code: "KITH-D049", .. }));
    }

    #[test]
    fn a_commit_without_an_answer_is_unknown_and_everything_before_is_not() {
        let lost = TdsFault::Lost { message: "the connection broke".into() };
        assert!(matches!(of_commit(&lost), DeliveryError::OutcomeUnknown { .. }));
        assert!(matches!(next(&lost), Next::Error(DeliveryError::Unavailable { .. })));
        assert!(!matches!(of_commit(&server(3902, 16)), DeliveryError::OutcomeUnknown { .. }));
    }
}
