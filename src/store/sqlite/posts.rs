//! What accounts say in their posts, for deciding who they are: the newest version of each object, as far as it is still kept.

use super::content::decode_activity;
use super::error::InDatabase;
use super::intake::{ACTIVITY_BINDING, hex};
use super::names::Numbered;
use super::work::unseal;
use crate::model::{ActivityState, Personal, Verb};
use crate::store::ring::KeyRing;
use crate::store::{IdentityRow, MOST_POSTS, Post, StoreError};
use rusqlite::Connection;

/// Posts of one account as read: the version that a box is bound to, and the box.
type RawPosts = Vec<(Vec<u8>, Vec<u8>)>;

/// Reads the posts of accounts, the newest first. What a network took back, a clock ended or an erasure took out is not there.
pub(super) fn read(conn: &Connection, of: &[IdentityRow]) -> Result<Vec<RawPosts>, StoreError> {
    let mut statement = conn
        .prepare_cached(&format!(
            "SELECT a.version, a.sealed FROM object o JOIN activity a ON a.id = o.newest
             WHERE o.identity = ?1 AND a.sealed IS NOT NULL AND a.version_verb <> ?2 AND a.state <> ?3
             ORDER BY a.version_at DESC, a.id DESC LIMIT {MOST_POSTS}"
        ))
        .said()?;
    let (delete, erased) = (Verb::Delete.number(), ActivityState::Erased.number());
    let of_one = |row: &IdentityRow| {
        let found = statement.query_map((row.0, delete, erased), |row| Ok((row.get(0)?, row.get(1)?))).said()?;
        found.collect::<Result<_, _>>().said()
    };
    of.iter().map(of_one).collect()
}

/// Opens them; those whose key was destroyed are left out.
pub(super) fn open(ring: &KeyRing, found: Vec<RawPosts>) -> Result<Vec<Vec<Post>>, StoreError> {
    let open_one = |(version, sealed): (Vec<u8>, Vec<u8>)| {
        let Some(plain) = unseal(ring, ACTIVITY_BINDING, &hex(&version), &sealed)? else { return Ok(None) };
        let activity = decode_activity(&plain, None)?;
        let audience = activity.audience;
        Ok(activity.object.content.into_revealed().map(|content| Post { audience, content: Personal::new(content) }))
    };
    let of_one = |raw: RawPosts| raw.into_iter().filter_map(|post| open_one(post).transpose()).collect();
    found.into_iter().map(of_one).collect()
}
