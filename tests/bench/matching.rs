//! Pairs a second by a Splink model, beside Splink itself on the same model, tables and pairs.
#![allow(
    clippy::print_stdout,
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a benchmark prints, over figures that it made itself"
)]
//! Half a million customers and a hundred thousand profiles, made from a seed. Measured: making the model ready (keys, blocks, computed
//! columns, term frequencies) and scoring every pair in memory, on one thread and on two, which is what Splink's `predict()` does; and the whole
//! command, reading CSV and writing Parquet with it. Splink takes turns with it where a python has it (`KITH_TEST_SPLINK`), five rounds (`KITH_BENCH_ROUNDS`).
//! Prints a table and writes `target/bench/matching-score.json`. Run: `cargo bench --bench matching`.

use kith::diagnose::SourceFile;
use kith::pipeline::scoring::{read_tables, score_all};
use kith::splink::{Linker, Settings};
use serde_json::{Value as Json, json};
use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

type Failed = Box<dyn Error>;

/// splitmix64 (Steele, Lea, Flood 2014).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let x = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ (x >> 31)
    }

    fn below(&mut self, n: u64) -> u64 {
        self.next() % n.max(1)
    }

    /// A number below `n`, small ones more often, as names have it: the square of an even draw.
    fn skewed(&mut self, n: u64) -> u64 {
        let draw = self.below(1 << 16) as f64 / 65_536.0;
        ((draw * draw * n as f64) as u64).min(n - 1)
    }
}

/// A made-up word that its number tells, of two to five syllables.
fn word(number: u64) -> String {
    const SYLLABLES: [&str; 24] = [
        "ma", "ro", "li", "an", "der", "ta", "ne", "so", "bi", "lu", "ka", "ri", "ton", "el", "vi", "ga", "mo", "sa", "ber", "no", "fi",
        "le", "du", "ca",
    ];
    let mut random = Random(number.wrapping_mul(0x5851_f42d_4c95_7f2d));
    let count = 2 + random.below(3);
    (0..count).map(|_| SYLLABLES[random.below(24) as usize]).collect()
}

fn typed(random: &mut Random, text: &str) -> String {
    if text.len() < 3 || random.below(100) >= 12 {
        return text.to_owned();
    }
    let mut bytes = text.as_bytes().to_vec();
    let at = 1 + random.below(bytes.len() as u64 - 2) as usize;
    match random.below(3) {
        0 => bytes.swap(at, at - 1),
        1 => bytes[at] = b'a' + random.below(26) as u8,
        _ => drop(bytes.remove(at)),
    }
    String::from_utf8(bytes).unwrap_or_default()
}

/// The row of a person as one table shows them: slips of the keyboard, cells that are missing.
fn row(person: u64, table: u64, out: &mut String) {
    let mut of = Random(person ^ 0x1234_5678);
    let (given, family, city) = (word(of.skewed(1_000)), word(10_000 + of.skewed(10_000)), word(100_000 + of.skewed(1_000)));
    let (year, month, day) = (1940 + of.below(65), 1 + of.below(12), 1 + of.below(28));
    let mut here = Random(person.wrapping_mul(31) ^ table);
    let email = format!("{}.{}{}@{}", given, family, of.below(90), ["example.org", "example.com", "example.net"][of.below(3) as usize]);
    let cells = [typed(&mut here, &given), typed(&mut here, &family), typed(&mut here, &city), typed(&mut here, &email)];
    let born = typed(&mut here, &format!("{year}-{month:02}-{day:02}"));
    for cell in cells.iter().chain([&born]) {
        out.push(',');
        if here.below(100) >= 7 {
            out.push_str(cell);
        }
    }
}

fn table(path: &Path, people: impl Iterator<Item = u64>, table: u64) -> Result<(), Failed> {
    let mut text = String::from("unique_id,given,family,city,email,born\n");
    for (number, person) in people.enumerate() {
        write!(text, "{number}")?;
        row(person, table, &mut text);
        text.push('\n');
    }
    fs::write(path, text)?;
    Ok(())
}

