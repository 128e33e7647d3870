//! Promises of the whole: a model and records in, scores out.

use super::compiled::Compiled;
use super::{Frame, FrameBuilder, Linker, Scores, Settings, Side};
use crate::diagnose::{Place, SourceFile};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::sync::Arc;

fn read(json: &str) -> Result<Settings, String> {
    let file = Arc::new(SourceFile { name: "model.json".into(), text: json.into() });
    let checked = Settings::read(&file);
    let told = checked.problems.0.iter().map(|p| {
        let at = match &p.place {
            Place::InFile(file, span) => file.text.get(span.start..span.end).unwrap_or_default().to_owned(),
            Place::Path(_) | Place::Line(..) | Place::Named(_) => p.place.to_string(),
        };
        format!("{} at `{at}`: {}", p.code, p.message)
    });
    let told: Vec<String> = told.collect();
    checked.value.ok_or_else(|| told.join("\n"))
}

fn model(condition: &str, rules: &[&str], link_type: &str) -> Result<Settings, String> {
    let level = |sql: &str, m: f64, u: f64| serde_json::json!({ "sql_condition": sql, "m_probability": m, "u_probability": u });
    let when_null = serde_json::json!({ "sql_condition": "\"a_l\" IS NULL OR \"a_r\" IS NULL", "is_null_level": true });
    let rules: Vec<_> = rules.iter().map(|sql| serde_json::json!({ "blocking_rule": sql, "sql_dialect": "duckdb" })).collect();
    read(
        &serde_json::json!({
            "link_type": link_type, "probability_two_random_records_match": 0.01, "blocking_rules_to_generate_predictions": rules,
            "comparisons": [{ "output_column_name": "a", "comparison_levels": [when_null, level(condition, 0.9, 0.1), level("ELSE", 0.1, 0.9)] }],
        })
        .to_string(),
    )
}

fn frame(settings: &Settings, header: &[&str], tables: &[&[&[&str]]]) -> Frame {
    let mut builder = FrameBuilder::new(settings);
    for (number, rows) in tables.iter().enumerate() {
        builder.table(settings, &format!("t{number}"), header).unwrap();
        for row in *rows {
            builder.push(|at| row.get(at).copied()).unwrap();
        }
    }
    builder.finish()
}

type Found = BTreeMap<(String, String), (usize, Vec<i8>, u64)>;

fn all(settings: &Settings, frame: &Frame) -> Found {
    let linker = Linker::new(settings, frame);
    let (mut worker, mut scores, mut out) = (linker.worker(), Scores::default(), BTreeMap::new());
    for task in linker.tasks() {
        linker.score(task, &mut worker, &mut scores);
        for at in 0..scores.left.len() {
            let key = (frame.id(scores.left[at]).to_owned(), frame.id(scores.right[at]).to_owned());
            let gammas = scores.gammas.iter().map(|g| g[at]).collect();
            assert!(!scores.weights[at].is_nan() && (0.0..=1.0).contains(&scores.probabilities[at]));
            assert!(out.insert(key, (task.rule, gammas, scores.weights[at].to_bits())).is_none(), "a pair comes once");
        }
    }
    out
}

