//! `kith.toml`: read with places, layered under the environment, checked whole; nothing is opened.

mod secret;
mod settings;

pub use secret::{Secret, SecretError, SecretSource};
pub use settings::{
    Audit, Config, Evaluate, Keys, Log, LogFormat, LogLevel, Role, RoleGrant, Service, SourceKind, SourceSpec, SqliteRows, TableKind,
    TableSpec, TargetSpec,
};
