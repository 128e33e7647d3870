//! `kith doctor`: planted damage of every kind is found, mended where other rows tell what is right, never guessed at, and a second look is clean.

use crate::support::{Project, slice};
use rusqlite::Connection;
use serde_json::Value as Json;
use std::fs;
use std::os::unix::fs::FileExt;

const SAMPLE: usize = 60;

/// A run over a slice of the retail data, with everything delivered.
fn project() -> Project {
    let project = Project::with(&slice(SAMPLE));
    project.run_once();
    project
}

fn db(project: &Project) -> Connection {
    let db = Connection::open(project.path("state/kith.db")).unwrap();
    db.execute_batch("PRAGMA foreign_keys = OFF").unwrap();
    db
}

#[track_caller]
fn damage(project: &Project, sql: &str) {
    let db = db(project);
    let before = db.total_changes();
    db.execute_batch(sql).unwrap();
    assert!(db.total_changes() > before, "{sql} changed nothing");
}

fn number(project: &Project, sql: &str) -> i64 {
    db(project).query_row(sql, (), |row| row.get(0)).unwrap()
}

fn doctor(project: &Project, more: &[&str]) -> (Option<i32>, Json) {
    let mut args = vec!["--format", "json", "doctor", "--store"];
    args.extend(more);
    let ran = project.kith(&args);
    assert!(ran.stdout.starts_with('{'), "{}{}", ran.stdout, ran.stderr);
    (ran.code, ran.json())
}

fn codes(report: &Json) -> Vec<&str> {
    report["findings"].as_array().unwrap().iter().map(|f| f["code"].as_str().unwrap()).collect()
}

fn entries(project: &Project) -> usize {
    let ran = project.kith(&["--format", "json", "audit", "search", "--kind", "store.repaired", "--limit", "1000"]).ok();
    ran.stdout.lines().count()
}

/// Planted, seen by a dry run that changes nothing, mended with one entry each, then clean; the log holds and the next run goes on.
#[track_caller]
fn mends(project: &Project, sql: &str, code: &str, says: &str) -> Json {
    damage(project, sql);
    let told = entries(project);
    let (exit, dry) = doctor(project, &["--dry-run"]);
    assert_eq!(exit, Some(3), "{sql}: {dry}");
    assert!(codes(&dry).contains(&code) && dry.to_string().contains(says), "{sql}: {dry}");
    assert_eq!(entries(project), told, "a dry run tells nothing");
    let (exit, report) = doctor(project, &[]);
    assert_eq!(exit, Some(0), "{sql}: {report}");
    let repaired = report["findings"].as_array().unwrap();
    assert!(repaired.iter().all(|f| f["repair"] == "repaired"), "{report}");
    assert_eq!(entries(project), told + repaired.len(), "one entry a repair");
    clean(project);
    report
}

#[track_caller]
fn clean(project: &Project) {
    let (exit, report) = doctor(project, &["--dry-run"]);
    assert_eq!((exit, codes(&report).len()), (Some(0), 0), "{report}");
    project.kith(&["audit", "verify"]).ok();
}

/// Planted, told, and nothing changed.
#[track_caller]
fn tells(project: &Project, code: &str, says: &str) -> Json {
    for more in [&["--dry-run"][..], &[]] {
        let (exit, report) = doctor(project, more);
        assert_eq!(exit, Some(if more.is_empty() { 1 } else { 3 }), "{report}");
        assert!(codes(&report).contains(&code) && report.to_string().contains(says), "{report}");
    }
    doctor(project, &[]).1
}

#[test]
fn a_sound_store_is_clean_and_stays_as_it_is() {
    let project = project();
    let before = number(&project, "SELECT count(*) FROM leaf");
    clean(&project);
    let ran = project.kith(&["doctor", "--store"]).ok();
    assert!(ran.stdout.contains("is sound"), "{}", ran.stdout);
    assert_eq!(number(&project, "SELECT count(*) FROM leaf"), before);
    let look = project.kith(&["doctor"]).ok();
    for word in ["target crm_db", "fits its file", "conservation gap 0", "fits its tiles", "room on the disk"] {
        assert!(look.stdout.contains(word), "no {word}:\n{}", look.stdout);
    }
}

