//! Limits as the receiving end sees them: over any window never more than allowed, at least 95 % of it used while there is work, and a kill
//! refills nothing.

use crate::support::nginx::{Nginx, Options};
use std::time::Duration;

/// Requests a second that the target allows.
const ALLOWED: u32 = 25;
/// A busy machine may be too slow to use what is allowed; it may never use more.
const TRIES: u32 = 3;

fn times(nginx: &Nginx) -> Vec<f64> {
    let mut times: Vec<f64> = nginx.accesses().iter().map(|access| access.seconds).collect();
    times.sort_by(f64::total_cmp);
    times
}

/// The most requests in any window of so many seconds, wherever it begins.
fn most_in(times: &[f64], seconds: f64) -> usize {
    times.iter().enumerate().map(|(at, first)| times[at..].iter().take_while(|t| **t < first + seconds).count()).max().unwrap_or(0)
}

fn limited(nginx: &Nginx, extra: &str) -> crate::support::Project {
    crate::http_target::project(&nginx.url(), &format!("concurrency = 3\nper_second = {ALLOWED}\n{extra}"))
}

#[test]
fn no_second_sees_more_than_allowed_and_95_percent_of_it_are_used() {
    for attempt in 1..=TRIES {
        let Some(nginx) = Nginx::start(Options::default()) else { return };
        limited(&nginx, "").run_once();
        let times = times(&nginx);
        assert!(times.len() >= 150, "{}", times.len());
        let most = most_in(&times, 1.0);
        assert!(most <= usize::try_from(ALLOWED).unwrap(), "{most} requests within a second; {ALLOWED} are allowed");
        let span = times.last().unwrap() - times.first().unwrap();
        let used = f64::from(u32::try_from(times.len() - 1).unwrap()) / span / f64::from(ALLOWED);
        eprintln!("{} requests, at most {most} in a second, {:.1} % of {ALLOWED}/s used", times.len(), used * 100.0);
        if used >= 0.95 {
            return;
        }
        assert!(attempt < TRIES, "only {:.1} % of the allowed rate was used", used * 100.0);
    }
}

#[test]
fn killed_and_started_again_and_again_no_window_sees_more_than_allowed() {
    let Some(nginx) = Nginx::start(Options::default()) else { return };
    let project = limited(&nginx, "per_minute = 90");
    // Five lives within the minute whose allowance one life alone could use up.
    for life in 0..5 {
        let mut run = project.spawn(&["--quiet", "run", "--once"]);
        std::thread::sleep(Duration::from_millis(4_000 + 700 * life));
        run.kill().unwrap();
        run.wait().unwrap();
    }
    let times = times(&nginx);
    assert!(times.len() > 10, "{}", times.len());
    let (second, minute) = (most_in(&times, 1.0), most_in(&times, 60.0));
    eprintln!("{} requests in five lives: at most {second} in a second, {minute} in a minute", times.len());
    assert!(second <= usize::try_from(ALLOWED).unwrap() && minute <= 90, "{second} in a second, {minute} in a minute");
}
