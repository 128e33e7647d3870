//! `kith connector vendor-wsdl`: a WSDL with all that it imports, fetched once into a folder.

use crate::cli::opened::runtime;
use crate::cli::{Exit, Session};
use crate::declare::config::{Secret, SecretSource};
use crate::diagnose::{Code, Diagnostic, Place};
use crate::wire::http::{Authorization, Client, Connection, Proxy};
use crate::wire::vendored::{self, Document};
use crate::wire::wsdl;
use crate::wire::xml::Limits;
use serde_json::json;
use std::path::{Path, PathBuf};
use std::time::Duration;

const NOT_FETCHED: Code = Code("KITH-C021");
const NOT_EMPTY: Code = Code("KITH-C017");
const NOT_WRITTEN: Code = Code("KITH-C018");
const BAD_ARGUMENT: Code = Code("KITH-C015");

/// Arguments of `connector vendor-wsdl`.
#[derive(clap::Args, Debug)]
pub struct Arguments {
    /// Where the WSDL is: `https://crm.example/service?wsdl`
    #[arg(value_name = "URL")]
    pub url: String,
    /// The folder for it; new or empty
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// The proxy that every request goes through
    #[arg(long, value_name = "URL")]
    pub proxy: Option<String>,
    /// The proxy's user; with --proxy-password-file
    #[arg(long, value_name = "NAME", requires_all = ["proxy", "proxy_password_file"])]
    pub proxy_user: Option<String>,
    /// A file with the proxy's password
    #[arg(long, value_name = "FILE", requires = "proxy_user")]
    pub proxy_password_file: Option<PathBuf>,
    /// PEM certificates that are trusted instead of the system's
    #[arg(long, value_name = "FILE")]
    pub ca_file: Option<PathBuf>,
    /// The user of an HTTP Basic login; with --password-file
    #[arg(long, value_name = "NAME", requires = "password_file")]
    pub user: Option<String>,
    /// A file with that user's password
    #[arg(long, value_name = "FILE", requires = "user")]
    pub password_file: Option<PathBuf>,
    /// Another host that the WSDL may lead to: `schemas.crm.example`, or with its port
    #[arg(long = "allow-host", value_name = "HOST")]
    pub allow_hosts: Vec<String>,
}

pub(super) fn run(arguments: &Arguments, session: &mut Session) -> Exit {
    vendor(arguments, session).unwrap_or_else(|exit| exit)
}

fn problem(session: &mut Session, code: Code, place: String, message: impl Into<String>, remedy: &str) -> Exit {
    session.terminal.problem(&Diagnostic::error(code, Place::Named(place), message, remedy));
    if code == BAD_ARGUMENT || code == NOT_EMPTY { Exit::Wrong } else { Exit::Failed }
}

fn vendor(arguments: &Arguments, session: &mut Session) -> Result<Exit, Exit> {
    let out = &arguments.out;
    let is_empty = std::fs::read_dir(out).map_or(true, |mut entries| entries.next().is_none());
    if !is_empty {
        let remedy = "name a new folder: what is there is not overwritten";
        return Err(problem(session, NOT_EMPTY, out.display().to_string(), "the folder is not empty", remedy));
    }
    let connection = connection(arguments, session)?;
    let authorization =
        match (&arguments.user, &arguments.password_file) {
            (Some(user), Some(file)) => {
                let secret = secret(file, session)?;
                Some(Authorization::basic(user, &secret).map_err(|error| {
                    problem(session, BAD_ARGUMENT, "argument --user".into(), error.to_string(), "check user and password")
                })?)
            }
            _ => None,
        };
    let runtime = runtime(session)?;
    let fetched = match Client::new(&connection) {
        Ok(client) => runtime.block_on(vendored::fetch(&client, &arguments.url, &arguments.allow_hosts, authorization)),
        Err(error) => {
            return Err(problem(session, NOT_FETCHED, arguments.url.clone(), error.to_string(), "check --ca-file and --proxy"));
        }
    };
    let documents = fetched.map_err(|error| {
        let remedy = "check the address, --proxy, --ca-file and the login; name further hosts with --allow-host where they may be asked";
        problem(session, NOT_FETCHED, arguments.url.clone(), error.to_string(), remedy)
    })?;
    write(out, &documents).map_err(|error| {
        problem(
            session,
            NOT_WRITTEN,
            out.display().to_string(),
            format!("a file can't be written: {error}"),
            "check the rights and the disk",
        )
    })?;
    // Read as a target would read it: what is missing shows here, not in production.
    let entry = documents.first().map(|document| out.join(&document.name)).unwrap_or_default();
    let checked = wsdl::load(&entry);
    session.terminal.problems(&checked.problems);
    let names: Vec<&str> = documents.iter().map(|document| document.name.as_str()).collect();
    if session.terminal.is_json() {
        session.terminal.json(&json!({ "folder": out.display().to_string(), "files": names, "problems": checked.problems.to_json() }));
    } else {
        for document in &documents {
            session.terminal.data(&format!("  {:<32}{}", document.name, document.from));
        }
        for service in checked.value.iter().flat_map(|contract| &contract.services) {
            for port in &service.ports {
                let count = port.operations.len();
                session.terminal.data(&format!("service {}, port {}, {}: {count} operations", service.name, port.name, port.version));
            }
        }
    }
    session.terminal.note("name it in the target file: soap: { wsdl: … }");
    Ok(if checked.problems.has_errors() { Exit::Wrong } else { Exit::Fine })
}

fn secret(file: &Path, session: &mut Session) -> Result<Secret, Exit> {
    session.environment.secret(&SecretSource::File(file.to_owned())).map_err(|problem| {
        session.terminal.problem(&problem);
        Exit::Failed
    })
}

fn connection(arguments: &Arguments, session: &mut Session) -> Result<Connection, Exit> {
    let login = match (&arguments.proxy_user, &arguments.proxy_password_file) {
        (Some(user), Some(file)) => Some((user.clone(), secret(file, session)?)),
        _ => None,
    };
    let proxy = arguments.proxy.as_ref().map(|url| Proxy { url: url.clone(), login });
    let tls = arguments.url.starts_with("https:") || arguments.proxy.as_ref().is_some_and(|url| url.starts_with("https:"));
    Ok(Connection {
        ca_file: arguments.ca_file.clone(),
        proxy,
        connect: Duration::from_secs(10),
        whole: Duration::from_mins(2),
        // Another host may be https where the first is not.
        tls: tls || !arguments.allow_hosts.is_empty(),
        certificate: None,
        longest_body: Limits::CONTRACT.bytes,
    })
}

fn write(folder: &Path, documents: &[Document]) -> std::io::Result<()> {
    std::fs::create_dir_all(folder)?;
    for document in documents {
        std::fs::write(folder.join(&document.name), &document.text)?;
    }
    Ok(())
}