#[test]
fn doctor_looks_before_the_first_run_and_says_what_is_wrong_with_a_target() {
    let project = Project::with(&slice(SAMPLE));
    let look = project.kith(&["doctor"]).ok();
    assert!(look.stdout.contains("there is none yet"), "{}", look.stdout);
    assert!(!project.path("state").exists());
    project.kith(&["doctor", "--store"]).fails(1, "KITH-S006");
    fs::create_dir_all(project.path("crm")).unwrap();
    Connection::open(project.path("crm/crm.db")).unwrap().execute_batch("CREATE TABLE SocialInteraction (x)").unwrap();
    project.kith(&["doctor"]).fails(1, "KITH-D003");
}

#[test]
fn states_and_flags_are_brought_to_what_other_rows_say() {
    let project = project();
    let some = "(SELECT id FROM delivery WHERE state = 2 AND activity IS NOT NULL LIMIT 1)";
    mends(&project, &format!("UPDATE delivery SET open = 1 WHERE id = {some}"), "KITH-S022", "open flags");
    let report = mends(&project, &format!("UPDATE delivery SET state = 1, open = 1 WHERE id = {some}"), "KITH-S022", "stuck sends");
    assert!(report.to_string().contains("states of activities"), "its activity follows: {report}");
    assert_eq!(project.run_once()["conservation_gap"], 0);
    assert_eq!(number(&project, "SELECT count(*) FROM delivery WHERE open = 1"), 0, "the next start settled it");
    mends(
        &project,
        "UPDATE activity SET state = 2 WHERE id = (SELECT activity FROM delivery WHERE state = 2 AND activity IS NOT NULL LIMIT 1)",
        "KITH-S022",
        "states of activities",
    );
    // An activity in delivery without a delivery is planned again, and arrives.
    let lost = "(SELECT d.activity FROM delivery d JOIN activity a ON a.id = d.activity WHERE d.state = 2 AND d.target = 'crm_db' GROUP BY 1 HAVING count(*) = 1 LIMIT 1)";
    mends(
        &project,
        &format!("CREATE TEMP TABLE gone AS SELECT {lost} AS id; DELETE FROM written WHERE delivery IN (SELECT id FROM delivery WHERE activity IN (SELECT id FROM gone));
                  DELETE FROM delivery WHERE activity IN (SELECT id FROM gone); UPDATE activity SET state = 2 WHERE id IN (SELECT id FROM gone)"),
        "KITH-S022",
        "nothing to deliver",
    );
    assert_eq!(number(&project, "SELECT count(*) FROM activity WHERE state = 0"), 1);
    let run = project.run_once();
    assert_eq!((run["in_flight"].as_u64(), run["conservation_gap"].as_u64()), (run["in_flight"].as_u64(), Some(0)), "{run}");
    assert_eq!(number(&project, "SELECT count(*) FROM activity WHERE state IN (0, 2)"), 0, "it would have waited for ever");
    // Something waits and nothing makes anybody look.
    mends(
        &project,
        "UPDATE activity SET state = 0 WHERE id = (SELECT a.id FROM activity a JOIN identity i ON i.id = a.identity
           WHERE i.account IS NOT NULL AND a.sealed IS NOT NULL AND NOT EXISTS (SELECT 1 FROM delivery d WHERE d.activity = a.id) LIMIT 1)",
        "KITH-S022",
        "undecided accounts",
    );
    mends(
        &project,
        "UPDATE identity SET needs_decision = 1, work = 0 WHERE id = (SELECT max(id) FROM identity WHERE account IS NOT NULL)",
        "KITH-S022",
        "undecided accounts",
    );
    project.run_once();
    assert_eq!(number(&project, "SELECT count(*) FROM identity WHERE work = 1 AND account IS NOT NULL"), 0);
    mends(
        &project,
        "UPDATE identity SET account = NULL WHERE id = (SELECT identity FROM activity WHERE id = (SELECT max(id) FROM activity));
         UPDATE activity SET state = 0, sealed = NULL WHERE id = (SELECT max(id) FROM activity);
         DELETE FROM written WHERE delivery IN (SELECT id FROM delivery WHERE activity = (SELECT max(id) FROM activity));
         DELETE FROM attempt WHERE delivery IN (SELECT id FROM delivery WHERE activity = (SELECT max(id) FROM activity));
         DELETE FROM delivery WHERE activity = (SELECT max(id) FROM activity)",
        "KITH-S022",
        "accounts not kept",
    );
}

