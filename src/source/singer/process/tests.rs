//! Programs of the shell in place of a tap: what they print, how they end, and that all of them goes.

use super::*;

const LONG: Duration = Duration::from_mins(2);

/// Waits until nobody of a group lives. Who is dead and was not reaped by the system's first process lives no more.
async fn gone(group: i32) {
    let lives = || {
        let stats =
            std::fs::read_dir("/proc").unwrap().flatten().filter_map(|entry| std::fs::read_to_string(entry.path().join("stat")).ok());
        // Behind the name: state, parent, group (proc(5)).
        stats
            .filter_map(|stat| Some(stat.rsplit_once(')')?.1.split_whitespace().map(str::to_owned).collect::<Vec<_>>()))
            .any(|fields| !matches!(fields[0].as_str(), "Z" | "X") && fields[2] == group.to_string())
    };
    for _ in 0..1_200 {
        if !lives() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("somebody of the group lives");
}

fn shell(script: &str, idle: Duration, longest: Duration) -> Process {
    Process::start(Command::new("sh").args(["-c", script]), &"s".into(), Vec::new(), idle, longest).unwrap()
}

async fn all(process: &mut Process) -> (Vec<String>, Option<TapError>) {
    let mut found = Vec::new();
    loop {
        match process.next_line().await {
            Ok(Some(Line::Whole(line))) => found.push(String::from_utf8(line).unwrap()),
            Ok(Some(Line::TooLong { bytes, .. })) => found.push(format!("{bytes} bytes")),
            Ok(None) => return (found, None),
            Err(error) => return (found, Some(error)),
        }
    }
}

#[tokio::test]
async fn lines_come_in_order_with_the_last_one_and_the_exit_code_is_told() {
    let mut process = shell("echo one; printf 'two\\r\\n\\nthree'; echo 'ERROR request failed for Ada' >&2; exit 7", LONG, LONG);
    let (lines, error) = all(&mut process).await;
    assert_eq!((lines, error), (vec!["one".into(), "two".into(), String::new(), "three".into()], None));
    let told = process.end().await.unwrap_err();
    assert!(matches!(told, TapError::Exit { code: 7, .. }), "{told}");
    assert!(!told.to_string().contains("Ada"), "{told}");
    let mut process = shell("kill -TERM $$", LONG, LONG);
    all(&mut process).await;
    assert!(matches!(process.end().await, Err(TapError::Signal { signal: 15, .. })));
    let mut process = shell("true", LONG, LONG);
    all(&mut process).await;
    assert_eq!(process.end().await, Ok(()));
}

#[tokio::test]
async fn silence_and_endlessness_are_told_and_the_whole_group_goes() {
    let mut silent = shell("echo one; sleep 600 & sleep 600", Duration::from_millis(200), LONG);
    let (lines, error) = all(&mut silent).await;
    assert_eq!((lines.len(), error), (1, Some(TapError::Silent(Duration::from_millis(200)))));
    let group = silent.pid().unwrap();
    silent.stop().await;
    gone(group).await;
    let mut endless = shell("while :; do echo x; sleep 0.05; done", LONG, Duration::from_millis(500));
    let (lines, error) = all(&mut endless).await;
    assert!(!lines.is_empty());
    assert_eq!(error, Some(TapError::Endless(Duration::from_millis(500))));
    endless.stop().await;
}

#[tokio::test]
async fn a_tap_that_takes_no_sigterm_is_killed() {
    let mut process = shell("trap '' TERM; echo ready; while :; do sleep 0.1; done", LONG, LONG);
    assert!(matches!(process.next_line().await, Ok(Some(_))));
    let group = process.pid().unwrap();
    process.stop().await;
    gone(group).await;
}

#[tokio::test]
async fn who_leaves_a_child_with_the_pipe_behind_is_not_waited_for() {
    let mut process = shell("echo one; setsid sleep 30 & exit 0", Duration::from_secs(1), LONG);
    let (lines, error) = all(&mut process).await;
    assert_eq!((lines, error), (vec!["one".to_owned()], None));
    assert_eq!(process.end().await, Ok(()));
}

#[tokio::test]
async fn the_pipe_is_the_brake_and_a_line_without_end_is_cut() {
    // 200 MB on one line, and a flood of others: neither is held.
    let mut process = shell("head -c 200000000 /dev/zero | tr '\\0' x; echo; yes | head -n 100000", LONG, LONG);
    let first = process.next_line().await.unwrap();
    assert!(matches!(first, Some(Line::TooLong { bytes: 200_000_000, ref kept }) if kept.len() == KEPT_BYTES));
    let (lines, error) = all(&mut process).await;
    assert_eq!((lines.len(), error), (100_000, None));
    process.end().await.unwrap();
}
