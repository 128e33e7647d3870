//! The command line as a user meets it: the built binary, its streams and exit codes.

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

fn kith(folder: &Path, arguments: &[&str]) -> Output {
    kith_with(folder, arguments, &[])
}

fn kith_with(folder: &Path, arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kith"));
    command.current_dir(folder).args(arguments).env_clear().envs(variables.iter().copied()).stdin(Stdio::null());
    command.output().unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// Exit code, stdout and stderr in one text.
fn told(output: &Output) -> String {
    format!("exit {}\n--- stdout\n{}--- stderr\n{}", output.status.code().unwrap(), stdout(output), stderr(output))
}

/// A small project with its own files and nothing else.
fn project(config: &str, files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("config")).unwrap();
    fs::write(folder.path().join("config/kith.toml"), config).unwrap();
    for (name, text) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    folder
}

#[test]
fn the_shipped_project_has_no_problem() {
    let output = kith(Path::new(ROOT), &["check"]);
    assert_eq!(output.status.code(), Some(0), "{}", told(&output));
    assert!(stdout(&output).ends_with("0 errors, 0 warnings\n"), "{}", told(&output));
}

#[test]
fn every_problem_of_configuration_and_connectors_is_told_with_its_line() {
    let config = "[service]\nmapping = mappings/x.yaml\nstaet = \"s\"\n[customers.crm]\nkind = \"cvs\"\n[targets.crm]\nconnector = \"t.yaml\"\npath = \"crm.db\"\n[audit]\norigin = \"a b\"\n";
    let target = "kith: 1\ntarget: crm\nkind: sqlite\noperations:\n  write:\n    table: T\n    record_key: [Idd]\n    on_delete: remove\n    fields:\n      Id: { type: texd }\n";
    let folder = project(config, &[("t.yaml", target)]);
    insta::assert_snapshot!(told(&kith(folder.path(), &["check"])), @r#"
    exit 2
    --- stdout
    error[KITH-C001]: the file is no valid TOML: string values must be quoted, expected literal string
     --> config/kith.toml:2:11
      |
    2 | mapping = mappings/x.yaml
      |           ^^^^^^^^^^^^^^^
      |
      = help: mend the line; text and paths stand in quotation marks

    error[KITH-C002]: `staet` is no key of [service]
     --> config/kith.toml:3:1
      |
    3 | staet = "s"
      | ^^^^^
      |
      = help: did you mean `state`? Otherwise remove it

    error[KITH-C007]: `kind` can't be `cvs`
     --> config/kith.toml:5:8
      |
    5 | kind = "cvs"
      |        ^^^^^
      |
      = help: did you mean `csv`? Possible are `csv`, `sqlite`, `sqlserver`, `soap`

    error[KITH-C006]: `a b` can't name a log
      --> config/kith.toml:10:10
       |
    10 | origin = "a b"
       |          ^^^^^
       |
       = help: write a host name of yours and a path without scheme, blanks and `+`, at most 200 bytes: `origin = "kith.example.com/retail"`

    error[KITH-T002]: `Idd` is not one of the operation's fields
     --> t.yaml:7:18
      |
    7 |     record_key: [Idd]
      |                  ^^^
      |
      = help: did you mean `Id`? Otherwise declare `Idd` in `fields`

    error[KITH-M008]: `type` must be one of text, integer, number, decimal, time, date, time_of_day, bool, uuid, binary, not `texd`
      --> t.yaml:10:19
       |
    10 |       Id: { type: texd }
       |                   ^^^^
       |
       = help: did you mean `text`?

    2 files checked: 6 errors, 0 warnings
    --- stderr
    more about a code: kith explain KITH-C001
    "#);
}

#[test]
fn a_broken_connector_is_told_alone_when_it_is_named() {
    let folder = project("", &[("t.yaml", "kith: 1\ntarget: crm\nkind: sqlite\noperations: {\n  a: 1\n")]);
    insta::assert_snapshot!(told(&kith(folder.path(), &["check", "t.yaml"])), @r#"
    exit 2
    --- stdout
    error[KITH-M001]: this is not YAML: inside `{ … }` did not find expected ',' or '}'
     --> t.yaml:5:6
      |
    5 |   a: 1
      |      ^
      |
      = help: A bracket seems to be open on this line or the one above: close every `{` with `}` and every `[` with `]`

    1 file checked: 1 error, 0 warnings
    --- stderr
    more about a code: kith explain KITH-M001
    "#);
}

#[test]
fn a_missing_configuration_says_how_to_begin() {
    let folder = tempfile::tempdir().unwrap();
    insta::assert_snapshot!(told(&kith(folder.path(), &["check"])), @r#"
    exit 2
    --- stdout
    error[KITH-C012]: there is no such file
    --> config/kith.toml
     = help: check the path and its spelling; relative paths start at the project folder; `kith init DIR` writes a sample project, `--config FILE` names another configuration

    1 file checked: 1 error, 0 warnings
    --- stderr
    more about a code: kith explain KITH-C012
    "#);
}

#[test]
fn a_wrong_override_names_its_variable() {
    let output = kith_with(Path::new(ROOT), &["check"], &[("KITH__SERVICE__POLL_SECODS", "3")]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stdout(&output).contains("--> environment variable KITH__SERVICE__POLL_SECODS"), "{}", told(&output));
    assert!(stdout(&output).contains("did you mean `poll_seconds`?"), "{}", told(&output));
}

#[test]
fn json_is_one_object_with_the_same_facts() {
    let folder = project("[servic]\n", &[]);
    let output = kith(folder.path(), &["check", "--format", "json"]);
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["problems"][0]["code"], "KITH-C002");
    assert_eq!(report["problems"][0]["place"]["file"], "config/kith.toml");
    assert_eq!((report["problems"][0]["place"]["line"].as_u64(), report["errors"].as_u64()), (Some(1), Some(6)));
    assert_eq!((output.status.code(), stderr(&output)), (Some(2), String::new()));
}

#[test]
fn explain_prints_the_page_of_a_code_and_names_the_nearest_to_an_unknown_one() {
    let output = kith(Path::new(ROOT), &["explain", "kith-c004"]);
    assert_eq!(output.status.code(), Some(0));
    assert!(stdout(&output).starts_with("# KITH-C004: a key that must be there is missing\n"));
    insta::assert_snapshot!(told(&kith(Path::new(ROOT), &["explain", "KITH-C04"])), @r#"
    exit 2
    --- stdout
    --- stderr
    error[KITH-C015]: `KITH-C04` is not a code of kith
    --> argument CODE
     = help: did you mean `KITH-C004`? `kith explain` lists all codes
    "#);
    let list = stdout(&kith(Path::new(ROOT), &["explain"]));
    assert!(list.lines().count() > 20 && list.contains("KITH-C001  the configuration is no valid TOML"), "{list}");
}

#[test]
fn a_sample_project_is_right_and_is_never_written_over_anything() {
    let folder = tempfile::tempdir().unwrap();
    let output = kith(folder.path(), &["init", "demo"]);
    assert_eq!(output.status.code(), Some(0), "{}", told(&output));
    assert!(stdout(&output).contains("kith --config demo/config/kith.toml run --once"), "{}", told(&output));
    let demo = folder.path().join("demo");
    let check = kith(&demo, &["check"]);
    assert_eq!(check.status.code(), Some(0), "{}", told(&check));
    let test = kith(&demo, &["test"]);
    assert_eq!(test.status.code(), Some(0), "{}", told(&test));
    assert_eq!(
        fs::read(demo.join("data/customers.csv.gz")).unwrap(),
        fs::read(Path::new(ROOT).join("tests/data/retail/customers.csv.gz")).unwrap()
    );
    insta::assert_snapshot!(told(&kith(folder.path(), &["init", "demo"])), @r#"
    exit 2
    --- stdout
    --- stderr
    error[KITH-C017]: the folder is not empty
    --> demo
     = help: name a new folder, or an empty one; nothing was written
    "#);
    fs::write(folder.path().join("file"), "x").unwrap();
    insta::assert_snapshot!(told(&kith(folder.path(), &["init", "file"])), @r#"
    exit 2
    --- stdout
    --- stderr
    error[KITH-C017]: this is a file, and a folder is wanted
    --> file
     = help: name a new folder, or an empty one; nothing was written
    "#);
}

/// The sample project, with one word of its mapping exchanged.
fn sample_with(from: &str, to: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(kith(folder.path(), &["init", "."]).status.code(), Some(0));
    let mapping = folder.path().join("mappings/retail.yaml");
    let text = fs::read_to_string(&mapping).unwrap();
    assert!(text.contains(from), "the shipped mapping no longer holds `{from}`");
    fs::write(mapping, text.replacen(from, to, 1)).unwrap();
    folder
}

#[test]
fn the_tests_of_the_shipped_mapping_hold_and_tell_what_they_never_exercise() {
    let output = kith(Path::new(ROOT), &["test"]);
    assert_eq!(output.status.code(), Some(0), "{}", told(&output));
    assert!(stdout(&output).contains("  ok     the same handle on another network is no proof\n"), "{}", told(&output));
    assert!(stdout(&output).ends_with(" passed, 0 failed\n"), "{}", told(&output));
    let json: serde_json::Value = serde_json::from_slice(&kith(Path::new(ROOT), &["test", "--format", "json"]).stdout).unwrap();
    assert_eq!((&json["failed"], &json["mappings"][0]["tests"][0]["passed"]), (&0.into(), &true.into()));
    assert!(json["mappings"][0]["coverage"]["rules"]["handle-on-file"].as_u64() >= Some(1));
}

#[test]
fn a_promise_that_does_not_hold_fails_with_its_place() {
    let folder = sample_with("rule: handle-on-file\n", "rule: same-email\n");
    let output = kith(folder.path(), &["test"]);
    assert_eq!(output.status.code(), Some(1), "{}", told(&output));
    let text = stdout(&output);
    assert!(text.contains("  FAILED a handle that the CRM holds for this network is proof\n"), "{text}");
    assert!(text.contains("error[KITH-M040]: rule: expected same-email, came handle-on-file\n"), "{text}");
    assert!(text.contains("--> mappings/retail.yaml:"), "{text}");
    assert!(text.ends_with(" 1 failed\n"), "{text}");
}

#[test]
fn a_mapping_with_an_error_is_not_tested_and_check_names_the_nearest_key() {
    let folder = sample_with("ask_a_person_from:", "ask_a_persn_from:");
    let output = kith(folder.path(), &["test"]);
    assert_eq!((output.status.code(), stdout(&output)), (Some(2), String::new()), "{}", told(&output));
    let output = kith(folder.path(), &["check"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stdout(&output).contains("error[KITH-M005]"), "{}", told(&output));
    assert!(stdout(&output).contains("did you mean `ask_a_person_from`?"), "{}", told(&output));
}

#[test]
fn a_mapping_is_said_in_sentences() {
    let output = kith(Path::new(ROOT), &["mapping", "describe"]);
    assert_eq!((output.status.code(), stderr(&output)), (Some(0), String::new()));
    assert!(stdout(&output).starts_with("Mapping retail\n"), "{}", told(&output));
    let named = kith(Path::new(ROOT), &["mapping", "describe", "mappings/retail.yaml"]);
    assert_eq!(stdout(&named), stdout(&output));
    let missing = kith(Path::new(ROOT), &["mapping", "describe", "mappings/none.yaml"]);
    assert_eq!(missing.status.code(), Some(2));
    assert!(stderr(&missing).contains("error[KITH-C012]: there is no such file"), "{}", told(&missing));
}

#[test]
fn wrong_arguments_end_with_2_and_help_with_0() {
    assert_eq!(kith(Path::new(ROOT), &["chek"]).status.code(), Some(2));
    assert_eq!(kith(Path::new(ROOT), &[]).status.code(), Some(2));
    let help = kith(Path::new(ROOT), &["--help"]);
    assert_eq!((help.status.code(), stderr(&help)), (Some(0), String::new()));
    assert!(stdout(&help).contains("Exit codes:"));
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_kith")).arg("explain").stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), stderr(&output)), (Some(0), String::new()));
}

#[test]
fn the_reference_of_the_command_line_is_current() {
    let path = Path::new(ROOT).join("config/CLI.md");
    let current = kith::cli::reference();
    if fs::read_to_string(&path).unwrap_or_default() != current {
        fs::write(&path, current).unwrap();
        panic!("config/CLI.md was stale; it is written anew: look at it and commit it");
    }
}