#[test]
fn rows_without_parents_are_taken_out_found_again_or_told() {
    let project = project();
    mends(&project, "INSERT INTO attempt VALUES (999999, 1, 0, 'failed', 'KITH-D001', 'x', NULL)", "KITH-S021", "taken out of `attempt`");
    mends(&project, "INSERT INTO evidence VALUES (999999, x'0000000000000000')", "KITH-S021", "`evidence`");
    mends(
        &project,
        "UPDATE written SET delivery = 999999 WHERE record = (SELECT min(record) FROM written)",
        "KITH-S021",
        "written records",
    );
    mends(&project, "UPDATE delivery SET decision = 999999 WHERE id = 1", "KITH-S021", "decisions of deliveries");
    mends(&project, "UPDATE activity SET identity = identity + 1 WHERE id = 1", "KITH-S021", "authors of activities");
    mends(&project, "UPDATE object SET newest = 999999 WHERE id = 3", "KITH-S021", "newest versions");
    let report = mends(&project, "DELETE FROM source_day", "KITH-S021", "days of rows");
    assert!(report.to_string().contains("days of rows"), "{report}");
}

#[test]
fn a_counter_is_mended_where_rows_and_log_agree_and_a_lost_row_never_hidden() {
    let project = project();
    let report = mends(&project, "UPDATE source_day SET received = received + 3", "KITH-S023", "the counter is brought to");
    assert_eq!(report["findings"][0]["count"], 3);
    assert_eq!(project.kith(&["--format", "json", "status"]).ok().json()["conservation_gap"], 0);
    damage(
        &project,
        "DELETE FROM activity WHERE id = (SELECT a.id FROM activity a WHERE NOT EXISTS (SELECT 1 FROM delivery d WHERE d.activity = a.id)
           AND NOT EXISTS (SELECT 1 FROM object o WHERE o.newest = a.id AND (SELECT count(*) FROM activity b WHERE b.object = o.id) > 1) LIMIT 1)",
    );
    let report = tells(&project, "KITH-S023", "rows were lost");
    assert!(report["findings"].as_array().unwrap().iter().all(|f| f["repair"] != "repaired"), "{report}");
    project.kith(&["doctor"]).fails(3, "the gap must be 0");
}

#[test]
fn entries_that_are_missing_come_back_from_the_log_and_a_log_that_lags_follows() {
    let project = project();
    let before = number(&project, "SELECT count(*) FROM leaf");
    mends(&project, "DELETE FROM leaf WHERE seq IN (0, 5, 6)", "KITH-S024", "put back from the log's bundles");
    assert_eq!(number(&project, "SELECT count(*) FROM leaf"), before + 1);

    // A log folder that was lost is written anew, with the same root.
    let root = |project: &Project| project.kith(&["--format", "json", "audit", "verify"]).ok().json();
    let old = root(&project);
    fs::remove_dir_all(project.path("state/log")).unwrap();
    let (exit, report) = doctor(&project, &[]);
    assert_eq!((exit, codes(&report)), (Some(0), vec!["KITH-S024"]), "{report}");
    assert_eq!(root(&project)["size"].as_u64().unwrap(), old["size"].as_u64().unwrap() + 1);
    clean(&project);

    // A changed entry, and a database older than its log, are the reviewer's: nothing is added to either.
    let saved = fs::read(project.path("state/kith.db")).unwrap();
    damage(
        &project,
        "UPDATE leaf SET bytes = CAST(replace(CAST(bytes AS TEXT), '\"received\":60', '\"received\":59') AS BLOB) WHERE CAST(bytes AS TEXT) LIKE '%\"received\":60%'",
    );
    let leaves = number(&project, "SELECT count(*) FROM leaf");
    let report = tells(&project, "KITH-S024", "the store's row is another one");
    assert_eq!((report["complete"].as_bool(), number(&project, "SELECT count(*) FROM leaf")), (Some(false), leaves));
    for file in ["kith.db-wal", "kith.db-shm"] {
        drop(fs::remove_file(project.path("state").join(file)));
    }
    fs::write(project.path("state/kith.db"), saved).unwrap();
    damage(&project, "DELETE FROM leaf WHERE seq = (SELECT max(seq) FROM leaf)");
    tells(&project, "KITH-S024", "older than its log");
}

