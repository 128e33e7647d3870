//! `kith match score` as its user meets it: the same bytes on any number of threads, Parquet that others read, complaints with their place.

use crate::support::python::python_with;
use crate::support::{Project, root};
use std::path::Path;
use std::process::Command;

fn score<'a>(model: &'a str, inputs: &[&'a str], out: &'a str, threads: &'a str) -> Vec<&'a str> {
    [&["match", "score", "--model", model], inputs, &["--out", out, "--threads", threads]].concat()
}

#[test]
fn one_thread_and_many_write_the_same_bytes_and_others_read_the_parquet() {
    let project = Project::empty();
    let data = root().join("tests/data/splink-parity/febrl4_iso");
    let path = |name: &str| data.join(name).display().to_string();
    let (model, left, right) = (path("model.json"), path("input_0.csv.gz"), path("input_1.csv.gz"));
    let inputs = ["--left", &left, "--right", &right];
    for (out, threads) in [("one.csv", "1"), ("many.csv", "5"), ("one.parquet", "1"), ("many.parquet", "5")] {
        project.kith(&score(&model, &inputs, out, threads)).ok();
    }
    let bytes = |name: &str| std::fs::read(project.path(name)).unwrap();
    assert!(bytes("one.csv").len() > 1_000_000);
    assert!(bytes("one.csv") == bytes("many.csv") && bytes("one.parquet") == bytes("many.parquet"), "threads change bytes");
    let Some(python) = python_with("duckdb") else { return };
    let sql = "select count(*) from (from 'one.parquet' select * replace (match_key::varchar as match_key)) p \
               join read_csv('one.csv', types = {'match_key': 'varchar'}) c using (unique_id_l, unique_id_r, match_key) \
               where p.match_weight = c.match_weight and p.match_probability = c.match_probability";
    let sql = sql.replace("unique_id", "rec_id");
    let program = format!("import duckdb; print(duckdb.sql(\"\"\"{sql}\"\"\").fetchall()[0][0])");
    let out = Command::new(python).args(["-c", &program]).current_dir(project.path(".")).output().unwrap();
    let rows = String::from_utf8_lossy(&bytes("one.csv")).lines().count() - 1;
    assert_eq!(String::from_utf8_lossy(&out.stdout).trim(), rows.to_string(), "{}", String::from_utf8_lossy(&out.stderr));
}

const MODEL: &str = r#"{
  "link_type": "dedupe_only",
  "probability_two_random_records_match": 0.01,
  "blocking_rules_to_generate_predictions": [
    { "blocking_rule": "l.\"city\" = r.\"city\" AND soundex(l.\"name\") = soundex(r.\"name\")", "sql_dialect": "duckdb" }
  ],
  "comparisons": [
    {
      "output_column_name": "name",
      "comparison_levels": [
        { "sql_condition": "\"name_l\" IS NULL OR \"name_r\" IS NULL", "is_null_level": true },
        { "sql_condition": "\"name_l\" = \"name_r\"", "m_probability": 1.5 },
        { "sql_condition": "jaro_winkler(\"name_l\", \"name_r\") >= 0.9" },
        { "sql_condition": "name_l = name_r AND (SELECT 1)" },
        { "sql_condition": "\"name\" = 'é' AND \"name_r\" = 'é'" },
        { "sql_condition": "levenshtein(name_l) < 2" },
        { "sql_condition": "regexp_matches(name_l, '(') AND" },
        { "sql_condition": "\"town_l\" = \"town_r\"", "tf_adjustment_column": "city" }
      ]
    }
  ]
}
"#;

#[test]
fn what_is_not_understood_is_told_at_its_place() {
    let project = Project::empty();
    project.write("model.json", MODEL);
    project.write("people.csv", "unique_id,name,city\n1,Ada,Bari\n");
    let told = project.kith(&score("model.json", &["--dedupe", "people.csv"], "out.csv", "1"));
    assert_eq!(told.code, Some(2));
    insta::assert_snapshot!(told.stderr);
    assert!(!project.path("out.csv").exists(), "nothing is written");
}

#[test]
fn tables_that_do_not_fit_are_told() {
    let project = Project::empty();
    let level = r#"{ "sql_condition": "name_l = name_r" }, { "sql_condition": "ELSE" }"#;
    let model = format!(r#"{{ "link_type": "dedupe_only", "comparisons": [{{ "comparison_levels": [{level}] }}] }}"#);
    project.write("model.json", &model);
    let run = |table: &str| {
        project.write("people.csv", table);
        project.kith(&score("model.json", &["--dedupe", "people.csv"], "out.csv", "1"))
    };
    run("unique_id,name\n1,Ada\n2,Ada\n").ok();
    run("unique_id,nmae\n1,Ada\n").fails(2, "KITH-L023").fails(2, "did you mean `nmae`?");
    run("unique_id,name\n1,Ada\n2\n").fails(2, "KITH-L024").fails(2, "people.csv:3");
    run("unique_id,name\n1,Ada\n,Bob\n").fails(2, "KITH-L024");
    run(&format!("unique_id,name\n1,{}\n", "x".repeat(40_000))).fails(2, "KITH-L024");
    project.kith(&score("model.json", &["--left", "people.csv", "--right", "people.csv"], "out.csv", "1")).fails(2, "KITH-C015");
    project.kith(&score("none.json", &["--dedupe", "people.csv"], "out.csv", "1")).fails(2, "KITH-C0");
    let away = Path::new("no/such/folder/out.csv").display().to_string();
    project.write("people.csv", "unique_id,name\n1,Ada\n2,Ada\n");
    project.kith(&score("model.json", &["--dedupe", "people.csv"], &away, "1")).fails(1, "KITH-C018");
}