/// The model: as Splink's library writes it, with m and u of a trained one.
fn model() -> Json {
    let comparison = |name: &str, levels: &[(&str, f64, f64, bool)]| {
        let null = json!({ "sql_condition": format!("\"{name}_l\" IS NULL OR \"{name}_r\" IS NULL"), "label_for_charts": "missing", "is_null_level": true });
        let level = |(sql, m, u, adjusted): &(&str, f64, f64, bool)| {
            let sql = sql.replace("$l", &format!("\"{name}_l\"")).replace("$r", &format!("\"{name}_r\""));
            let mut level = json!({ "sql_condition": sql, "label_for_charts": sql, "m_probability": m, "u_probability": u });
            if *adjusted {
                level["tf_adjustment_column"] = json!(name);
                level["tf_adjustment_weight"] = json!(1.0);
            }
            level
        };
        let levels: Vec<Json> = std::iter::once(null).chain(levels.iter().map(level)).collect();
        json!({ "output_column_name": name, "comparison_levels": levels })
    };
    let date = |days: &str| format!("ABS(EPOCH(try_strptime($l, '%Y-%m-%d')) - EPOCH(try_strptime($r, '%Y-%m-%d'))) <= {days}");
    let local = "NULLIF(regexp_extract($l, '^[^@]+', 0), '') = NULLIF(regexp_extract($r, '^[^@]+', 0), '')";
    let local_alike =
        "jaro_winkler_similarity(NULLIF(regexp_extract($l, '^[^@]+', 0), ''), NULLIF(regexp_extract($r, '^[^@]+', 0), '')) >= 0.88";
    let rule = |sql: &str| json!({ "blocking_rule": sql, "sql_dialect": "duckdb" });
    json!({
        "link_type": "link_only",
        "probability_two_random_records_match": 1e-6,
        "sql_dialect": "duckdb",
        "unique_id_column_name": "unique_id",
        "source_dataset_column_name": "source_dataset",
        "retain_intermediate_calculation_columns": false,
        "retain_matching_columns": false,
        "blocking_rules_to_generate_predictions": [
            rule("l.\"family\" = r.\"family\" AND SUBSTRING(l.\"given\", 1, 1) = SUBSTRING(r.\"given\", 1, 1)"),
            rule("l.\"given\" = r.\"given\" AND l.\"city\" = r.\"city\""),
            rule("l.\"email\" = r.\"email\""),
            rule("l.\"born\" = r.\"born\""),
        ],
        "comparisons": [
            comparison("given", &[
                ("$l = $r", 0.72, 0.004, true),
                ("jaro_winkler_similarity($l, $r) >= 0.92", 0.11, 0.003, false),
                ("jaro_winkler_similarity($l, $r) >= 0.88", 0.05, 0.005, false),
                ("jaro_winkler_similarity($l, $r) >= 0.7", 0.06, 0.05, false),
                ("ELSE", 0.06, 0.938, false),
            ]),
            comparison("family", &[
                ("$l = $r", 0.75, 0.0004, true),
                ("jaro_winkler_similarity($l, $r) >= 0.92", 0.11, 0.002, false),
                ("levenshtein($l, $r) <= 2", 0.06, 0.01, false),
                ("ELSE", 0.08, 0.9876, false),
            ]),
            comparison("city", &[("$l = $r", 0.8, 0.01, true), ("levenshtein($l, $r) <= 1", 0.1, 0.01, false), ("ELSE", 0.1, 0.98, false)]),
            comparison("email", &[("$l = $r", 0.6, 0.00001, false), (local, 0.1, 0.0001, false), (local_alike, 0.2, 0.01, false), ("ELSE", 0.1, 0.98989, false)]),
            comparison("born", &[
                ("$l = $r", 0.85, 0.0001, false),
                ("damerau_levenshtein($l, $r) <= 1", 0.1, 0.002, false),
                (&date("2629800.0"), 0.01, 0.003, false),
                (&date("31557600.0"), 0.01, 0.03, false),
                ("ELSE", 0.03, 0.9649, false),
            ]),
        ],
    })
}

/// Processor seconds of this process and of its children that ended (proc(5); 100 ticks a second on Linux).
fn processor() -> (f64, f64) {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let tick = |at: usize| fields.get(at).and_then(|t| t.parse::<f64>().ok()).unwrap_or(0.0);
    ((tick(11) + tick(12)) / 100.0, (tick(13) + tick(14)) / 100.0)
}

/// The most memory that a process had, in MB.
fn peak(pid: &str) -> Option<f64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let kb: f64 = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?.trim().trim_end_matches(" kB").parse().ok()?;
    Some(kb / 1_024.0)
}