#[test]
fn what_a_wrong_clock_wrote_does_not_stop_delivery_for_years() {
    let project = project();
    let future = 4_000_000_000_i64 * 1_000_000_000;
    mends(&project, &format!("INSERT INTO spent VALUES ('crm/crm.db', '', 60, {future}, {future})"), "KITH-S026", "quotas");
    mends(
        &project,
        &format!("INSERT INTO endpoint VALUES ('crm/crm.db', {future} + 60000000000, 'KITH-D001', 'x', 0, NULL, 0, NULL, NULL, {future})"),
        "KITH-S026",
        "waits of endpoints",
    );
    let left = number(&project, "SELECT waits_until - changed_at FROM endpoint");
    assert_eq!(left, 60_000_000_000, "a wait keeps its length");
    damage(&project, "UPDATE endpoint SET waits_until = NULL");
    mends(
        &project,
        &format!(
            "UPDATE delivery SET state = 0, open = 1, not_before = {future} WHERE id = 1;
                  UPDATE activity SET state = 2 WHERE id = (SELECT activity FROM delivery WHERE id = 1)"
        ),
        "KITH-S026",
        "waits of deliveries",
    );
    let run = project.run_once();
    assert_eq!(run["conservation_gap"], 0);
    assert_eq!(number(&project, "SELECT count(*) FROM delivery WHERE open = 1"), 0);
}

#[test]
fn a_delivery_that_can_not_be_opened_is_put_aside_and_the_wrong_keys_change_nothing() {
    let project = project();
    let report = mends(
        &project,
        "UPDATE delivery SET state = 0, open = 1, sealed = zeroblob(length(sealed)) WHERE id = 1;
         UPDATE activity SET state = 2 WHERE id = (SELECT activity FROM delivery WHERE id = 1)",
        "KITH-S025",
        "open deliveries",
    );
    assert_eq!(report["findings"].as_array().unwrap().len(), 1, "{report}");
    project.kith(&["dead-letter", "list", "--code", "KITH-S025"]).ok();
    damage(
        &project,
        "UPDATE identity SET profile = CAST(substr(profile, 1, length(profile) - 1) || x'ff' AS BLOB) WHERE id = (SELECT max(id) FROM identity WHERE profile IS NOT NULL)",
    );
    tells(&project, "KITH-S025", "profiles");

    let project = self::project();
    let other = self::project();
    fs::copy(other.path("state/keys/master.key"), project.path("state/keys/master.key")).unwrap();
    damage(
        &project,
        "UPDATE delivery SET state = 0, open = 1 WHERE id = 1; UPDATE activity SET state = 2 WHERE id = (SELECT activity FROM delivery WHERE id = 1)",
    );
    tells(&project, "KITH-S025", "the master key opens none");
    assert_eq!(
        number(&project, "SELECT count(*) FROM delivery WHERE state = 3 AND code = 'KITH-S025'"),
        0,
        "nothing is put aside for wrong keys"
    );
}

#[test]
fn an_index_is_made_anew_and_a_damaged_table_is_told() {
    let project = project();
    // The index forgets a row, as SQLite's own documentation says how to make one wrong.
    let db = db(&project);
    db.execute_batch(
        "PRAGMA writable_schema = ON;
         UPDATE sqlite_schema SET sql = replace(sql, 'current = 0', 'current = 7') WHERE name = 'decision_earlier'; PRAGMA writable_schema = RESET",
    )
    .unwrap();
    db.execute_batch("REINDEX decision_earlier; UPDATE decision SET current = 0 WHERE id = (SELECT max(id) FROM decision)").unwrap();
    db.execute_batch(
        "PRAGMA writable_schema = ON;
         UPDATE sqlite_schema SET sql = replace(sql, 'current = 7', 'current = 0') WHERE name = 'decision_earlier'; PRAGMA writable_schema = RESET",
    )
    .unwrap();
    drop(db);
    let (exit, report) = doctor(&project, &["--dry-run"]);
    assert_eq!((exit, codes(&report)), (Some(3), vec!["KITH-S020"]), "{report}");
    let (exit, report) = doctor(&project, &[]);
    assert_eq!(exit, Some(0), "{report}");
    clean(&project);

    // The table of deliveries loses its first page.
    let page = number(&project, "SELECT rootpage FROM sqlite_schema WHERE name = 'delivery'");
    let file = fs::OpenOptions::new().write(true).open(project.path("state/kith.db")).unwrap();
    file.write_all_at(&[0xa5; 200], (u64::try_from(page).unwrap() - 1) * 4_096).unwrap();
    tells(&project, "KITH-S020", "damaged");
}

#[test]
fn beside_a_running_service_doctor_only_looks() {
    let project = project();
    let mut service = project.spawn(&["run"]);
    while !project.path("state/control.sock").exists() {
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    project.kith(&["doctor", "--store"]).fails(1, "KITH-S001");
    project.kith(&["doctor"]).ok();
    assert!(std::process::Command::new("kill").arg(service.id().to_string()).status().unwrap().success());
    service.wait().unwrap();
    project.kith(&["doctor", "--dry-run"]).fails(2, "--store");
    clean(&project);
}
