//! Promises of the configuration.

use super::*;
use crate::diagnose::Look;
use proptest::prelude::*;
use std::path::{Path, PathBuf};

const RIGHT: &str = r#"
[service]
mapping = "mappings/retail.yaml"
[sources.social]
kind = "file"
path = "a.ndjson"
[customers.crm]
kind = "csv"
path = "c.csv"
[targets.crm_db]
connector = "connectors/targets/sqlite.yaml"
path = "crm.db"
[audit]
origin = "kith.example/t"
"#;

fn env(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect()
}

fn checked(text: &str, variables: &[(&str, &str)]) -> Config {
    let checked = check("config/kith.toml", text, &env(variables), Path::new("/p"));
    assert_eq!(checked.problems.0, [], "{}", checked.problems.render(Look::PLAIN));
    checked.value.unwrap()
}

/// Each complaint in one line.
fn complaints(text: &str, variables: &[(&str, &str)]) -> String {
    let checked = check("config/kith.toml", text, &env(variables), Path::new(""));
    assert_eq!(checked.value.is_none(), checked.problems.has_errors());
    checked.problems.0.iter().map(|d| d.to_string() + "\n").collect()
}

fn with(extra: &str) -> String {
    format!("{RIGHT}{extra}")
}

fn shipped(name: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("config").join(name)).unwrap()
}

#[test]
fn the_least_configuration_takes_bounded_defaults() {
    let config = checked(RIGHT, &[]);
    assert_eq!(config.service.state, PathBuf::from("/p/state"));
    assert_eq!((config.service.intake_batch.get(), config.service.decide_batch.get(), config.service.threads), (2000, 1000, None));
    assert_eq!(config.sources[0].kind, SourceKind::File { path: "/p/a.ndjson".into() });
    assert_eq!(config.customers("crm").unwrap().kind, TableKind::Csv { path: "/p/c.csv".into(), delimiter: b',' });
    assert_eq!(config.target("crm_db").unwrap().batch.get(), 1000);
    assert_eq!((config.log, config.keys, config.evaluate), (Log::default(), Keys::default(), Evaluate::default()));
}

#[test]
fn every_shipped_configuration_is_right() {
    let quickstart = checked(&shipped("kith.toml"), &[]);
    assert_eq!(quickstart.evaluate.truth, Some("/p/tests/data/retail/truth.csv.gz".into()));
    let production = checked(&shipped("production.example.toml"), &[]);
    assert_eq!(production.keys.master, Some(SecretSource::Credential("kith-master".into())));
    assert_eq!(production.role("anna"), Some(Role::Steward));
    assert_eq!(production.role("nobody"), None);
}

#[test]
fn the_production_example_shows_every_key() {
    let text = shipped("production.example.toml");
    for section in keys::SECTIONS {
        assert!(text.contains(&format!("[{}", section.name)), "[{}]", section.name);
        for key in section.keys.iter().filter(|_| section.tables != keys::Tables::Free) {
            let shown = text.lines().any(|l| l.trim_start_matches(['#', ' ']).starts_with(&format!("{} =", key.name)));
            assert!(shown, "[{}] {}", section.name, key.name);
        }
    }
}

#[test]
fn every_default_and_example_is_read_as_its_key_wants() {
    for section in keys::SECTIONS {
        for key in section.keys {
            let parsed = format!("{} = {}", key.name, key.example).parse::<toml_edit::DocumentMut>();
            assert!(parsed.is_ok(), "[{}] {} = {}", section.name, key.name, key.example);
            if let (keys::Form::Count(min, max), keys::Need::Default(default)) = (key.form, key.need) {
                assert!((min..=max).contains(&default.parse().unwrap()), "{}", key.name);
            }
        }
    }
}

