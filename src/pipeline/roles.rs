//! Who may ask for what: the operating system says who asks, the configuration's `[roles]` says what they are. Without `[roles]` everybody who can
//! reach the state folder may do everything.

use super::RunError;
use super::control::Request;
use super::people::PeopleAsk;
use crate::audit::Role;
use crate::declare::config::{self, RoleGrant};
use std::sync::Arc;

/// What a request is, for the question who may make it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Duty {
    /// Counts and states, nothing personal: anybody.
    Look,
    /// Any of the roles.
    Work,
    /// Runs the service: reloads, passes, calls by hand, pauses, approvals, undo.
    Operate,
    /// Puts another mapping in force.
    Release,
    /// Sees to what stands aside.
    Mend,
    /// Decides whose an account is.
    Judge,
    /// Acts for people who have a right to it.
    Rights,
    /// Sees whom Kith knows.
    Read,
    /// Opens sealed values of the audit log.
    Unseal,
}

impl Duty {
    /// The roles that may.
    pub const fn roles(self) -> &'static [Role] {
        match self {
            Self::Look => &[Role::Operator, Role::Steward, Role::Reviewer, Role::None],
            Self::Work => &[Role::Operator, Role::Steward, Role::Reviewer],
            Self::Operate => &[Role::Operator],
            Self::Release | Self::Mend => &[Role::Operator, Role::Steward],
            Self::Judge => &[Role::Steward],
            Self::Rights | Self::Read => &[Role::Steward, Role::Reviewer],
            Self::Unseal => &[Role::Reviewer],
        }
    }

    /// Of a request.
    pub(super) fn of(request: &Request) -> Self {
        match request {
            Request::Ping | Request::Standing => Self::Look,
            Request::RecordExport { .. } => Self::Work,
            Request::Pass | Request::Reload | Request::RecordCall { .. } | Request::RecordBackup { .. } | Request::RecordKeys { .. } => {
                Self::Operate
            }
            Request::Release { .. } => Self::Release,
            Request::ReplayLetters { .. } | Request::DropLetters { .. } => Self::Mend,
            Request::Subjects { .. }
            | Request::FinishRemovals { .. }
            | Request::RecordSubjectExport { .. }
            | Request::RecordNotices { .. } => Self::Rights,
            // `kith audit show N --unseal` and its like name themselves so.
            Request::RecordRead { what, .. } if what.starts_with("audit ") => Self::Unseal,
            Request::RecordRead { .. } => Self::Read,
            Request::People { ask, .. } => Self::of_people(ask),
        }
    }

    const fn of_people(ask: &PeopleAsk) -> Self {
        match ask {
            PeopleAsk::Cases { .. } | PeopleAsk::Sheet { .. } | PeopleAsk::Case { .. } => Self::Read,
            PeopleAsk::Judge { .. } => Self::Judge,
            PeopleAsk::Again { .. } => Self::Release,
            PeopleAsk::Pause { .. } | PeopleAsk::Settle { .. } | PeopleAsk::Undo { .. } => Self::Operate,
        }
    }
}

/// The role of an account, as the log writes it.
pub fn role_of(roles: &[RoleGrant], account: &str) -> Role {
    match roles.iter().find(|grant| &*grant.user == account).map(|grant| grant.role) {
        Some(config::Role::Operator) => Role::Operator,
        Some(config::Role::Steward) => Role::Steward,
        Some(config::Role::Reviewer) => Role::Reviewer,
        None => Role::None,
    }
}

/// Refuses what the asker's role does not allow.
///
/// # Errors
/// [`RunError::NotAllowed`].
pub(super) fn permit(roles: &[RoleGrant], user: &Arc<str>, role: Role, request: &Request) -> Result<(), RunError> {
    let duty = Duty::of(request);
    if roles.is_empty() || duty.roles().contains(&role) {
        return Ok(());
    }
    tracing::warn!(user = %user, role = role.name(), "a request was refused: the role does not allow it");
    let needs = duty.roles().iter().map(|role| role.name()).collect::<Vec<_>>().join(" or ");
    Err(RunError::NotAllowed { user: user.clone(), role: role.name(), needs })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(what: &str) -> Request {
        Request::RecordRead { what: what.into(), subjects: Vec::new(), count: 1, user: "x".into() }
    }

    #[test]
    fn each_role_may_do_its_own_and_no_role_only_looks() {
        let roles = [
            RoleGrant { user: "olga".into(), role: config::Role::Operator },
            RoleGrant { user: "stefan".into(), role: config::Role::Steward },
            RoleGrant { user: "rita".into(), role: config::Role::Reviewer },
        ];
        let judge = Request::People { ask: PeopleAsk::Judge { words: Vec::new() }, user: "x".into() };
        for (request, may) in [
            (Request::Standing, vec!["olga", "stefan", "rita", "nobody"]),
            (Request::Reload, vec!["olga"]),
            (read("link list"), vec!["stefan", "rita"]),
            (read("audit show 7"), vec!["rita"]),
            (judge, vec!["stefan"]),
        ] {
            for account in ["olga", "stefan", "rita", "nobody"] {
                let done = permit(&roles, &account.into(), role_of(&roles, account), &request);
                assert_eq!(done.is_ok(), may.contains(&account), "{account} {request:?}");
            }
            assert!(permit(&[], &"anybody".into(), Role::None, &request).is_ok(), "without roles everybody may");
        }
    }
}
