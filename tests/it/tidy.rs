//! The house keeps its own rules: ranks, `//!` on every module, one owner for each foreign crate, no clock below rank 4 (design §3).

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Rank of each room. Folders of one rank never import each other.
const RANKS: &[(&str, u8)] = &[
    ("model", 0),
    ("diagnose", 0),
    ("expr", 1),
    ("normalize", 1),
    ("manifest", 1),
    ("splink", 1),
    ("policy", 2),
    ("resolve", 2),
    ("enrich", 2),
    ("audit", 2),
    ("declare", 3),
    ("wire", 4),
    ("source", 5),
    ("customers", 5),
    ("deliver", 5),
    ("store", 5),
    ("pipeline", 6),
    ("console", 7),
    ("cli", 7),
];

/// Foreign crates with one owner.
const OWNERS: &[(&str, &[&str])] = &[
    ("saphyr", &["src/declare/yaml"]),
    ("cel", &["src/expr"]),
    ("minijinja", &["src/manifest"]),
    ("minijinja_contrib", &["src/manifest"]),
    ("toml_edit", &["src/declare/config"]),
    ("figment", &["src/declare/config"]),
    ("annotate_snippets", &["src/diagnose/render"]),
    ("reqwest", &["src/wire/http"]),
    ("hyper", &["src/source/webhook/listen", "src/wire/tunnel"]),
    ("http_body_util", &["src/source/webhook/listen"]),
    ("quick_xml", &["src/wire/xml"]),
    ("tokio_rustls", &["src/wire/tls.rs"]),
    ("rustls_platform_verifier", &["src/wire/tls.rs"]),
    ("encoding_rs", &["src/manifest/encoding", "src/wire/xml", "src/wire/tds"]),
    ("futures_util", &["src/source/manifest/slices", "src/wire/websocket"]),
    ("rusqlite", &["src/store", "src/customers", "src/deliver/sqlite"]),
    ("clap", &["src/cli", "src/main.rs"]),
    ("governor", &["src/deliver"]),
    ("backon", &["src/deliver"]),
    ("ed25519_dalek", &["src/audit", "src/store/log"]),
    ("chacha20poly1305", &["src/audit"]),
    ("age", &["src/store/backup", "src/source/webhook/seal"]),
    ("tar", &["src/store/backup"]),
    ("sqlparser", &["src/splink"]),
    ("parquet", &["src/wire/table"]),
    ("aws_lc_rs", &["src/source/manifest/jwt"]),
    ("pkcs8", &["src/source/manifest/jwt"]),
    ("tokio_tungstenite", &["src/wire/websocket"]),
    ("zip", &["src/source/manifest/decode"]),
];

/// What ranks 0 to 3 never name: they hold no I/O, clock, environment, thread or ambient randomness.
const FORBIDDEN_BELOW_RANK_4: &[&str] = &[
    "std::fs",
    "std::net",
    "std::env",
    "std::thread",
    "std::process",
    "tokio::",
    "SystemTime",
    "Instant::now",
    "Timestamp::now",
    "Zoned::now",
    "getrandom",
    "async fn",
];

