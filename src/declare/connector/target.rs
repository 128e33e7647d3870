//! The checked form of a target file.

use super::FieldKind;
use super::http::{HttpOperation, HttpService};
use super::rules::{Counted, DeliveryRules, Quotas};
use super::soap::{SoapOperation, SoapService};
use super::sqlserver::{SqlOperation, SqlServerObjects, SqlWrite};
use crate::declare::config::{Auth, Login, NoticeSpec, ServiceSpec, TargetPlace, TargetSpec};
use crate::diagnose::{Code, Diagnostic, Place, SourceFile};
use crate::enrich::OnDelete;
use crate::model::{Digest, OperationId};
use std::sync::Arc;

/// What a target writes into.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum TargetKind {
    /// Tables of a SQLite database.
    Sqlite,
    /// Lines of JSON in a file.
    Ndjson,
    /// JSON over HTTP into a service.
    Http,
    /// Calls of a SOAP service.
    Soap,
    /// Tables and procedures of a SQL Server.
    SqlServer,
    /// Webhooks or mails that tell people.
    Notify,
}

impl TargetKind {
    /// Every kind.
    pub const ALL: [Self; 6] = [Self::Sqlite, Self::Ndjson, Self::Http, Self::SqlServer, Self::Soap, Self::Notify];

    /// The word that files use.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sqlite => "sqlite",
            Self::Ndjson => "ndjson",
            Self::Http => "http",
            Self::Soap => "soap",
            Self::SqlServer => "sqlserver",
            Self::Notify => "notify",
        }
    }

    /// What quotas count where the file does not say.
    pub const fn counts(self) -> Counted {
        match self {
            Self::Sqlite | Self::Ndjson | Self::SqlServer => Counted::Records,
            Self::Http | Self::Soap | Self::Notify => Counted::Requests,
        }
    }
}

/// What happens to a record that is there already.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum WriteMode {
    /// It is brought to the new values.
    Upsert,
    /// It stays as it is: the record is written once.
    InsertOnly,
    /// It is brought to the new values; a record that is not there is not made.
    UpdateOnly,
}

impl WriteMode {
    /// Every mode.
    pub const ALL: [Self; 3] = [Self::Upsert, Self::InsertOnly, Self::UpdateOnly];

    /// The word that files use.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Upsert => "upsert",
            Self::InsertOnly => "insert_only",
            Self::UpdateOnly => "update_only",
        }
    }
}

/// A field of an operation.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TargetField {
    /// The CRM's name for it: the column, or the JSON member.
    pub name: Arc<str>,
    /// What it holds.
    pub kind: FieldKind,
    /// Whether a write without it is refused. Fields of the record key always are.
    pub required: bool,
    /// At most this many characters (Unicode scalar values); text only.
    pub max_length: Option<usize>,
}

/// Something that a target does for a delivery.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Operation {
    /// Its name: what a mapping's `operation` says.
    pub id: OperationId,
    /// The fields that identify the record, in key order; each is one of `fields`. Never empty.
    pub record_key: Vec<Arc<str>>,
    /// What a Delete or an unlink does. The fields of `Blank` are in `fields`, neither required nor part of the key.
    pub on_delete: OnDelete,
    /// SQLite: the table. NDJSON: the `type` written on each line. HTTP and SOAP: the operation's name. SQL Server: the table or procedure.
    pub table: Arc<str>,
    /// What happens to a record that is there already.
    pub write: WriteMode,
    /// Quotas of this operation, beside those of the whole target.
    pub quotas: Quotas,
    /// The fields, in file order. Names differ also where ASCII case is ignored, as SQLite compares them.
    pub fields: Vec<TargetField>,
    /// HTTP: its requests; `None` for every other kind.
    pub http: Option<HttpOperation>,
    /// SOAP: its calls; `None` for every other kind.
    pub soap: Option<SoapOperation>,
    /// SQL Server: its table or procedure; `None` for every other kind.
    pub sql: Option<SqlOperation>,
}

impl Operation {
    /// A field by its exact name.
    pub fn field(&self, name: &str) -> Option<&TargetField> {
        self.fields.iter().find(|f| &*f.name == name)
    }

    /// Whether a write of it can be bound to what stands in its record: read and written in one transaction.
    pub fn compares(&self, kind: TargetKind) -> bool {
        match kind {
            TargetKind::Sqlite => true,
            TargetKind::SqlServer => self.sql.as_ref().is_some_and(|sql| matches!(sql.write, SqlWrite::Table(_))),
            TargetKind::Ndjson | TargetKind::Http | TargetKind::Soap | TargetKind::Notify => false,
        }
    }
}

/// A checked target file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TargetFile {
    /// Its name, as `target:` gives it.
    pub name: Arc<str>,
    /// What it writes into.
    pub kind: TargetKind,
    /// What it does, in file order. Never empty; ids are unique.
    pub operations: Vec<Operation>,
    /// How the target wants to be treated.
    pub rules: DeliveryRules,
    /// HTTP: what holds for every request; `None` for every other kind.
    pub http: Option<HttpService>,
    /// SOAP: what holds for every call; `None` for every other kind.
    pub soap: Option<SoapService>,
    /// SQL Server: Kith's own tables; `None` for every other kind.
    pub sql: Option<SqlServerObjects>,
    /// SHA-256 of the file's bytes.
    pub digest: Digest,
    /// The file itself, for diagnostics that point into it.
    pub source: Arc<SourceFile>,
}

/// A target's place and the kind of its file do not go together.
const MISPLACED: Code = Code("KITH-T013");

