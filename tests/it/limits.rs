//! Limits as the receiving end sees them: over any window never more than allowed, at least 95 % of it used while there is work, and a kill
//! refills nothing.

use crate::support::nginx::{Nginx, Options};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

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

/// Requests a second from the first to the last.
fn rate(times: &[f64]) -> f64 {
    f64::from(u32::try_from(times.len() - 1).unwrap()) / (times.last().unwrap() - times.first().unwrap())
}

/// How late a sleeper wakes on this machine while something is done, in parts of the time between two requests.
fn lateness(done: impl FnOnce()) -> f64 {
    let apart = Duration::from_secs(1) / ALLOWED;
    let awake = Arc::new(AtomicBool::new(true));
    let sleeper = std::thread::spawn({
        let awake = awake.clone();
        move || {
            let (started, mut naps) = (Instant::now(), 0);
            while awake.load(Ordering::Relaxed) {
                std::thread::sleep(apart);
                naps += 1;
            }
            started.elapsed().as_secs_f64() / (apart * naps).as_secs_f64() - 1.0
        }
    });
    done();
    awake.store(false, Ordering::Relaxed);
    sleeper.join().unwrap()
}

#[test]
fn no_second_sees_more_than_allowed_and_95_percent_of_it_are_used() {
    let mut late = 0.0;
    for _ in 0..TRIES {
        let Some(nginx) = Nginx::start(Options::default()) else { return };
        let project = limited(&nginx, "");
        late = lateness(|| _ = project.run_once());
        let times = times(&nginx);
        assert!(times.len() >= 150, "{}", times.len());
        let most = most_in(&times, 1.0);
        assert!(most <= usize::try_from(ALLOWED).unwrap(), "{most} requests within a second; {ALLOWED} are allowed");
        let used = rate(&times) / f64::from(ALLOWED);
        eprintln!("{} requests, at most {most} in a second, {:.1} % of {ALLOWED}/s used", times.len(), used * 100.0);
        if used >= 0.95 {
            return;
        }
    }
    // Who waits for a token and is woken late uses less: only a machine that wakes in time says anything about the limit.
    assert!(late > 0.01, "less than 95 % of the allowed rate was used, and who sleeps here is woken {:.1} % late", late * 100.0);
    eprintln!("SKIPPED: that what is allowed is used: this machine is busy and wakes who sleeps {:.1} % late", late * 100.0);
}

#[test]
fn killed_and_started_again_and_again_no_window_sees_more_than_allowed() {
    let Some(nginx) = Nginx::start(Options::default()) else { return };
    let project = limited(&nginx, "per_minute = 90");
    // Five lives share what one life alone could use up; each is killed in the midst of sending.
    for life in 1..=5 {
        let mut run = project.spawn(&["--quiet", "run", "--once"]);
        let started = Instant::now();
        while times(&nginx).len() < 14 * life {
            assert!(started.elapsed() < Duration::from_secs(180), "life {life} sends nothing: {}", times(&nginx).len());
            std::thread::sleep(Duration::from_millis(50));
        }
        run.kill().unwrap();
        run.wait().unwrap();
    }
    let times = times(&nginx);
    let (second, minute) = (most_in(&times, 1.0), most_in(&times, 60.0));
    eprintln!("{} requests in five lives: at most {second} in a second, {minute} in a minute", times.len());
    assert!(second <= usize::try_from(ALLOWED).unwrap() && minute <= 90, "{second} in a second, {minute} in a minute");
}

#[test]
fn outside_its_hours_a_target_gets_nothing_and_status_says_until_when() {
    let project = crate::support::Project::with(&crate::support::slice(100));
    let today = jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).weekday();
    let day = format!("{:?}", today.wrapping_add(3)).chars().take(3).collect::<String>();
    project.edit(
        "config/kith.toml",
        "path = \"crm/crm.db\"",
        &format!("path = \"crm/crm.db\"\nhours = \"{day} 09:00-10:00\"\ntime_zone = \"UTC\""),
    );
    let run = project.run_once();
    assert!(project.crm("SELECT 1 FROM SocialInteraction").is_empty());
    assert!(run["in_flight"].as_u64().unwrap() > 0 && run["conservation_gap"] == 0, "{run}");
    assert!(run["waits"][0]["until"].as_str().unwrap().contains("T09:00:00Z"), "{run}");
    let status = project.kith(&["status"]).ok().stdout;
    assert!(status.contains("crm_db") && status.contains("09:00"), "{status}");
    project.edit("config/kith.toml", &format!("hours = \"{day} 09:00-10:00\""), "hours = \"daily 00:00-24:00\"");
    project.run_once();
    assert!(!project.crm("SELECT 1 FROM SocialInteraction").is_empty(), "when it opens, what waited goes");
}

#[test]
fn targets_of_one_endpoint_share_its_limits() {
    let project = crate::support::Project::with(&crate::support::slice(200));
    project.edit("config/kith.toml", "path = \"crm/crm.db\"", "path = \"crm/crm.db\"\nendpoint = \"crm\"");
    project.edit(
        "config/kith.toml",
        "path = \"crm/service-desk.ndjson\"",
        "path = \"crm/service-desk.ndjson\"\nendpoint = \"crm\"\nper_day = 60",
    );
    let run = project.run_once();
    let rows = ["SocialProfile", "SocialInteraction", "SocialLead"].map(|table| project.crm(&format!("SELECT 1 FROM {table}")).len());
    // Whoever comes first takes the burst.
    let tickets = std::fs::read_to_string(project.path("crm/service-desk.ndjson")).unwrap_or_default().lines().count();
    let written = rows.iter().sum::<usize>() + tickets;
    assert!((1..=3).contains(&written), "a burst of 2 % of 60 for both: {written}");
    assert!(run["waits"].as_array().unwrap().iter().any(|wait| wait["why"].as_str().unwrap().contains("quota")), "{run}");
}