struct Measured {
    what: String,
    pairs: u64,
    weights: f64,
    seconds: f64,
    cpu: f64,
    peak_mb: f64,
}

impl Measured {
    fn json(&self) -> Json {
        json!({ "what": self.what, "pairs": self.pairs, "seconds": self.seconds, "cpu_seconds": self.cpu, "pairs_per_second": self.pairs as f64 / self.seconds, "pairs_per_cpu_second": self.pairs as f64 / self.cpu, "peak_mb": self.peak_mb })
    }
}

fn in_memory(model: &Path, tables: &[PathBuf; 2], threads: usize) -> Result<Measured, Failed> {
    let file = Arc::new(SourceFile { name: model.display().to_string(), text: fs::read_to_string(model)? });
    let settings = Settings::read(&file).value.ok_or("the model can't be read")?;
    let named = [("people_a", tables[0].as_path()), ("people_b", tables[1].as_path())];
    let frame = read_tables(&settings, &named).map_err(|_problems| "the tables can't be read")?;
    let (before, start) = (processor().0, Instant::now());
    let linker = Linker::new(&settings, &frame);
    let mut weights = 0.0;
    let scored = score_all(&linker, threads, |_, scores| {
        weights += scores.weights.iter().sum::<f64>();
        Ok::<(), Failed>(())
    })?;
    let (seconds, cpu) = (start.elapsed().as_secs_f64(), processor().0 - before);
    let what = format!("Kith, in memory, {threads} thread{}", if threads == 1 { "" } else { "s" });
    Ok(Measured { what, pairs: scored.pairs.iter().sum(), weights, seconds, cpu, peak_mb: peak("self").unwrap_or(f64::NAN) })
}

fn command(model: &Path, tables: &[PathBuf; 2], threads: usize, out: &Path) -> Result<Measured, Failed> {
    let (before, start) = (processor().1, Instant::now());
    let mut child = Command::new(env!("CARGO_BIN_EXE_kith"))
        .args(["match", "score", "--format", "json", "--left-name", "people_a", "--right-name", "people_b"])
        .args([Path::new("--model"), model, Path::new("--left"), &tables[0], Path::new("--right"), &tables[1], Path::new("--out"), out])
        .args(["--threads", &threads.to_string()])
        .stdout(Stdio::piped())
        .spawn()?;
    let (pid, mut most) = (child.id().to_string(), 0.0_f64);
    while child.try_wait()?.is_none() {
        most = most.max(peak(&pid).unwrap_or(0.0));
        std::thread::sleep(Duration::from_millis(10));
    }
    let (seconds, cpu) = (start.elapsed().as_secs_f64(), processor().1 - before);
    let told: Json = serde_json::from_slice(&child.wait_with_output()?.stdout)?;
    let pairs = told["pairs"].as_u64().ok_or("kith match score failed")?;
    let what = format!("kith match score, CSV to Parquet, {threads} thread{}", if threads == 1 { "" } else { "s" });
    Ok(Measured { what, pairs, weights: f64::NAN, seconds, cpu, peak_mb: most })
}

fn splink(model: &Path, tables: &[PathBuf; 2], threads: usize) -> Result<Option<Measured>, Failed> {
    let beside = std::env::temp_dir().join("kith-splink/bin/python").display().to_string();
    let pythons = std::env::var("KITH_TEST_SPLINK").into_iter().chain([beside, "python3".to_owned()]);
    let has = |python: &String| {
        Command::new(python).args(["-c", "import splink, duckdb"]).stderr(Stdio::null()).status().is_ok_and(|s| s.success())
    };
    let Some(python) = pythons.into_iter().find(has) else {
        println!("SKIPPED: no python has splink");
        return Ok(None);
    };
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/splink_speed.py");
    let out = Command::new(python).arg(script).arg(model).args(tables).arg(threads.to_string()).output()?;
    if !out.status.success() {
        return Err(String::from_utf8_lossy(&out.stderr).into());
    }
    let told: Json = serde_json::from_slice(&out.stdout)?;
    let number = |name: &str| told[name].as_f64().unwrap_or(f64::NAN);
    Ok(Some(Measured {
        what: format!("Splink, predict(), {threads} thread{}", if threads == 1 { "" } else { "s" }),
        pairs: told["pairs"].as_u64().unwrap_or(0),
        weights: number("weights"),
        seconds: number("seconds"),
        cpu: number("cpu"),
        peak_mb: number("peak_mb"),
    }))
}

