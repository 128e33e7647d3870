//! The process's surroundings: the one reader of environment variables and of the operating-system user.

use crate::declare::config::{ENVIRONMENT_PREFIX, Secret, SecretSource};
use crate::diagnose::{Code, Diagnostic, Place};
use std::ffi::OsString;
use std::fmt;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

const NO_SECRET: Code = Code("KITH-C013");

/// Environment variables and the user, read once.
#[derive(Clone)]
pub struct Environment {
    variables: Vec<(String, String)>,
    user: String,
}

impl fmt::Debug for Environment {
    /// Names of variables, never values: some are secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.variables.iter().map(|(name, _)| name.as_str()).collect();
        f.debug_struct("Environment").field("variables", &names).field("user", &self.user).finish()
    }
}

impl Environment {
    /// Reads this process's environment. Variables that are not UTF-8 are left out; no setting of Kith is one.
    pub fn read() -> Self {
        let text = |(name, value): (OsString, OsString)| Some((name.into_string().ok()?, value.into_string().ok()?));
        Self { variables: std::env::vars_os().filter_map(text).collect(), user: user_name() }
    }

    /// Surroundings made up by a test.
    pub fn of(variables: &[(&str, &str)], user: &str) -> Self {
        Self { variables: variables.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect(), user: user.to_owned() }
    }

    /// The value of a variable.
    pub fn variable(&self, name: &str) -> Option<&str> {
        self.variables.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    /// The overrides of the configuration: variables named `KITH__…`.
    pub fn overrides(&self) -> Vec<(String, String)> {
        self.variables.iter().filter(|(name, _)| name.starts_with(ENVIRONMENT_PREFIX)).cloned().collect()
    }

    /// The operating-system user: the actor in the audit log. From the process's user id, not from `$USER`, which anyone can set; a user
    /// id that `/etc/passwd` does not know is `uid:1000`.
    pub fn user(&self) -> &str {
        &self.user
    }

    /// Whether colours are welcome where a terminal shows them.
    pub fn wants_color(&self) -> bool {
        self.variable("NO_COLOR").is_none_or(str::is_empty) && self.variable("TERM").is_none_or(|term| term != "dumb")
    }

    /// The terminal's width where the shell says it, 60 to 200; else 120.
    pub fn columns(&self) -> usize {
        self.variable("COLUMNS").and_then(|text| text.parse().ok()).unwrap_or(120).clamp(60, 200)
    }

    /// Reads a secret from where the configuration says it is.
    ///
    /// # Errors
    /// Where it is not there or not usable; the place is told, the content never.
    pub fn secret(&self, source: &SecretSource) -> Result<Secret, Diagnostic> {
        let refuse = |message: String| {
            let remedy = "put the secret there, readable for the user who runs kith; `kith explain KITH-C013` says how";
            Diagnostic::error(NO_SECRET, Place::Named(source.to_string()), message, remedy)
        };
        let bytes = match source {
            SecretSource::Env(name) => {
                let value = self.variable(name).ok_or_else(|| refuse("the variable for a secret is not set".to_owned()))?;
                value.as_bytes().to_vec()
            }
            SecretSource::File(path) => read_secret(path).map_err(|error| refuse(format!("the secret can't be read: {}", error.kind())))?,
            SecretSource::Credential(name) => {
                let folder = self.variable("CREDENTIALS_DIRECTORY").map(PathBuf::from);
                let folder = folder.ok_or_else(|| refuse("the service manager provides no credentials".to_owned()))?;
                read_secret(&folder.join(name)).map_err(|error| refuse(format!("the credential can't be read: {}", error.kind())))?
            }
        };
        Secret::from_bytes(bytes).map_err(|error| refuse(error.to_string()))
    }
}

fn read_secret(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let limit = u64::try_from(crate::declare::config::MAX_SECRET_BYTES).unwrap_or(u64::MAX);
    File::open(path)?.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn user_name() -> String {
    crate::pipeline::account_name(rustix::process::geteuid().as_raw()).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_read_from_its_place_and_shown_nowhere() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("master"), "hunter2\n").unwrap();
        let credentials = folder.path().to_str().unwrap();
        let environment = Environment::of(&[("SECRET", "hunter2"), ("CREDENTIALS_DIRECTORY", credentials)], "anna");
        for source in [
            SecretSource::Env("SECRET".into()),
            SecretSource::File(folder.path().join("master")),
            SecretSource::Credential("master".into()),
        ] {
            let secret = environment.secret(&source).unwrap();
            assert_eq!(secret.expose(), "hunter2");
            assert!(!format!("{secret:?} {environment:?} {source:?}").contains("hunter2"));
        }
    }

    #[test]
    fn a_secret_that_is_not_there_is_a_problem_with_its_place() {
        let environment = Environment::of(&[("EMPTY", " ")], "anna");
        let told = |source: SecretSource| environment.secret(&source).unwrap_err().to_string();
        assert!(
            told(SecretSource::Env("NONE".into()))
                .starts_with("KITH-C013 the environment variable NONE: the variable for a secret is not set;")
        );
        assert!(told(SecretSource::Env("EMPTY".into())).contains("the secret is empty"));
        assert!(told(SecretSource::Credential("master".into())).contains("provides no credentials"));
        assert!(told(SecretSource::File("/nowhere/x".into())).contains("can't be read"));
    }
}