#[test]
fn a_service_is_told_from_a_file_and_its_login_is_one() {
    let target = |keys: &str| with(&format!("[targets.desk]\nconnector='c.yaml'\n{keys}\n"));
    let place = |keys: &str| checked(&target(keys), &[]).target("desk").unwrap().place.clone();
    let TargetPlace::Service(plain) = place("url='https://desk.example/api/'") else { panic!() };
    assert_eq!(*plain, ServiceSpec::plain("https://desk.example/api"));
    assert_eq!(TargetPlace::Service(plain).endpoint(), "desk.example");
    let mut oauth = place(
        "url='http://[::1]:80'\ntoken_url='https://l/t'\nclient_id='k'\nclient_secret={env='S'}\nproxy='http://p:1'\nproxy_user='u'\nproxy_password={env='P'}",
    );
    assert_eq!(oauth.secrets_mut().len(), 2);
    for (keys, told) in [
        ("", "KITH-C004"),
        ("url='ftp://a'", "KITH-C003"),
        ("url='https://'", "KITH-C003"),
        ("url='https://a/?b=c'", "KITH-C003"),
        ("url='https://u:hunter2@a'", "KITH-C008"),
        ("url='https://a'\npath='b'", "KITH-C010"),
        ("path='b'\ntoken={env='T'}", "KITH-C010"),
        ("url='https://a'\ntoken={env='T'}\nuser='u'\npassword={env='P'}", "KITH-C010"),
        ("url='https://a'\ntoken='hunter2'", "KITH-C008"),
        ("url='https://a'\nuser='u'", "KITH-C004"),
        ("url='https://a'\npassword={env='P'}", "KITH-C004"),
        ("url='https://a'\ntoken_url='https://l'", "KITH-C004"),
        ("url='https://a'\nscope='s'", "KITH-C004"),
        ("url='https://a'\nproxy_user='s'", "KITH-C004"),
        ("url='https://a'\nproxy='http://p'\nproxy_user='s'", "KITH-C004"),
        ("url='https://a'\ntimeout_seconds=0", "KITH-C005"),
    ] {
        let complaints = complaints(&target(keys), &[]);
        assert!(complaints.starts_with(told) && complaints.lines().count() == 1 && !complaints.contains("hunter2"), "{keys}: {complaints}");
    }
}

#[test]
fn tables_stand_in_the_order_of_the_file() {
    let config = checked(&with("[related.zeta]\nkind='csv'\npath='z'\n[related.alpha]\nkind='csv'\npath='a'\n"), &[]);
    assert_eq!(config.related.iter().map(|t| &*t.name).collect::<Vec<_>>(), ["zeta", "alpha"]);
}

