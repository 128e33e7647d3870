//! Splink itself beside `kith match score`, and rapidfuzz beside the string distances. Both are asked through a python that has them
//! (`KITH_TEST_SPLINK`).

use crate::support::python::python_with;
use crate::support::{Seed, root};
use kith::resolve::{jaro_winkler, levenshtein_at_most};
use kith::splink::bytes;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

const SPLINK: &str = "splink, duckdb, pyarrow";

/// Runs the peer; every difference that it tells is a failure.
fn beside_splink(arguments: &[&str]) {
    let Some(python) = python_with(SPLINK) else { return };
    let folder = tempfile::tempdir().unwrap();
    let out = Command::new(python)
        .arg(root().join("tests/support/splink_peer.py"))
        .args([Path::new(env!("CARGO_BIN_EXE_kith")), folder.path()])
        .args(arguments)
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&out.stdout);
    let wrong: Vec<&str> = told.lines().filter(|line| !line.contains("\"wrong\": 0,")).collect();
    assert!(out.status.success() && wrong.is_empty(), "{}\n{}", wrong.join("\n"), String::from_utf8_lossy(&out.stderr));
    assert!(told.lines().count() > 0, "nothing was compared");
}

/// Every comparison and level of Splink's library, its blocking rules and link types, on people that a seed makes.
#[test]
fn the_comparison_library_scores_as_splink_itself_does() {
    let seed = std::env::var("KITH_TEST_SEED").unwrap_or_else(|_| "1".to_owned());
    beside_splink(&["--seed", &seed, "--records", "300"]);
}

/// The pairs are texts of 0 to 80 letters, often one made from the other by edits, a third of them with letters beyond ASCII.
fn pairs(count: usize) -> Vec<[String; 2]> {
    let mut seed = Seed(20_000);
    let mut below = |n: u64| seed.next() % n;
    let mut out = Vec::new();
    for _ in 0..count {
        let alphabet: Vec<char> = if below(3) == 0 { "aeéèñß李王ø ".chars().collect() } else { "abcdef".chars().collect() };
        let letter = |below: &mut dyn FnMut(u64) -> u64| alphabet[usize::try_from(below(alphabet.len() as u64)).unwrap()];
        let most = [4, 12, 80][usize::try_from(below(3)).unwrap()];
        let a: Vec<char> = (0..below(most)).map(|_| letter(&mut below)).collect();
        let mut b = a.clone();
        if below(4) == 0 {
            b = (0..below(most)).map(|_| letter(&mut below)).collect();
        }
        for _ in 0..below(4) {
            let at = usize::try_from(below(b.len() as u64 + 1)).unwrap();
            match below(4) {
                0 => b.insert(at, letter(&mut below)),
                1 if at < b.len() => b[at] = letter(&mut below),
                2 if at < b.len() => drop(b.remove(at)),
                _ if at + 1 < b.len() => b.swap(at, at + 1),
                _ => {}
            }
        }
        out.push([a.into_iter().collect(), b.into_iter().collect()]);
    }
    out
}

#[test]
fn string_distances_are_rapidfuzzs_on_100000_pairs() {
    let Some(python) = python_with("rapidfuzz") else { return };
    let pairs = pairs(100_000);
    let mut child = Command::new(python)
        .arg(root().join("tests/support/rapidfuzz_peer.py"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let lines: String = pairs.iter().map(|pair| serde_json::to_string(pair).unwrap() + "\n").collect();
    let writer = std::thread::spawn(move || stdin.write_all(lines.as_bytes()).unwrap());
    let out = child.wait_with_output().unwrap();
    writer.join().unwrap();
    assert!(out.status.success());
    let told = String::from_utf8(out.stdout).unwrap();
    assert_eq!(told.lines().count(), pairs.len());
    let close = |a: f64, b: f64| (a - b).abs() < 1e-12;
    let whole = |n: usize| f64::from(u32::try_from(n).unwrap());
    for (line, [a, b]) in told.lines().zip(&pairs) {
        let theirs: Vec<f64> = line.split(' ').map(|n| n.parse().unwrap()).collect();
        let (x, y) = (a.as_bytes(), b.as_bytes());
        assert!(close(whole(bytes::levenshtein(x, y)), theirs[0]), "levenshtein {a:?} {b:?} {line}");
        assert!(close(whole(bytes::damerau_levenshtein(x, y)), theirs[1]), "damerau_levenshtein {a:?} {b:?} {line}");
        let chars = (0..=80_u32).find(|n| close(f64::from(*n), theirs[4])).unwrap();
        let fewer = chars.checked_sub(1).is_some_and(|fewer| levenshtein_at_most(a, b, fewer));
        assert!(levenshtein_at_most(a, b, chars) && !fewer, "levenshtein on characters {a:?} {b:?} {line}");
        if a.is_empty() && b.is_empty() {
            // The one exception: nothing is like nothing in DuckDB 0, in rapidfuzz 1.
            assert_eq!((bytes::jaro(x, y), bytes::jaro_winkler(x, y), jaro_winkler(a, b)), (0.0, 0.0, 0.0));
            assert_eq!((theirs[2], theirs[3], theirs[5]), (1.0, 1.0, 1.0));
            continue;
        }
        assert!(close(bytes::jaro(x, y), theirs[2]), "jaro {} {a:?} {b:?} {line}", bytes::jaro(x, y));
        assert!(close(bytes::jaro_winkler(x, y), theirs[3]), "jaro_winkler {} {a:?} {b:?} {line}", bytes::jaro_winkler(x, y));
        assert!(close(jaro_winkler(a, b), theirs[5]), "jaro_winkler on characters {} {a:?} {b:?} {line}", jaro_winkler(a, b));
    }
}
