//! What is held of a network: what was said and not taken back, also where only the record in a CRM is left of it.

use super::fixture::*;
use crate::model::{DropRule, Network, Verb};
use crate::store::{ClockKind, ClockStep, HeldPage, Holding as _, Rights as _, TellOf, sqlite::SqliteStore};
use std::sync::Arc;

fn objects(store: &SqliteStore) -> Vec<String> {
    let (mut after, mut all) = (0, Vec::new());
    loop {
        let HeldPage { held, last } = run(store.held_objects(Network::X, after, 2)).unwrap();
        all.extend(held.iter().map(|held| format!("{}/{}", held.author.id, held.object)));
        let Some(last) = last else { return all };
        after = last;
    }
}

fn accounts(store: &SqliteStore) -> Vec<String> {
    run(store.held_accounts(Network::X, 0, 100)).unwrap().held.iter().map(ToString::to_string).collect()
}

fn of(store: &SqliteStore, account: &str) -> Vec<String> {
    let Some(row) = run(store.account_row(identity(account))).unwrap() else { return Vec::new() };
    run(store.held_of(row, 0, 100)).unwrap().held.iter().map(|held| held.object.to_string()).collect()
}

#[test]
fn what_was_said_is_held_until_it_is_taken_back_also_where_only_the_crm_has_it() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let notes = [
        note("ada", "n1", 1),
        note("ada", "n2", 2),
        note("bob", "n3", 3),
        note("eve", "n4", 4).dropped(DropRule::PrivateMessage),
        note("bob", "n5", 5),
    ];
    take(&store, "a", &notes);
    assert_eq!(objects(&store), ["ada/n1", "ada/n2", "bob/n3", "bob/n5"], "nothing is kept of a whisper");
    link_all(&store, "C-1", "1");
    deliver_all(&store);
    take(&store, "b", &[note("ada", "n2", 9).verb(Verb::Delete), note("bob", "n3", 9).verb(Verb::Update)]);
    assert_eq!(objects(&store), ["ada/n1", "bob/n3", "bob/n5"]);
    assert_eq!(
        (accounts(&store), of(&store, "bob"), of(&store, "nobody")),
        (vec!["ada".into(), "bob".into()], vec!["n3".into(), "n5".into()], vec![])
    );
    let asked = ["n5", "n2", "n9", "n3"].map(str::to_owned).to_vec();
    let found = run(store.held_by_id(Network::X, asked)).unwrap();
    let found: Vec<_> = found.iter().map(|held| held.as_ref().map(|held| (&*held.object, held.at))).collect();
    assert_eq!(found, [Some(("n5", at(5))), None, None, Some(("n3", at(9)))]);

    // The clock of what is said ends: what stands in the CRM says which objects they were.
    link_all(&store, "C-1", "2");
    deliver_all(&store);
    let tell: TellOf<_> = TellOf(Arc::new(|_ended| Ok(Vec::new())));
    let clock = ClockKind::Activities;
    let step = ClockStep { clock, field: None, now: at(2_000), before: at(1_900), only: None, except: Vec::new(), limit: 100, tell };
    run(store.run_clock(step)).unwrap();
    assert_eq!(objects(&store), ["ada/n1", "bob/n3", "bob/n5"]);
    let held = run(store.held_by_id(Network::X, vec!["n3".into()])).unwrap().remove(0).unwrap();
    assert_eq!((&*held.object, held.author, held.at), ("n3", identity("bob"), at(9)));
    take(&store, "c", &[note("bob", "n3", 10).verb(Verb::Delete)]);
    assert_eq!(of(&store, "bob"), ["n5"]);
}
