//! One account on one network, by its stable id, and what it shows at a time.

use super::{Network, Personal, Timestamp, Value};
use std::sync::Arc;

/// An account on a network by its *stable* id. The handle may change hands; this id does not.
///
/// For Activity Streams input it is the whole of `actor.id`: on federated networks two servers may have the same last segment.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct IdentityId {
    /// The network that issued the id.
    pub network: Network,
    /// The id that the network issued.
    pub id: Arc<str>,
}

impl std::fmt::Debug for IdentityId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "IdentityId({}, ‹personal›)", self.network)
    }
}

/// What an identity shows at a time: the raw actor fields that the mapping declares, nothing else (design §7, minimise).
///
/// Keys are the paths of the mapping's `from` (for instance `actor.summary`), sorted, each once.
#[derive(Clone, PartialEq, Debug)]
pub struct Profile {
    /// When the profile was seen so (the activity's time, not ours): an older one never replaces a newer.
    pub as_of: Timestamp,
    /// The audience of the activity that showed it.
    pub audience: super::Audience,
    /// Declared raw fields by path.
    pub fields: Personal<Vec<(Arc<str>, Value)>>,
}

/// An identity with its current profile.
#[derive(Clone, PartialEq, Debug)]
pub struct Identity {
    /// Which account.
    pub id: IdentityId,
    /// What it shows.
    pub profile: Profile,
}