impl TargetFile {
    /// The complaint where a configuration gives this file a `path` and it wants a `url`, or the other way round; `named` is where the
    /// configuration names the file.
    pub fn misplaced(&self, spec: &TargetSpec, named: &Place) -> Option<Diagnostic> {
        if let TargetPlace::Service(service) = &spec.place
            && let Some(told) = self.bad_login(spec, service, named)
        {
            return Some(told);
        }
        if let Some(told) = self.bad_notice(spec, named) {
            return Some(told);
        }
        let (has, wants, example) = match (self.kind, &spec.place) {
            (TargetKind::Http | TargetKind::Soap | TargetKind::Notify, TargetPlace::Service(_))
            | (TargetKind::Sqlite | TargetKind::Ndjson, TargetPlace::File(_))
            | (TargetKind::SqlServer, TargetPlace::Server(_)) => return None,
            (TargetKind::Http | TargetKind::Soap | TargetKind::Notify, place) => (place.key(), "url", "\"https://helpdesk.example/api\""),
            (TargetKind::Sqlite | TargetKind::Ndjson, place) => (place.key(), "path", "\"/srv/crm/crm.db\""),
            (TargetKind::SqlServer, place) => (place.key(), "server", "\"crm-sql.example:1433\""),
        };
        let message = format!("[targets.{}] has a `{has}`, and its target file is of kind `{}`", spec.name, self.kind.name());
        Some(Diagnostic::error(MISPLACED, named.clone(), message, format!("write `{wants} = {example}`, or name another target file")))
    }

    /// The complaint where `[alarms]` names a target that tells nobody anything.
    pub fn tells_nobody(&self, spec: &TargetSpec, named: &Place) -> Option<Diagnostic> {
        let message = format!("[alarms] names [targets.{}], and its target file is of kind `{}`", spec.name, self.kind.name());
        let remedy = "name a target whose file is of kind `notify`, such as `connectors/targets/notify.yaml`";
        (self.kind != TargetKind::Notify).then(|| Diagnostic::error(MISPLACED, named.clone(), message, remedy))
    }

    /// The complaint where what the configuration says about notices does not fit the file or the address.
    fn bad_notice(&self, spec: &TargetSpec, named: &Place) -> Option<Diagnostic> {
        let by_mail = matches!(&spec.place, TargetPlace::Service(service) if service.is_mail());
        let (what, remedy) = match (self.kind, by_mail, &spec.notice.mail) {
            (TargetKind::Notify, true, None) => ("a mail server is its address, and nobody gets the mails", "add `from` and `to`"),
            (TargetKind::Notify, false, Some(_)) => {
                ("`from` and `to` belong to mails, and its address is a web address", "remove them, or write `url = \"smtp://HOST:587\"`")
            }
            (TargetKind::Notify, ..) => return None,
            (_, true, _) => ("a mail server is its address, and only kind `notify` sends mails", "write the service's address"),
            _ if spec.notice != NoticeSpec::default() => (
                "`signing_key`, `from`, `to`, `digest`, `digest_minutes` and `quiet_hours` belong to kind `notify`",
                "remove them, or name a target file of kind `notify`",
            ),
            _ => return None,
        };
        Some(Diagnostic::error(MISPLACED, named.clone(), format!("[targets.{}]: {what}", spec.name), remedy))
    }

    /// The complaint where the login of the configuration is none that this file can use.
    fn bad_login(&self, spec: &TargetSpec, service: &ServiceSpec, named: &Place) -> Option<Diagnostic> {
        let session = self.soap.as_ref().and_then(|soap| soap.session.as_ref());
        let (what, remedy) = match (self.kind, service.auth) {
            (TargetKind::Http, Some(auth @ (Auth::WsseText | Auth::WsseDigest | Auth::Session))) => (
                format!("`auth = \"{}\"` belongs to kind `soap`", auth.name()),
                "remove `auth`, or write `basic`, `ntlm` or `negotiate`".to_owned(),
            ),
            (TargetKind::Notify, Some(auth)) if auth != Auth::Basic => {
                (format!("`auth = \"{}\"` is no login of a notice", auth.name()), "remove `auth`".to_owned())
            }
            (TargetKind::Notify, None) if service.is_mail() && !matches!(service.login, Login::None | Login::Basic { .. }) => {
                ("a mail server takes a user and a password".to_owned(), "write `user` and `password`".to_owned())
            }
            (TargetKind::Soap, Some(Auth::Session)) if session.is_none() => (
                "the target file has no login operation".to_owned(),
                "add `soap: session` to the target file, or write another `auth`".to_owned(),
            ),
            (_, Some(auth)) if !auth.is_built() => (
                format!("this Kith was built without `{}`", auth.name()),
                format!(
                    "build it with `--features {}`, use a gateway that speaks it, or HTTP Basic over TLS",
                    auth.feature().unwrap_or_default()
                ),
            ),
            (_, Some(Auth::Ntlm)) if !matches!(service.login, Login::Basic { .. }) => {
                ("NTLM needs a user and a password".to_owned(), "add `user` (`DOMAIN\\\\name`) and `password`".to_owned())
            }
            (_, Some(Auth::Negotiate)) if service.login != Login::None => (
                "`auth = \"negotiate\"` takes the tickets of the system, and no other login".to_owned(),
                "remove it; give the service a keytab by the environment variable KRB5_CLIENT_KTNAME".to_owned(),
            ),
            (TargetKind::Soap, None | Some(Auth::Session)) if session.is_some() && !matches!(service.login, Login::Basic { .. }) => {
                ("the login operation of the target file needs a user and a password".to_owned(), "add `user` and `password`".to_owned())
            }
            _ => return None,
        };
        Some(Diagnostic::error(MISPLACED, named.clone(), format!("[targets.{}]: {what}", spec.name), remedy))
    }

    /// An operation by its id.
    pub fn operation(&self, id: &str) -> Option<&Operation> {
        self.operations.iter().find(|o| &*o.id.0 == id)
    }
}
