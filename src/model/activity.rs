//! What somebody did on a network: W3C Activity Streams 2.0, reduced to what Kith needs.

use super::{Identity, Network, Personal, Timestamp};
use std::cmp::Ordering;
use std::sync::Arc;

/// What was done to the object. Other Activity Streams types are parked by name.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Verb {
    /// The object is new.
    Create,
    /// The object reads differently now.
    Update,
    /// The object is gone; a Tombstone stands in its place.
    Delete,
}

impl Verb {
    /// The Activity Streams type name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Create => "Create",
            Self::Update => "Update",
            Self::Delete => "Delete",
        }
    }
}

/// Who may see an activity.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Audience {
    /// Anyone: `to` or `cc` holds the public collection.
    Public,
    /// A collection of people: followers for instance.
    Limited,
    /// Named people only.
    Direct,
}

impl Audience {
    /// Every audience.
    pub const ALL: [Self; 3] = [Self::Public, Self::Limited, Self::Direct];

    /// The name that mappings use.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Limited => "limited",
            Self::Direct => "direct",
        }
    }
}

/// A set of audiences.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct AudienceSet(u8);

impl AudienceSet {
    /// The set with one more audience.
    #[must_use]
    pub const fn with(self, audience: Audience) -> Self {
        Self(self.0 | (1 << audience as u8))
    }

    /// Whether the audience is in the set.
    pub const fn contains(self, audience: Audience) -> bool {
        self.0 & (1 << audience as u8) != 0
    }
}

/// Which state of an object an activity tells: (`deleted` | `updated` | `published`, verb, activity id), ordered.
///
/// At the same moment a Delete beats an Update beats a Create; then the activity id decides.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Version {
    /// The `deleted`, `updated` or `published` time of the object.
    pub at: Timestamp,
    /// Create, Update or Delete.
    pub verb: Verb,
    /// The id of the activity.
    pub activity: Arc<str>,
}

impl Ord for Version {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.at, self.verb, &self.activity).cmp(&(other.at, other.verb, &other.activity))
    }
}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// The thing that was said.
#[derive(Clone, PartialEq, Debug)]
pub struct Object {
    /// Its id on the network: with the network, the key of an interaction.
    pub id: Arc<str>,
    /// Activity Streams type: `Note`, `Article`, `Tombstone`, ….
    pub kind: Arc<str>,
    /// The text, HTML removed, entities decoded. A Tombstone has none.
    pub content: Personal<Option<Arc<str>>>,
    /// Where a person can read it.
    pub url: Personal<Option<Arc<str>>>,
    /// When it was first published. A Tombstone may not say.
    pub published: Option<Timestamp>,
    /// When it was last edited.
    pub updated: Option<Timestamp>,
    /// When it was deleted.
    pub deleted: Option<Timestamp>,
    /// The id of the object that it answers.
    pub in_reply_to: Option<Arc<str>>,
}

/// One activity of one identity: normalised, checked, ready for policy.
#[derive(Clone, PartialEq, Debug)]
pub struct Activity {
    /// The id of the activity itself.
    pub id: Arc<str>,
    /// What was done.
    pub verb: Verb,
    /// Where.
    pub network: Network,
    /// When the activity was published.
    pub published: Timestamp,
    /// Who did it, with the profile it showed.
    pub actor: Identity,
    /// Who may see it.
    pub audience: Audience,
    /// The thread it belongs to, where the network says (`conversation` or `context`).
    pub conversation: Option<Arc<str>>,
    /// What it is about.
    pub object: Object,
}

impl Activity {
    /// The version of the object that this activity tells.
    pub fn version(&self) -> Version {
        let at = match self.verb {
            Verb::Delete => self.object.deleted,
            Verb::Update => self.object.updated,
            Verb::Create => self.object.published,
        };
        Version { at: at.unwrap_or(self.published), verb: self.verb, activity: self.id.clone() }
    }
}