#[test]
fn every_problem_of_a_file_is_told_at_once_with_its_place() {
    let text = r#"
[servce]
[service]
staet = "state"
mapping = 7
intake_batch = 0
poll_seconds = "5"
threads = 1000
[sources.Social-Media]
kind = "fil"
path = "a"
[sources.b]
kind = "folder"
path = "x"
inbox = "i"
network = "mastodn"
[customers.crm]
kind = "sqlite"
path = "~/crm.db"
table = "t"
query = "SELECT 1"
[customers.csv]
kind = "csv"
path = "https://example.com/c.csv"
delimiter = ";;"
[targets.one]
connector = "c.yaml"
path = "out"
per_second = -5
[targets.two]
connector = "c.yaml"
path = "out"
batch = 1.5
[targets.three]
connector = ""
[audit]
origin = "https://kith.example/a b"
[roles]
anna = "stewart"
[log]
level = "loud"
format = ["json"]
"#;
    insta::assert_snapshot!(complaints(text, &[]), @r#"
    KITH-C002 config/kith.toml:2:2: [servce] is no section of the configuration; did you mean `[service]`? Otherwise remove it
    KITH-C002 config/kith.toml:4:1: `staet` is no key of [service]; did you mean `state`? Otherwise remove it
    KITH-C003 config/kith.toml:5:11: `mapping` must be text in quotation marks, not a whole number; write text in quotation marks
    KITH-C005 config/kith.toml:6:16: `intake_batch` is 0; it must be from 1 to 10000; write a number from 1 to 10000, or remove the key
    KITH-C003 config/kith.toml:7:16: `poll_seconds` must be a whole number from 1 to 3600, not text; write a whole number from 1 to 3600
    KITH-C005 config/kith.toml:8:11: `threads` is 1000; it must be from 1 to 256; write a number from 1 to 256, or remove the key
    KITH-C006 config/kith.toml:9:10: `Social-Media` can't be a name; write `social_media`: a small letter, then small letters, digits and single `_`, at most 63
    KITH-C007 config/kith.toml:10:8: `kind` can't be `fil`; did you mean `file`? Possible are `file`, `folder`, `network`, `webhook`, `singer`
    KITH-C004 config/kith.toml:12:10: [sources.b] lacks the key `done`; add `done = "/srv/kith/done"`
    KITH-C010 config/kith.toml:14:1: `path` belongs to kind `file`, and [sources.b] is of kind `folder`; remove it, or write `kind = "file"`
    KITH-C007 config/kith.toml:16:11: `mastodn` is not a network that Kith knows; did you mean `mastodon`? Known are `bluesky`, `discourse`, `facebook`, `github`, `instagram`, `linkedin`, `mastodon`, `reddit`, `threads`, `tiktok`, `web`, `x`, `youtube`
    KITH-C009 config/kith.toml:19:8: the path `path` holds `~` or `${…}`, which only a shell replaces; write the path in full or relative to the project folder: `path = "/srv/crm/customers.csv.gz"`
    KITH-C010 config/kith.toml:21:1: [customers.crm] has a `table` and a `query`; keep the one that is meant
    KITH-C009 config/kith.toml:24:8: the path `path` is an address, not a path; write the path in full or relative to the project folder: `path = "/srv/crm/customers.csv.gz"`
    KITH-C003 config/kith.toml:25:13: `delimiter` must be one ASCII character, and no quotation mark; write `","`, `";"`, `"|"` or `"\t"`
    KITH-C005 config/kith.toml:29:14: `per_second` is -5; it must be from 1 to 100000000; write a number from 1 to 100000000, or remove the key
    KITH-C003 config/kith.toml:33:9: `batch` must be a whole number from 1 to 5000, not a fraction; write a whole number from 1 to 5000
    KITH-C004 config/kith.toml:34:10: [targets.three] lacks the key `path`, `url` or `server`; add `path = "/srv/crm/crm.db"` for a file or database, `url = "https://helpdesk.example/api/v2"` for a service, `server = "crm-sql.example:1433"` for a SQL Server
    KITH-C009 config/kith.toml:35:13: the path `connector` is empty; write the path in full or relative to the project folder: `connector = "connectors/targets/sqlite.yaml"`
    KITH-C006 config/kith.toml:37:10: `https://kith.example/a b` can't name a log; write a host name of yours and a path without scheme, blanks and `+`, at most 200 bytes: `origin = "kith.example.com/retail"`
    KITH-C007 config/kith.toml:39:8: `anna` can't be `stewart`; did you mean `steward`? Possible are `operator`, `steward`, `reviewer`
    KITH-C007 config/kith.toml:41:9: `level` can't be `loud`; write one of `error`, `warn`, `info`, `debug`, `trace`
    KITH-C003 config/kith.toml:42:10: `format` must be text in quotation marks, not a list or date; write text in quotation marks
    "#);
}

#[test]
fn a_missing_section_says_what_it_must_hold() {
    insta::assert_snapshot!(complaints("", &[]), @r#"
    KITH-C004 config/kith.toml: [service] is missing; add [service] with `mapping = "mappings/retail.yaml"`
    KITH-C004 config/kith.toml: [sources.NAME] is missing; add [sources.NAME] with `kind = "folder"`
    KITH-C004 config/kith.toml: [customers.NAME] is missing; add [customers.NAME] with `kind = "csv"`
    KITH-C004 config/kith.toml: [targets.NAME] is missing; add [targets.NAME] with `connector = "connectors/targets/sqlite.yaml"`
    KITH-C004 config/kith.toml: [audit] is missing; add [audit] with `origin = "kith.example.com/retail"`
    "#);
}

#[test]
fn broken_lines_hide_no_other_problem() {
    let text = "[service]\nmapping = mappings/retail.yaml\nstaet = \"x\"\n[sources.a\nkind = \"file\"\npath = \"a\"\n[log]\nlevel = \"loud\"\nlevel = \"info\"\n[audit]\norigin = \"a\n";
    insta::assert_snapshot!(complaints(text, &[]), @r#"
    KITH-C001 config/kith.toml:2:11: the file is no valid TOML: string values must be quoted, expected literal string; mend the line; text and paths stand in quotation marks
    KITH-C002 config/kith.toml:3:1: `staet` is no key of [service]; did you mean `state`? Otherwise remove it
    KITH-C001 config/kith.toml:4:11: the file is no valid TOML: unclosed table, expected `]`; mend the line; text and paths stand in quotation marks
    KITH-C007 config/kith.toml:8:9: `level` can't be `loud`; write one of `error`, `warn`, `info`, `debug`, `trace`
    KITH-C001 config/kith.toml:9:1: the file is no valid TOML: duplicate key; mend the line; text and paths stand in quotation marks
    KITH-C001 config/kith.toml:11:12: the file is no valid TOML: invalid basic string, expected `"`; mend the line; text and paths stand in quotation marks
    "#);
}

#[test]
fn the_environment_overrides_the_file_and_is_named_when_it_is_wrong() {
    let config = checked(
        RIGHT,
        &[
            ("KITH__SERVICE__INTAKE_BATCH", "77"),
            ("KITH__TARGETS__CRM_DB__PER_SECOND", "5"),
            ("KITH__SOURCES__MORE__KIND", "file"),
            ("KITH__SOURCES__MORE__PATH", "00123"),
            ("KITH__LOG__LEVEL", "debug"),
            ("KITH__ROLES__ROOT", "operator"),
            ("HOME", "/root"),
        ],
    );
    assert_eq!(config.service.intake_batch.get(), 77);
    assert_eq!(config.target("crm_db").unwrap().quotas.per_second.unwrap().get(), 5);
    assert_eq!(config.sources[1].kind, SourceKind::File { path: "/p/00123".into() });
    assert_eq!(config.log.level, LogLevel::Debug);
    assert_eq!(config.role("root"), Some(Role::Operator));
    insta::assert_snapshot!(
        complaints(
            RIGHT,
            &[
                ("KITH__SERVICE__INTAKE_BACH", "77"),
                ("KITH__SERVICE__DECIDE_BATCH", "many"),
                ("KITH__LOG__LEVEL", "loud"),
                ("KITH__LOG", "x"),
                ("KITH__", "x"),
                ("KITH__TARGET__CRM_DB__BATCH", "5"),
                ("KITH__TARGETS__CRM_DB", "5"),
                ("KITH__AUDIT__ORIGIN", ""),
            ]
        ),
        @r#"
    KITH-C011 environment variable KITH__: the variable names no key of the configuration; name it KITH__SECTION__KEY or KITH__SECTION__NAME__KEY, or unset it
    KITH-C011 environment variable KITH__LOG: the variable names no key of the configuration; name it KITH__SECTION__KEY or KITH__SECTION__NAME__KEY, or unset it
    KITH-C011 environment variable KITH__TARGET__CRM_DB__BATCH: [target] is no section of the configuration; did you mean `[targets]`? Otherwise unset the variable
    KITH-C011 environment variable KITH__SERVICE__INTAKE_BACH: `intake_bach` is no key of [service]; did you mean `intake_batch`? Otherwise unset the variable
    KITH-C003 environment variable KITH__SERVICE__DECIDE_BATCH: `decide_batch` must be a whole number from 1 to 10000, not text; write a whole number from 1 to 10000
    KITH-C003 environment variable KITH__TARGETS__CRM_DB: [targets.crm_db] must be a table, not text; write a table
    KITH-C006 environment variable KITH__AUDIT__ORIGIN: `` can't name a log; write a host name of yours and a path without scheme, blanks and `+`, at most 200 bytes: `origin = "kith.example.com/retail"`
    KITH-C007 environment variable KITH__LOG__LEVEL: `level` can't be `loud`; write one of `error`, `warn`, `info`, `debug`, `trace`
    "#
    );
}

#[test]
fn a_secret_in_the_file_is_refused_and_shown_nowhere() {
    const SECRET: &str = "hunter2-swordfish";
    let refused = [
        format!("[keys]\nmaster = \"{SECRET}\"\n"),
        format!("[keys]\nmaster = \"\"\"\n{SECRET}\n\"\"\"\n"),
        format!("[keys]\nmaster = [\"{SECRET}\"]\n"),
        format!("[keys]\nmaster = {{ value = \"{SECRET}\" }}\n"),
        format!("[keys]\nmaster = {{ env = [\"{SECRET}\"] }}\n"),
        format!("[keys]\nmaster = {{ env = \"X\", value = \"{SECRET}\" }}\n"),
        format!("[keys.master]\nvalue = \"{SECRET}\"\n"),
        format!("[keys]\nsigning = \"{SECRET}\n"),
        format!("keys = {{ master = \"{SECRET}\", nope = 1 }}\n"),
        format!("keys.master = \"{SECRET}\"\n"),
        format!("[keys]\nmaster = \"{SECRET}\"\nbroken = = 1\n"),
    ];
    for extra in refused {
        let text = if extra.starts_with("keys") { format!("{extra}{RIGHT}") } else { with(&extra) };
        let checked = check("config/kith.toml", &text, &[], Path::new(""));
        assert!(checked.problems.has_errors(), "{extra}");
        let shown = format!("{}{}{:?}", checked.problems.render(Look::PLAIN), checked.problems.to_json(), checked.problems);
        assert!(!shown.contains("hunter2"), "{extra}\n{shown}");
    }
    let checked = check("config/kith.toml", RIGHT, &env(&[("KITH__KEYS__MASTER", SECRET)]), Path::new(""));
    let shown = format!("{}{:?}", checked.problems.render(Look::PLAIN), checked.problems);
    assert!(!shown.contains("hunter2"), "{shown}");
    insta::assert_snapshot!(complaints(&with("[keys]\nmaster = \"hunter2\"\nsigning = { file = \"a\", env = \"B\", credental = \"c\" }\n"), &[("KITH__KEYS__MASTER__ENV", "")]), @r#"
    KITH-C010 config/kith.toml:17:25: `signing` names more than one place for its secret; keep one of them
    KITH-C002 config/kith.toml:17:36: `credental` is no place of a secret; did you mean `credential`? Otherwise remove it
    KITH-C009 environment variable KITH__KEYS__MASTER__ENV: the value of `env` can't be the place of a secret; a path for `file`, letters, digits and `_` for `env`, also `-` and `.` for `credential`
    "#);
    insta::assert_snapshot!(check("config/kith.toml", &with("[keys]\nmaster = \"hunter2\"\n"), &[], Path::new("")).problems.render(Look::PLAIN), @r#"
    error[KITH-C008]: `master` holds a secret itself; it must say where the secret is
      --> config/kith.toml:16:10
       |
    16 | master = *********
       |          ^^^^^^^^^
       |
       = help: write `master = { file = "PATH" }`, `master = { env = "VARIABLE" }` or `master = { credential = "NAME" }`, and change the secret: it has been written down
    "#);
}

#[test]
fn the_environment_replaces_the_place_of_a_secret_whole() {
    let config = checked(&with("[keys]\nmaster = { file = \"m\" }\nsigning = { file = \"s\" }\n"), &[("KITH__KEYS__MASTER__ENV", "M")]);
    assert_eq!(
        config.keys,
        Keys { master: Some(SecretSource::Env("M".into())), hash: None, signing: Some(SecretSource::File("/p/s".into())) }
    );
}

#[test]
fn paths_start_at_the_folder_that_holds_config() {
    for (file, folder) in [
        ("config/kith.toml", ""),
        ("/etc/kith/config/kith.toml", "/etc/kith"),
        ("demo/config/kith.toml", "demo"),
        ("kith.toml", ""),
        ("/etc/kith/kith.toml", "/etc/kith"),
    ] {
        assert_eq!(project_folder(Path::new(file)), Path::new(folder), "{file}");
    }
}

#[test]
fn the_reference_in_the_readme_is_current() {
    const BEGIN: &str = "<!-- reference: written by a test from the checker's own table -->\n";
    const END: &str = "<!-- end of the reference -->";
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/README.md");
    let text = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = text.split_once(BEGIN).unwrap();
    let (_, after) = rest.split_once(END).unwrap();
    let current = format!("{before}{BEGIN}\n{}\n{END}{after}", reference());
    if text != current {
        std::fs::write(&path, current).unwrap();
        panic!("config/README.md was stale; it is written anew: look at it and commit it");
    }
}

proptest! {
    #[test]
    fn no_text_and_no_variable_makes_it_panic(
        text in "([a-z_]{1,9}|\\[|\\]|\\[service\\]\n|\\[keys\\]\n|master|=|\"|'|\\{|\\}|\n|,|\\.|[0-9]{1,3}|é|\\PC){0,40}",
        name in "KITH__[A-Z_]{0,20}",
        value in "\\PC{0,10}",
    ) {
        let checked = check("k.toml", &text, &[(name, value)], Path::new(""));
        prop_assert_eq!(checked.value.is_some(), !checked.problems.has_errors());
        let _text = checked.problems.render(Look::PLAIN);
    }

    #[test]
    fn a_damaged_right_file_never_makes_it_panic(at in 0_usize..400, junk in "\\PC{0,4}") {
        let mut text = shipped("kith.toml");
        let at = (0..=at.min(text.len())).rev().find(|i| text.is_char_boundary(*i)).unwrap();
        text.insert_str(at, &junk);
        let checked = check("k.toml", &text, &[], Path::new(""));
        prop_assert_eq!(checked.value.is_some(), !checked.problems.has_errors());
    }
}