fn sources(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut entries: Vec<_> = fs::read_dir(dir).unwrap().map(|e| e.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
    found
}

/// Sources without files of unit tests, which may do what they like.
fn product(dir: &Path) -> Vec<PathBuf> {
    let is_test = |path: &PathBuf| {
        path.file_stem().is_some_and(|s| s == "tests" || s.to_string_lossy().ends_with("_tests")) || relative(path).contains("/tests/")
    };
    sources(dir).into_iter().filter(|p| !is_test(p)).collect()
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn relative(path: &Path) -> String {
    path.strip_prefix(root()).unwrap().to_string_lossy().into_owned()
}

fn room_of(path: &Path) -> Option<(&'static str, u8)> {
    let relative = relative(path);
    let first = relative.strip_prefix("src/")?.split('/').next()?.trim_end_matches(".rs").to_owned();
    RANKS.iter().copied().find(|(room, _)| *room == first)
}

/// Code without comments and without unit tests, which may do what they like.
fn code(text: &str) -> String {
    let text = text.split("\n#[cfg(test)]\nmod tests").next().unwrap_or(text);
    text.lines().filter(|l| !l.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

/// Rooms named by `crate::ROOM` or, inside `crate::{…}`, by its first segment.
fn imported_rooms(code: &str) -> Vec<&'static str> {
    RANKS
        .iter()
        .map(|(room, _)| *room)
        .filter(|room| {
            let path = format!("crate::{room}");
            let direct = code
                .match_indices(&path)
                .any(|(at, _)| code[at + path.len()..].chars().next().is_none_or(|c| !c.is_alphanumeric() && c != '_'));
            let grouped = code.split("crate::{").skip(1).any(|rest| {
                rest.split(';').next().unwrap_or_default().split([',', '{', '}']).any(|part| part.trim().split("::").next() == Some(*room))
            });
            direct || grouped
        })
        .collect()
}

#[test]
fn a_rank_imports_only_lower_ranks() {
    let mut wrong = Vec::new();
    for path in product(&root().join("src")) {
        let Some((room, rank)) = room_of(&path) else { continue };
        for imported in imported_rooms(&code(&fs::read_to_string(&path).unwrap())) {
            let (_, other) = RANKS.iter().find(|(r, _)| *r == imported).unwrap();
            if imported != room && *other >= rank {
                wrong.push(format!("{} (rank {rank}) imports {imported} (rank {other})", relative(&path)));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_import_scanner_sees_what_it_must_see() {
    assert_eq!(imported_rooms("use crate::store::Store;"), ["store"]);
    assert_eq!(imported_rooms("use crate::{model::Value, cli};"), ["model", "cli"]);
    assert_eq!(imported_rooms("let x = crate::audit::Entry;"), ["audit"]);
    assert!(imported_rooms("use crate::modeller::X; use super::store;").is_empty());
}

#[test]
fn every_room_has_a_rank() {
    for entry in fs::read_dir(root().join("src")).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            assert!(room_of(&path.join("mod.rs")).is_some(), "{} has no rank", path.display());
        }
    }
}

#[test]
fn ranks_0_to_3_do_no_io_and_read_no_clock() {
    let mut wrong = Vec::new();
    for path in product(&root().join("src")) {
        let Some((_, rank)) = room_of(&path) else { continue };
        let code = code(&fs::read_to_string(&path).unwrap());
        if rank <= 3 {
            wrong.extend(FORBIDDEN_BELOW_RANK_4.iter().filter(|f| code.contains(**f)).map(|f| format!("{} names {f}", relative(&path))));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_module_says_what_it_is_about() {
    let silent: Vec<String> = sources(&root().join("src"))
        .into_iter()
        .chain(sources(&root().join("tests")))
        .filter(|p| {
            let text = fs::read_to_string(p).unwrap();
            !text.starts_with("//!") && !text.starts_with("#![doc")
        })
        .map(|p| relative(&p))
        .collect();
    assert!(silent.is_empty(), "no `//!` at the top of: {silent:?}");
}

#[test]
fn a_foreign_crate_has_one_owner() {
    let mut wrong = Vec::new();
    for path in product(&root().join("src")) {
        let code = code(&fs::read_to_string(&path).unwrap());
        for (foreign, owners) in OWNERS {
            let named = [format!("use {foreign}::"), format!("{foreign}::")].iter().any(|n| {
                code.match_indices(n.as_str())
                    .any(|(at, _)| code[..at].chars().next_back().is_none_or(|c| !c.is_alphanumeric() && c != '_'))
            });
            if named && !owners.iter().any(|o| relative(&path).starts_with(o)) {
                wrong.push(format!("{} uses {foreign}, which belongs to {owners:?}", relative(&path)));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn only_a_store_mints_the_token_without_which_nothing_is_sent() {
    let minting: Vec<String> = sources(&root().join("src"))
        .into_iter()
        .filter(|p| code(&fs::read_to_string(p).unwrap()).contains("Intended::mint("))
        .map(|p| relative(&p))
        .filter(|p| !p.starts_with("src/store/"))
        .collect();
    assert!(minting.is_empty(), "{minting:?}");
}

#[test]
fn no_file_grows_beyond_one_subject() {
    // ~500 lines wants splitting (house rule); 700 is where the test says so.
    let long: BTreeMap<String, usize> = sources(&root().join("src"))
        .into_iter()
        .map(|p| (relative(&p), code(&fs::read_to_string(&p).unwrap()).lines().count()))
        .filter(|(_, lines)| *lines > 700)
        .collect();
    assert!(long.is_empty(), "split these: {long:?}");
}

#[test]
fn no_module_is_named_after_nothing() {
    for path in product(&root().join("src")) {
        let stem = path.file_stem().unwrap().to_string_lossy().into_owned();
        assert!(!["utils", "util", "common", "helpers", "helper", "manager", "misc"].contains(&stem.as_str()), "{}", path.display());
    }
}

#[test]
fn the_top_level_is_what_the_design_fixed() {
    const ALLOWED: &[&str] = &[
        "Cargo.toml",
        "Cargo.lock",
        "src",
        "mappings",
        "connectors",
        "config",
        "tests",
        "ops",
        "README.md",
        "LICENSE",
        "CHANGELOG.md",
        "rust-toolchain.toml",
        "deny.toml",
        "clippy.toml",
        "rustfmt.toml",
        "target",
        "state",
        "crm",
    ];
    for entry in fs::read_dir(root()).unwrap() {
        let name = entry.unwrap().file_name().to_string_lossy().into_owned();
        assert!(name.starts_with('.') || ALLOWED.contains(&name.as_str()), "`{name}` has no place at the top level");
    }
}
