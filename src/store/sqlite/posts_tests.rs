//! What accounts say, as evidence: the newest first, as it reads now; a decision taken without it is taken again.

use super::fixture::*;
use crate::model::{Audience, DropRule, Outcome, Verb};
use crate::store::{Disposition, IdentityRow, MOST_POSTS, Store, sqlite::SqliteStore};

fn said(store: &SqliteStore, rows: &[IdentityRow]) -> Vec<Vec<String>> {
    let all = run(store.posts(rows.to_vec())).unwrap();
    all.iter().map(|posts| posts.iter().map(|post| post.content.reveal().to_string()).collect()).collect()
}

/// Decides about everyone with work; nothing is written.
fn decide(store: &SqliteStore, seed: &str) -> usize {
    let works = work(store);
    let asked = works.iter().filter(|work| work.needs_decision).count();
    let one = |work: &_| step(work, Some(decision(Outcome::NotLinked, "C-1", seed)), |_| Disposition::Drop(DropRule::NotLinked));
    run(store.decide(works.iter().map(one).collect())).unwrap();
    asked
}

#[test]
fn posts_are_told_as_they_read_now_and_what_was_taken_back_is_not_told() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let notes = [
        note("ada", "n1", 1).text("one"),
        note("ada", "n2", 2).text("two"),
        note("bob", "n3", 3).text("of another"),
        note("ada", "n4", 4).text("a whisper").dropped(DropRule::PrivateMessage),
        note("ada", "n5", 5).text("gone soon"),
    ];
    take(&store, "a", &notes);
    let rows: Vec<IdentityRow> = work(&store).iter().map(|work| work.row).collect();
    assert_eq!(said(&store, &rows), [vec!["gone soon", "two", "one"], vec!["of another"]]);
    take(&store, "b", &[note("ada", "n1", 9).verb(Verb::Update).text("one, edited"), note("ada", "n5", 9).verb(Verb::Delete)]);
    assert_eq!(said(&store, &rows[..1]), [["one, edited", "two"]]);
    decide(&store, "1");
    assert_eq!(said(&store, &rows[..1]), [["one, edited", "two"]], "what was dropped is still said");
    let many: Vec<Note> =
        (0..2 * MOST_POSTS).map(|n| note("eve", &format!("m{n}"), i64::try_from(n).unwrap()).text(&n.to_string())).collect();
    take(&store, "c", &many);
    let eve = work(&store).iter().find(|work| work.id == identity("eve")).unwrap().row;
    let told = said(&store, &[eve]).remove(0);
    assert_eq!((told.len(), told[0].as_str()), (MOST_POSTS, "199"));
    let audiences: Vec<Audience> = run(store.posts(vec![eve])).unwrap().remove(0).iter().map(|post| post.audience).collect();
    assert!(audiences.iter().all(|audience| *audience == Audience::Public));
}

#[test]
fn only_a_post_that_is_evidence_asks_for_another_decision() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    take(&store, "a", &[note("ada", "n1", 1)]);
    assert_eq!(decide(&store, "1"), 1);
    take(&store, "b", &[note("ada", "n2", 2)]);
    assert_eq!(decide(&store, "2"), 0, "the decision in force serves");
    take(&store, "c", &[note("ada", "n3", 3).evidence()]);
    assert_eq!(decide(&store, "3"), 1);
    take(&store, "d", &[note("ada", "n3", 3).evidence(), note("ada", "n1", 0).evidence()]);
    assert_eq!(decide(&store, "4"), 0, "a repeat and a version that is older than what is known are no news");
}

#[test]
fn a_decision_that_is_under_way_when_evidence_arrives_is_taken_again() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    take(&store, "a", &[note("ada", "n1", 1)]);
    let works = work(&store);
    // The same profile, shown at the same moment: nothing but the post is new.
    take(&store, "b", &[note("ada", "n2", 1).evidence()]);
    let one = |work: &_| step(work, Some(decision(Outcome::NotLinked, "C-1", "1")), |_| Disposition::Drop(DropRule::NotLinked));
    run(store.decide(works.iter().map(one).collect())).unwrap();
    assert_eq!(decide(&store, "2"), 1);
    assert!(work(&store).is_empty());
}