/// The one of the median processor time.
fn median(mut measured: Vec<Measured>) -> Option<Measured> {
    measured.sort_by(|one, other| one.cpu.total_cmp(&other.cpu));
    let at = measured.len() / 2;
    (at < measured.len()).then(|| measured.swap_remove(at))
}

fn number(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

fn main() -> Result<(), Failed> {
    let (customers, profiles) = (number("KITH_BENCH_CUSTOMERS", 500_000), number("KITH_BENCH_PROFILES", 100_000));
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/bench/matching");
    fs::create_dir_all(&folder)?;
    let (path, tables) = (folder.join("model.json"), [folder.join("customers.csv"), folder.join("profiles.csv")]);
    fs::write(&path, serde_json::to_string_pretty(&model())?)?;
    table(&tables[0], 0..customers, 1)?;
    // Six in ten profiles are customers.
    let mut random = Random(7);
    let people: Vec<u64> = (0..profiles).map(|n| if random.below(10) < 6 { random.below(customers) } else { 10_000_000 + n }).collect();
    table(&tables[1], people.into_iter(), 2)?;
    // What else the machine's host does changes either by a third from minute to minute: so they take turns, and the median counts.
    let rounds = number("KITH_BENCH_ROUNDS", 5).max(1);
    let mut measured: [Vec<Measured>; 4] = Default::default();
    for _ in 0..rounds {
        for (threads, at) in [(1, 0), (2, 1)] {
            measured[at].push(in_memory(&path, &tables, threads)?);
            measured[at + 2].extend(splink(&path, &tables, threads)?);
        }
    }
    let ratios = [0, 1].map(|at| {
        let each = measured[at].iter().zip(&measured[at + 2]);
        let mut ratios: Vec<f64> = each.map(|(mine, theirs)| (mine.pairs as f64 / mine.cpu) / (theirs.pairs as f64 / theirs.cpu)).collect();
        ratios.sort_by(f64::total_cmp);
        ratios
    });
    let [one, two, splink_one, splink_two] = measured.map(median);
    let all: Vec<Measured> = [one, two, Some(command(&path, &tables, 2, &folder.join("pairs.parquet"))?), splink_one, splink_two]
        .into_iter()
        .flatten()
        .collect();
    println!("{customers} customers, {profiles} profiles; medians of {rounds} rounds\n");
    println!(
        "{:<42} {:>12} {:>9} {:>9} {:>14} {:>18} {:>9}",
        "", "pairs", "seconds", "cpu s", "pairs/second", "pairs/cpu second", "peak MB"
    );
    for m in &all {
        let (wall, cpu) = (m.pairs as f64 / m.seconds, m.pairs as f64 / m.cpu);
        println!("{:<42} {:>12} {:>9.2} {:>9.2} {wall:>14.0} {cpu:>18.0} {:>9.0}", m.what, m.pairs, m.seconds, m.cpu, m.peak_mb);
    }
    println!("\nfrom one thread to two: {:.2} times as fast", all[0].seconds / all[1].seconds);
    for (threads, ratios) in (1..).zip(&ratios).filter(|(_, ratios)| !ratios.is_empty()) {
        let each: Vec<String> = ratios.iter().map(|ratio| format!("{ratio:.1}")).collect();
        let median = ratios[ratios.len() / 2];
        println!("{median:.1} times the pairs per processor second of Splink, either on {threads} ({} in the rounds)", each.join(" "));
    }
    for theirs in all.iter().filter(|m| m.what.starts_with("Splink")) {
        let same = theirs.pairs == all[0].pairs && (theirs.weights - all[0].weights).abs() <= 1e-9 * all[0].weights.abs();
        println!("the same pairs and weights: {same} ({} pairs, sum {} and {})", theirs.pairs, theirs.weights, all[0].weights);
    }
    let report = json!({ "customers": customers, "profiles": profiles, "measured": all.iter().map(Measured::json).collect::<Vec<_>>(), "times_splink": ratios });
    let out = folder.with_file_name("matching-score.json");
    fs::write(&out, serde_json::to_string_pretty(&report)?)?;
    println!("\nwritten to {}", out.display());
    Ok(())
}