/// Each condition holds for the first pair and not for the second.
#[test]
fn the_comparison_library_runs() {
    for (condition, yes, no) in [
        (r#""a_l" = "a_r""#, ("x", "x"), ("x", "y")),
        (r#"levenshtein("a_l", "a_r") <= 1"#, ("abc", "abd"), ("abc", "xyz")),
        (r#"damerau_levenshtein("a_l", "a_r") <= 1"#, ("ab", "ba"), ("ab", "cd")),
        (r#"jaccard("a_l", "a_r") >= 0.9"#, ("abc", "cba"), ("abc", "cd")),
        (r#"jaro_similarity("a_l", "a_r") >= 0.9"#, ("martha", "marhta"), ("ann", "bob")),
        (r#"jaro_winkler_similarity("a_l", "a_r") >= 0.9"#, ("martha", "marhta"), ("ann", "bob")),
        (r#"hamming("a_l", "a_r") <= 1"#, ("ab", "ac"), ("ab", "cd")),
        (r#"array_length(list_intersect("a_l", "a_r")) >= 1"#, ("[x, y]", "[y, z]"), ("[x]", "[z]")),
        (
            "list_min(list_transform(flatten(list_transform(\"a_l\", x -> list_transform(\"a_r\", y -> [x, y]))), pair -> levenshtein(pair[1], pair[2]))) <= 1",
            ("[abc, q]", "[abd]"),
            ("[abc]", "[xyz]"),
        ),
        (
            r#"ABS(EPOCH(try_strptime("a_l", '%Y-%m-%dT%H:%M:%SZ')) - EPOCH(try_strptime("a_r", '%Y-%m-%dT%H:%M:%SZ'))) <= 60"#,
            ("2020-01-01T00:00:00Z", "2020-01-01T00:01:00Z"),
            ("2020-01-01T00:00:00Z", "2020-01-01T00:01:01Z"),
        ),
        (r#"ABS(EPOCH("a_l") - EPOCH("a_r")) <= 2629800.0"#, ("2020-01-01", "2020-01-31"), ("2020-01-01", "2020-03-01")),
        (
            r#"NULLIF(regexp_extract("a_l", '^[A-Za-z]{1,2}[0-9][A-Za-z0-9]? [0-9]', 0), '') = NULLIF(regexp_extract("a_r", '^[A-Za-z]{1,2}[0-9][A-Za-z0-9]? [0-9]', 0), '')"#,
            ("SW1A 1AA", "SW1A 1BB"),
            ("SW1A 1AA", "SW1A 2AA"),
        ),
        (r#"array_cosine_similarity("a_l", "a_r") >= 0.9"#, ("[1.0, 2.0]", "[2.0, 4.0]"), ("[1.0, 0.0]", "[0.0, 1.0]")),
        (r#""a_l" = 'x' AND "a_r" = 'x'"#, ("x", "x"), ("x", "y")),
        (r#""a_l" = CAST('2020-01-01' AS DATE)"#, ("2020-01-01", "q"), ("2020-01-02", "q")),
        (r#"ABS("a_l" - "a_r") <= 5"#, ("10", "15"), ("10", "15.5")),
        (r#"(ABS("a_l" - "a_r") / (CASE WHEN "a_r" > "a_l" THEN "a_r" ELSE "a_l" END)) < 0.1"#, ("100", "91"), ("100", "90")),
        (
            r#"LEAST(ARRAY_LENGTH("a_l"), ARRAY_LENGTH("a_r")) <> 0 AND ARRAY_LENGTH(ARRAY_INTERSECT("a_l", "a_r")) = LEAST(ARRAY_LENGTH("a_l"), ARRAY_LENGTH("a_r"))"#,
            ("[x]", "[x, y]"),
            ("[x, z]", "[x, y]"),
        ),
        (r#"("a_l" = "a_r") AND (NOT ("a_l" = 'q'))"#, ("x", "x"), ("q", "q")),
        (r#"SUBSTRING(LOWER("a_l"), 1, 3) = SUBSTRING(LOWER("a_r"), 1, 3)"#, ("ABCd", "abce"), ("abd", "abc")),
        (r#""a_l"[1] = "a_r"[1]"#, ("[x, y]", "[x]"), ("[y]", "[x]")),
        (r#""a_l"[-1] = "a_r"[-1]"#, ("[y, x]", "[x]"), ("[x, y]", "[x]")),
        (r#"NULLIF(CAST("a_l" AS TEXT), '') = NULLIF(CAST("a_r" AS TEXT), '')"#, ("x", "x"), ("x", "y")),
        (r#"try_strptime("a_l", '%d/%m/%Y') = try_strptime("a_r", '%d/%m/%Y')"#, ("1/2/2020", "01/02/2020"), ("1/2/2020", "2/1/2020")),
        (r#""a_l" LIKE 'x%' AND "a_r" IN ('y', 'z')"#, ("xq", "z"), ("xq", "x")),
        (r#"trim("a_l") || '!' = concat(trim("a_r"), '!')"#, ("x ", "x"), ("x", "y")),
        (r#"datediff('day', "a_l", "a_r") BETWEEN -1 AND 1"#, ("2020-01-01", "2020-01-02"), ("2020-01-01", "2020-01-03")),
    ] {
        let settings = model(condition, &["l.unique_id <> r.unique_id"], "link_only").unwrap_or_else(|e| panic!("{condition}: {e}"));
        for ((left, right), expected) in [(yes, 1), (no, 0)] {
            let frame = frame(&settings, &["unique_id", "a"], &[&[&["1", left]], &[&["2", right]]]);
            let found = all(&settings, &frame);
            assert_eq!(found.values().next().map(|(_, gammas, _)| gammas[0]), Some(expected), "{condition} {left} {right}");
            let cells = |side: Side, _: usize| Some(if side == Side::Left { left } else { right });
            assert_eq!(settings.gamma(0, &cells), expected, "one pair at a time: {condition} {left} {right}");
        }
    }
}

#[test]
fn a_distance_in_km_is_splinks() {
    let inner =
        r#"sin( radians("a_l") ) * sin( radians("a_r") ) + cos( radians("a_l") ) * cos( radians("a_r") ) * cos( radians("b_r" - "b_l") )"#;
    let condition =
        format!("cast( acos( case when ({inner}) > 1 then 1 when ({inner}) < -1 then -1 else ({inner}) end ) * 6371 as float ) <= 344");
    let settings = model(&condition, &["1=1"], "link_only").unwrap();
    for (paris, expected) in [(["48.8566", "2.3522"], 1), (["48.8", "2.3522"], 0)] {
        let frame = frame(&settings, &["unique_id", "a", "b"], &[&[&["1", "51.5074", "-0.1278"]], &[&["2", paris[0], paris[1]]]]);
        assert_eq!(all(&settings, &frame).values().next().unwrap().1, [expected], "London to Paris is 343.6 km");
    }
}

#[test]
fn what_is_not_understood_is_told_at_its_place() {
    for (condition, place, message) in [
        (r#"soundex("a_l") = soundex("a_r")"#, "soundex", "no function `soundex`"),
        (r#""a" = "a_r""#, r#"\"a\""#, "names no column of a side"),
        (r#"levenshtein("a_l") < 2"#, "levenshtein", "takes 2 arguments"),
        (r#""a_l" = "a_r" AND (SELECT 1)"#, "", "not supported"),
        (r#""a_l" = "#, "", "can't be read"),
        (r#"regexp_extract("a_l", '(', 0) = 'x'"#, "'('", "pattern"),
        (r#""a_l" ~ 'x'"#, "", "not supported"),
    ] {
        let told = model(condition, &["1=1"], "dedupe_only").unwrap_err();
        assert!(told.contains(message) && told.contains(place), "{condition}: {told}");
        assert!(told.starts_with("KITH-L021"), "{told}");
    }
}

#[test]
fn each_pair_is_charged_to_the_first_rule_and_the_lesser_id_is_left() {
    let settings =
        model(r#""a_l" = "a_r""#, &[r#"l."a" = r."a""#, "substr(l.b, 1, 1) = substr(r.b, 1, 1) AND l.b <> r.b"], "dedupe_only").unwrap();
    let frame = frame(&settings, &["unique_id", "a", "b"], &[&[&["10", "x", "p1"], &["9", "x", "p2"], &["8", "", "p3"], &["7", "y", "q"]]]);
    let found = all(&settings, &frame);
    let pairs: Vec<(&str, &str, usize)> = found.iter().map(|((l, r), (rule, ..))| (&**l, &**r, *rule)).collect();
    assert_eq!(pairs, [("8", "10", 1), ("8", "9", 1), ("9", "10", 0)], "ids that are numbers are compared as numbers");
}

#[test]
fn arrays_are_taken_apart() {
    let json = serde_json::json!({
        "link_type": "dedupe_only", "probability_two_random_records_match": 0.01,
        "blocking_rules_to_generate_predictions": [{ "blocking_rule": "l.\"a\" = r.\"a\"", "sql_dialect": "duckdb", "arrays_to_explode": ["a"] }],
        "comparisons": [{ "output_column_name": "a", "comparison_levels": [{ "sql_condition": "len(list_intersect(a_l, a_r)) >= 2" }, { "sql_condition": "ELSE" }] }],
    });
    let settings = read(&json.to_string()).unwrap();
    let frame = frame(&settings, &["unique_id", "a"], &[&[&["1", "[x, y]"], &["2", "[y, x, z]"], &["3", "[z]"], &["4", ""]]]);
    let found = all(&settings, &frame);
    assert_eq!(found.keys().map(|(l, r)| (&**l, &**r)).collect::<Vec<_>>(), [("1", "2"), ("2", "3")]);
    assert_eq!(found[&("1".to_owned(), "2".to_owned())].1, [1]);
}

#[test]
fn missing_probabilities_are_splinks_defaults() {
    let json = r#"{"link_type":"dedupe_only","comparisons":[{"comparison_levels":[{"sql_condition":"a_l = a_r"},{"sql_condition":"lower(a_l) = lower(a_r)"},{"sql_condition":"ELSE"}]}]}"#;
    let settings = read(json).unwrap();
    let levels: Vec<(f64, f64)> = settings.comparisons[0].levels.iter().map(|l| (l.m, (l.m / l.u).log2())).collect();
    for ((m, bits), (expected_m, expected_bits)) in levels.iter().zip([(0.95, 10.0), (0.025, 3.0), (0.025, -5.0)]) {
        assert!((m - expected_m).abs() < 1e-12 && (bits - expected_bits).abs() < 1e-12, "{levels:?}");
    }
}

/// Levels in the forms that run as steps, and some whose parts are swapped, exchanged or of two columns.
const LADDERS: [&[&str]; 6] = [
    &[
        "a_l IS NULL OR a_r IS NULL",
        "a_l = a_r",
        "jaro_winkler_similarity(a_l, a_r) >= 0.92",
        "jaro_winkler_similarity(a_l, a_r) > 0.7",
        "jaro_similarity(a_r, a_l) >= 0.4",
    ],
    &["a_l = b_r AND b_l = a_r", "a_l = a_r", "levenshtein(a_l, a_r) <= 1", "levenshtein(a_l, a_r) < 3", "levenshtein(a_l, b_r) >= 4"],
    &[
        "a_l IS NULL",
        "damerau_levenshtein(a_l, a_r) <= 0",
        "damerau_levenshtein(a_l, a_r) <= 1.5",
        "damerau_levenshtein(a_l, a_r) <= 2",
        "jaccard(a_l, a_r) >= 0.5",
    ],
    &[
        "try_strptime(a_l, '%d') IS NULL OR a_r IS NULL",
        "abs(epoch(try_strptime(a_l, '%d')) - epoch(try_strptime(a_r, '%d'))) <= 86400",
        "lower(a_l) = b_r OR b_l = 'ab'",
    ],
    &["substr(a_l, 1, 1) = substr(b_r, 1, 1) AND levenshtein(a_l, b_r) = 1", "a_r = lower(a_l)", "length(a_l) = length(b_r)"],
    &["nullif(a_l, 'a') = nullif(a_r, 'b')", "jaro_winkler_similarity(nullif(a_l, ''), lower(b_r)) >= 0.5", "a_r = 'ab' AND a_l = b_r"],
];

const TEXTS: &str = "[ab]{0,3}";

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn the_order_of_records_changes_nothing(rows in proptest::collection::vec((TEXTS, TEXTS), 0..14), turn in 0_usize..14) {
        let settings = model(r#"jaro_winkler_similarity("a_l", "a_r") >= 0.8"#, &[r#"l."a" = r."a""#, r#"l."b" = r."b""#, r#"l."a" = r."b" AND l."b" = r."a""#], "dedupe_only").unwrap();
        let ids: Vec<String> = (0..rows.len()).map(|n| n.to_string()).collect();
        let mut cells: Vec<Vec<&str>> = rows.iter().zip(&ids).map(|((a, b), id)| vec![&**id, &**a, &**b]).collect();
        let as_given: Vec<&[&str]> = cells.iter().map(Vec::as_slice).collect();
        let first = all(&settings, &frame(&settings, &["unique_id", "a", "b"], &[&as_given]));
        if !cells.is_empty() {
            let by = turn % cells.len();
            cells.rotate_left(by);
        }
        let turned: Vec<&[&str]> = cells.iter().map(Vec::as_slice).collect();
        prop_assert_eq!(&first, &all(&settings, &frame(&settings, &["unique_id", "a", "b"], &[&turned])));
        // Beside it the definition, pair by pair.
        for (n, (a, b)) in rows.iter().enumerate() {
            for (m, (c, d)) in rows.iter().enumerate().skip(n + 1) {
                let same = |x: &str, y: &str| !x.is_empty() && x == y;
                let rule = [same(a, c), same(b, d), same(a, d) && same(b, c)].iter().position(|holds| *holds);
                prop_assert_eq!(first.get(&(n.to_string(), m.to_string())).map(|(rule, ..)| *rule), rule);
            }
        }
    }

    #[test]
    fn steps_hold_where_the_conditions_do(rows in proptest::collection::vec(("[ab1é]{0,5}", "[ab1é]{0,5}"), 1..9), which in 0..LADDERS.len()) {
        let mut levels: Vec<_> = LADDERS[which].iter().map(|sql| serde_json::json!({ "sql_condition": sql })).collect();
        levels.push(serde_json::json!({ "sql_condition": "ELSE" }));
        let comparison = serde_json::json!({ "output_column_name": "x", "comparison_levels": levels });
        let settings = read(&serde_json::json!({ "link_type": "dedupe_only", "comparisons": [comparison] }).to_string()).unwrap();
        let ids: Vec<String> = (0..rows.len()).map(|n| n.to_string()).collect();
        let cells: Vec<Vec<&str>> = rows.iter().zip(&ids).map(|((a, b), id)| vec![&**id, &**a, &**b]).collect();
        let cells: Vec<&[&str]> = cells.iter().map(Vec::as_slice).collect();
        let frame = frame(&settings, &["unique_id", "a", "b"], &[&cells]);
        let nodes: Vec<_> = settings.comparisons[0].order.iter().map(|(node, _)| node.clone()).collect();
        let compiled = Compiled::new(&nodes, &frame);
        for left in 0..u32::try_from(rows.len()).unwrap() {
            for right in 0..u32::try_from(rows.len()).unwrap() {
                let (evaluated, steps) = compiled.first_evaluated(left, right);
                // Columns of digits alone, or of mixed kinds, are evaluated.
                prop_assert!(steps || rows.iter().any(|(a, b)| format!("{a}{b}").contains('1')), "{:?} has no steps", LADDERS[which]);
                prop_assert_eq!(compiled.first(left, right, &mut Vec::new()), evaluated, "{:?} {:?} {:?}", LADDERS[which], rows[left as usize], rows[right as usize]);
            }
        }
    }

    #[test]
    fn no_json_makes_the_reader_panic(text in r#"[\[\]{}":,a-z0-9_ \\]{0,80}"#, sql in r#"[a-z_"'()=<>,.|\[\]0-9 -]{0,40}"#) {
        drop(read(&text));
        drop(model(&sql, &[&sql], "dedupe_only"));
    }
}
