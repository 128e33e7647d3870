//! What accounts say in their posts, as evidence of who they are: an order number, an address. Only where a mapping declares a field that is made
//! from `object.content`. The posts themselves are looked at, as they read now and as far as they are still kept: nothing is gathered beside them, so
//! that an edit, a deletion, a clock or an erasure takes the evidence with the post.

use super::RunError;
use crate::declare::mapping::Rulebook;
use crate::model::{Activity, Audience, IdentityId, Profile, Value, Verb};
use crate::normalize::{IdentityFields, SAID, clean_identity};
use crate::store::sqlite::SqliteReader;
use crate::store::{IdentityRow, IdentityWork, MOST_POSTS, Post, Store, StoreError, StoredProfile};
use std::sync::Arc;

/// Accounts whose posts are read at once: at most 100 × 100 posts of some 300 bytes, 3 MB.
const AT_ONCE: usize = 100;

/// Bytes of a post that are looked at: a mention stands in a post, not deep in an article.
const LOOKED_AT: usize = 4_096;

/// Whether a new version of an object brings evidence, or may take some back.
pub(super) fn is_evidence(fields: &IdentityFields, activity: &Activity) -> bool {
    fields.reads_posts()
        && match activity.verb {
            Verb::Create => activity.object.content.reveal().as_deref().is_some_and(|text| fields.finds_in(beginning(text))),
            // What stood there before is not at hand.
            Verb::Update | Verb::Delete => true,
        }
}

/// An identity's cleaned values, with what is found in its posts (the newest first). Of posts that fewer people may see than the profile nothing is
/// taken: the lawful basis was asked about the profile's audience.
pub(super) fn cleaned<'p>(
    rulebook: &Rulebook,
    id: &IdentityId,
    profile: &Profile,
    posts: impl Iterator<Item = (Audience, &'p str)>,
) -> Vec<Value> {
    let fields = &rulebook.identities;
    let shown = profile.fields.reveal();
    if !fields.reads_posts() {
        return clean_identity(fields, id.network, shown);
    }
    let seen = posts.filter(|(audience, _)| *audience <= profile.audience).take(MOST_POSTS);
    let said: Vec<Value> = seen.map(|(_, text)| Value::text(beginning(text))).collect();
    let mut raw = shown.clone();
    raw.push((Arc::from(SAID), if said.is_empty() { Value::Missing } else { Value::List(said.into()) }));
    clean_identity(fields, id.network, &raw)
}

/// The cleaned values of an identity with work.
pub(super) fn cleaned_work(rulebook: &Rulebook, work: &IdentityWork, profile: &Profile) -> Vec<Value> {
    // In the order of versions: the newest are the last. Of an account with more than a thousand waiting posts not all are at hand.
    let standing = work.activities.iter().rev().filter(|stored| stored.newest && stored.activity.verb != Verb::Delete);
    let posts = standing.filter_map(|stored| Some((stored.activity.audience, stored.activity.object.content.reveal().as_deref()?)));
    cleaned(rulebook, &work.id, profile, posts)
}

/// The cleaned values of a stored profile.
pub(super) fn cleaned_stored(rulebook: &Rulebook, stored: &StoredProfile, posts: &[Post]) -> Vec<Value> {
    cleaned(rulebook, &stored.id, &stored.profile, posts.iter().map(|post| (post.audience, &**post.content.reveal())))
}

/// The posts of a page of profiles, one list for each; none where the mapping reads none.
pub(super) async fn of_page<S: Store>(rulebook: &Rulebook, store: &S, page: &[StoredProfile]) -> Result<Vec<Vec<Post>>, RunError> {
    let mut all = Vec::with_capacity(page.len());
    if rulebook.identities.reads_posts() {
        for rows in rows(page).chunks(AT_ONCE) {
            all.extend(store.posts(rows.to_vec()).await?);
        }
    }
    all.resize(page.len(), Vec::new());
    Ok(all)
}

/// [`of_page`], outside a service.
pub(super) fn of_page_read(rulebook: &Rulebook, reader: &SqliteReader, page: &[StoredProfile]) -> Result<Vec<Vec<Post>>, StoreError> {
    let mut all = Vec::with_capacity(page.len());
    if rulebook.identities.reads_posts() {
        for rows in rows(page).chunks(AT_ONCE) {
            all.extend(reader.posts(rows)?);
        }
    }
    all.resize(page.len(), Vec::new());
    Ok(all)
}

fn rows(page: &[StoredProfile]) -> Vec<IdentityRow> {
    page.iter().map(|stored| stored.row).collect()
}

/// The beginning of a text, cut at a character.
fn beginning(text: &str) -> &str {
    text.get(..text.floor_char_boundary(LOOKED_AT)).unwrap_or(text)
}
