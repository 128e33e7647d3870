//! `kith.toml`: read with places, layered under the environment, checked whole; nothing is opened.

mod audit;
mod backup;
mod check;
mod codes;
mod guard;
mod hours;
mod hub;
mod keys;
mod layers;
mod network;
mod notice;
mod outline;
mod records;
mod reference;
mod review;
mod secret;
mod server;
mod service;
mod settings;
mod singer;
mod values;
mod webhook;

#[cfg(test)]
mod tests;

pub use check::{check, check_listener, project_folder};
pub use guard::PassGuard;
pub use hours::{HoursError, ServiceHours};
pub use hub::Hub;
pub use layers::ENVIRONMENT_PREFIX;
pub use notice::{Alarms, Hold, MailAddresses, NoticeSpec};
pub use outline::{NamedFile, Outline, outline};
pub use records::{RowFormat, RowsSpec};
pub use reference::reference;
pub use review::Review;
pub use secret::{MAX_SECRET_BYTES, Secret, SecretError, SecretSource};
pub use server::{Encryption, ServerAddress, ServerAt, ServerLogin, ServerSpec};
pub use service::GivenSecret;
pub use settings::{
    Audit, Auth, Backup, Changes, ClientCertificate, Config, Evaluate, Keys, Log, LogFormat, LogLevel, Login, Metrics, NetworkSource,
    ProxySpec, ReleaseWhen, Role, RoleGrant, ServerRows, Service, ServiceSpec, SoapRows, SourceKind, SourceSpec, SqliteRows, SyslogSpec,
    TableKind, TableSpec, TargetPlace, TargetSpec, TokenTime,
};
pub use singer::SingerSource;
pub use webhook::{Drained, Listener, Taken, WebhookSource, Webhooks};
