//! `kith init`: a working sample project, from files that are compiled into the binary.

use super::files::{place, unreadable};
use super::terminal::plural;
use super::{Exit, Session};
use crate::diagnose::{Code, Diagnostic};
use serde_json::json;
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

const NOT_EMPTY: Code = Code("KITH-C017");
const NOT_WRITABLE: Code = Code("KITH-C018");

/// Where the sample data lies in this repository, and in a sample project.
const DATA_HERE: &str = "tests/data/retail/";
const DATA_THERE: &str = "data/";

/// Arguments of `init`.
#[derive(clap::Args, Debug)]
pub struct Arguments {
    /// The folder; made where it is not there, and refused where it holds anything
    #[arg(value_name = "DIR")]
    pub folder: PathBuf,
}

macro_rules! shipped {
    ($($path:literal)+) => {
        /// Path in the repository, and content.
        const SHIPPED: &[(&str, &[u8])] = &[$(($path, include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/", $path)).as_slice()),)+];
    };
}

shipped! {
    "config/CLI.md"
    "config/README.md"
    "config/kith.toml"
    "config/production.example.toml"
    "config/samples/dynamics-onpremises.toml"
    "config/samples/dynamics-onpremises.yaml"
    "config/samples/oracle-crm-on-demand.toml"
    "config/samples/oracle-crm-on-demand.yaml"
    "config/samples/salesforce.toml"
    "config/samples/salesforce.yaml"
    "config/samples/sap-c4c.toml"
    "config/samples/sap-c4c.yaml"
    "config/samples/siebel.toml"
    "config/samples/siebel.yaml"
    "config/samples/soap.toml"
    "config/samples/soap.yaml"
    "config/samples/sugarcrm.toml"
    "config/samples/sugarcrm.yaml"
    "connectors/README.md"
    "connectors/network.schema.json"
    "connectors/networks/bluesky.yaml"
    "connectors/networks/discourse.yaml"
    "connectors/networks/facebook.yaml"
    "connectors/networks/instagram.yaml"
    "connectors/networks/linkedin.yaml"
    "connectors/networks/mastodon.yaml"
    "connectors/networks/x.yaml"
    "connectors/networks/youtube.yaml"
    "connectors/records/helpdesk.yaml"
    "connectors/sources/atom.yaml"
    "connectors/sources/bluesky.yaml"
    "connectors/sources/discourse.yaml"
    "connectors/sources/facebook.yaml"
    "connectors/sources/instagram.yaml"
    "connectors/sources/linkedin.yaml"
    "connectors/sources/mastodon.yaml"
    "connectors/sources/rss.yaml"
    "connectors/sources/x.yaml"
    "connectors/sources/youtube.yaml"
    "connectors/target.schema.json"
    "connectors/targets/dynamics-onpremises.yaml"
    "connectors/targets/http.yaml"
    "connectors/targets/ndjson.yaml"
    "connectors/targets/notify.yaml"
    "connectors/targets/oracle-crm-on-demand-media.yaml"
    "connectors/targets/oracle-crm-on-demand-profile.yaml"
    "connectors/targets/salesforce.yaml"
    "connectors/targets/sap-c4c-activity.yaml"
    "connectors/targets/sap-c4c-profile.yaml"
    "connectors/targets/siebel-service-request.yaml"
    "connectors/targets/siebel-social-media.yaml"
    "connectors/targets/soap.yaml"
    "connectors/targets/sqlite.yaml"
    "connectors/targets/sqlserver.yaml"
    "connectors/targets/sugarcrm.yaml"
    "connectors/wsdl/dynamics-onpremises/OrganizationService.wsdl"
    "connectors/wsdl/dynamics-onpremises/contracts-2011.xsd"
    "connectors/wsdl/dynamics-onpremises/contracts-2012.xsd"
    "connectors/wsdl/dynamics-onpremises/contracts-7.1.xsd"
    "connectors/wsdl/dynamics-onpremises/generic.xsd"
    "connectors/wsdl/dynamics-onpremises/serialization.xsd"
    "connectors/wsdl/dynamics-onpremises/services.xsd"
    "connectors/wsdl/oracle-crm-on-demand/socialmedia.wsdl"
    "connectors/wsdl/oracle-crm-on-demand/socialprofile.wsdl"
    "connectors/wsdl/salesforce/partner.wsdl"
    "connectors/wsdl/sap-c4c/ManageSocialMediaActivityIn.wsdl"
    "connectors/wsdl/sap-c4c/ManageSocialMediaUserProfileIn.wsdl"
    "connectors/wsdl/siebel-service-request/SiebelServiceRequest.wsdl"
    "connectors/wsdl/siebel-social-media/SocialMediaService.wsdl"
    "connectors/wsdl/soap/crm.wsdl"
    "connectors/wsdl/sugarcrm/soap-encoding.xsd"
    "connectors/wsdl/sugarcrm/sugarcrm.wsdl"
    "mappings/README.md"
    "mappings/mapping.schema.json"
    "mappings/models/model.schema.json"
    "mappings/models/retail.yaml"
    "mappings/retail.yaml"
    "tests/data/retail/activities.ndjson.gz"
    "tests/data/retail/customers.csv.gz"
    "tests/data/retail/orders.csv.gz"
    "tests/data/retail/truth.csv.gz"
}

pub(super) fn run(arguments: &Arguments, session: &mut Session) -> Exit {
    let folder = &arguments.folder;
    match write(folder) {
        Ok(written) => {
            let terminal = &mut session.terminal;
            if terminal.is_json() {
                let files: Vec<String> = written.iter().map(|path| path.display().to_string()).collect();
                terminal.json(&json!({ "folder": folder.display().to_string(), "files": files }));
            } else {
                let config = folder.join("config/kith.toml");
                let command = format!("kith --config {}", config.display());
                terminal.data(&format!("{} written into {}", plural(written.len(), "file"), folder.display()));
                terminal.data("\nNext:");
                for (what, why) in [
                    ("check", "every problem of every file"),
                    ("test", "the tests inside the mappings"),
                    ("plan", "what a run would write"),
                    ("run --once", "the run itself"),
                ] {
                    terminal.data(&format!("  {command} {what:<11} # {why}"));
                }
                terminal.data(&format!("Or inside {}, without --config.", folder.display()));
            }
            Exit::Fine
        }
        Err(problem) => {
            session.terminal.problem(&problem);
            if problem.code == NOT_EMPTY { Exit::Wrong } else { Exit::Failed }
        }
    }
}

fn write(folder: &Path) -> Result<Vec<PathBuf>, Diagnostic> {
    match fs::read_dir(folder) {
        Ok(mut entries) => {
            if entries.next().is_some() {
                let remedy = "name a new folder, or an empty one; nothing was written";
                return Err(Diagnostic::error(NOT_EMPTY, place(folder), "the folder is not empty", remedy));
            }
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
            let remedy = "name a new folder, or an empty one; nothing was written";
            return Err(Diagnostic::error(NOT_EMPTY, place(folder), "this is a file, and a folder is wanted", remedy));
        }
        Err(error) => return Err(unreadable(folder, &error)),
    }
    let mut written = Vec::new();
    for (name, content) in SHIPPED {
        let path = folder.join(there(name));
        put(&path, &adapted(name, content)).map_err(|error| {
            let remedy = "check the rights on the folder and the space on its disk, then remove what was written and try again";
            Diagnostic::error(NOT_WRITABLE, place(&path), format!("the file can't be written: {}", error.kind()), remedy)
        })?;
        written.push(path);
    }
    Ok(written)
}

fn put(path: &Path, content: &[u8]) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    // Never over a file that somebody else put there meanwhile.
    fs::File::create_new(path)?.write_all(content)
}

/// The path in a sample project: its data lie in `data/`.
fn there(name: &str) -> String {
    name.strip_prefix(DATA_HERE).map_or_else(|| name.to_owned(), |rest| format!("{DATA_THERE}{rest}"))
}

/// Text that names the data names them where they are there.
fn adapted<'a>(name: &str, content: &'a [u8]) -> std::borrow::Cow<'a, [u8]> {
    match std::str::from_utf8(content) {
        Ok(text) if !name.starts_with(DATA_HERE) && text.contains(DATA_HERE) => text.replace(DATA_HERE, DATA_THERE).into_bytes().into(),
        Ok(_) | Err(_) => content.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(folder: &Path, prefix: &str, into: &mut Vec<String>) {
        let Ok(entries) = fs::read_dir(folder) else { return };
        for entry in entries.map(Result::unwrap) {
            let name = format!("{prefix}{}", entry.file_name().into_string().unwrap());
            if entry.file_type().unwrap().is_dir() {
                files(&entry.path(), &format!("{name}/"), into);
            } else {
                into.push(name);
            }
        }
    }

    #[test]
    fn the_sample_project_holds_every_file_that_operators_and_stewards_write() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut wanted = Vec::new();
        for folder in ["config", "connectors", "mappings", "tests/data/retail"] {
            files(&root.join(folder), &format!("{folder}/"), &mut wanted);
        }
        wanted.sort();
        let shipped: Vec<&str> = SHIPPED.iter().map(|(name, _)| *name).collect();
        assert_eq!(shipped, wanted, "the list in src/cli/init.rs is not what lies in the folders, sorted");
    }

    #[test]
    fn data_lie_in_data_and_are_named_there() {
        assert_eq!(there("tests/data/retail/a.csv.gz"), "data/a.csv.gz");
        assert_eq!(&*adapted("config/kith.toml", b"path = \"tests/data/retail/a.csv.gz\""), b"path = \"data/a.csv.gz\"");
        for (name, content) in SHIPPED.iter().filter(|(name, _)| !name.starts_with(DATA_HERE)) {
            assert!(!String::from_utf8_lossy(&adapted(name, content)).contains("tests/data"), "{name}");
        }
    }
}
