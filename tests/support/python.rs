//! A `python` that has the peers: Splink on `DuckDB` 2.0.0, rapidfuzz.

use std::process::Command;

/// The python that `KITH_TEST_SPLINK` names, else the one in `kith-splink` in the folder for temporary files, else `python3`: the first that
/// can import `modules`. `None`, said loudly, where there is none; in CI, which installs them, that is a failure.
pub fn python_with(modules: &str) -> Option<String> {
    let named = std::env::var("KITH_TEST_SPLINK").ok();
    let beside = std::env::temp_dir().join("kith-splink/bin/python").display().to_string();
    let found = named
        .into_iter()
        .chain([beside, "python3".to_owned()])
        .find(|python| Command::new(python).args(["-c", &format!("import {modules}")]).output().is_ok_and(|out| out.status.success()));
    if found.is_none() {
        assert!(std::env::var("CI").is_err(), "no python with {modules}");
        let folder = std::env::temp_dir().join("kith-splink").display().to_string();
        eprintln!(
            "SKIPPED: no python with {modules} (python3 -m venv {folder}; {folder}/bin/pip install splink==4.0.17 duckdb==2.0.0 rapidfuzz pyarrow)"
        );
    }
    found
}
