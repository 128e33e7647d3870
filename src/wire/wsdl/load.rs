//! A WSDL from a file or folder: the documents of its folder, bounded, and nothing from elsewhere.

use super::contract::Contract;
use super::definitions::read_as;
use super::documents::WSDL;
use crate::diagnose::{Checked, Code, Diagnostic, Place, Problems};
use crate::wire::xml::{self, Limits};
use std::collections::BTreeMap;
use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};

/// Documents of one contract: the largest that vendors publish come in about 150.
const MOST_FILES: usize = 500;
/// Bytes of all of them together; parsed they take about ten times as much.
const MOST_BYTES: usize = 48 << 20;
/// Folders within the folder.
const DEPTH: usize = 8;
/// Files and folders that are looked at, those of other kinds among them.
const MOST_ENTRIES: usize = 20_000;
/// Endings of the files that are read.
const ENDINGS: &[&str] = &["wsdl", "xsd", "xml", "asmx", "svc"];

/// Loads a contract from a WSDL file, or from a folder that holds one WSDL with `service` in it. The other documents are looked for in the
/// file's folder and the folders in it.
///
/// # Errors
/// Told as problems: see [`super::read`].
pub fn load(path: &Path) -> Checked<Contract> {
    let fail = |place: &Path, message: String, remedy: &str| {
        let diagnostic = Diagnostic::error(Code("KITH-W001"), Place::Path(place.display().to_string()), message, remedy);
        Checked::new(None, Problems::from(diagnostic))
    };
    let is_folder = match fs::metadata(path) {
        Ok(metadata) => metadata.is_dir(),
        Err(error) => {
            return fail(path, format!("the WSDL can't be read: {error}"), "Write the path of a WSDL file, or of a folder with one");
        }
    };
    let parent = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let folder = if is_folder { path } else { parent };
    let mut found = Found::default();
    if let Err((place, message)) = found.folder(folder, "", 0) {
        return fail(&place, message, "Put the WSDL and what it imports into a folder of their own");
    }
    let entry = if is_folder {
        match found.only_wsdl() {
            Ok(entry) => entry,
            Err(message) => return fail(path, message, "Name the WSDL file itself"),
        }
    } else {
        let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        // By name alone where its ending is none of those that are read.
        if !found.files.contains_key(&name)
            && let Err((place, message)) = found.file(path, name.clone())
        {
            return fail(&place, message, "Name a WSDL that can be read, and is not too large");
        }
        name
    };
    // Places name files as the user would.
    read_as(&found.files, &entry, &|name| folder.join(name).display().to_string())
}

#[derive(Default)]
struct Found {
    files: BTreeMap<String, Vec<u8>>,
    bytes: usize,
    entries: usize,
}

type Failed = (PathBuf, String);

impl Found {
    fn folder(&mut self, folder: &Path, prefix: &str, depth: usize) -> Result<(), Failed> {
        let unreadable = |error: std::io::Error| (folder.to_owned(), format!("the folder can't be read: {error}"));
        for entry in fs::read_dir(folder).map_err(unreadable)? {
            let entry = entry.map_err(unreadable)?;
            self.entries += 1;
            if self.entries > MOST_ENTRIES {
                return Err((folder.to_owned(), format!("there are more than {MOST_ENTRIES} files and folders beside the WSDL")));
            }
            let path = entry.path();
            let name = entry.file_name().to_string_lossy().into_owned();
            // Links are not followed: they may lead round in a circle, and out of the folder.
            let kind = entry.file_type().map_err(unreadable)?;
            if kind.is_dir() && depth < DEPTH && !name.starts_with('.') {
                self.folder(&path, &format!("{prefix}{name}/"), depth + 1)?;
            } else if kind.is_file() && path.extension().is_some_and(|e| ENDINGS.iter().any(|known| e.eq_ignore_ascii_case(known))) {
                self.file(&path, format!("{prefix}{name}"))?;
            }
        }
        Ok(())
    }

    fn file(&mut self, path: &Path, name: String) -> Result<(), Failed> {
        let failed = |message: String| (path.to_owned(), message);
        if self.files.len() >= MOST_FILES {
            return Err(failed(format!("there are more than {MOST_FILES} documents beside the WSDL")));
        }
        let most = u64::try_from(Limits::CONTRACT.bytes).unwrap_or(u64::MAX).saturating_add(1);
        let mut bytes = Vec::new();
        let file = fs::File::open(path).map_err(|error| failed(format!("it can't be read: {error}")))?;
        file.take(most).read_to_end(&mut bytes).map_err(|error| failed(format!("it can't be read: {error}")))?;
        self.bytes += bytes.len();
        if self.bytes > MOST_BYTES {
            return Err(failed(format!("the documents beside the WSDL are larger than {} MiB together", MOST_BYTES >> 20)));
        }
        self.files.insert(name, bytes);
        Ok(())
    }

    /// The one document that has a `service`.
    fn only_wsdl(&self) -> Result<String, String> {
        let has_service = |bytes: &[u8]| {
            xml::read(bytes, None, &Limits::CONTRACT)
                .is_ok_and(|root| root.name.is(WSDL, "definitions") && root.child(WSDL, "service").is_some())
        };
        let found: Vec<&String> = self.files.iter().filter(|(_, bytes)| has_service(bytes)).map(|(name, _)| name).collect();
        match found.as_slice() {
            [one] => Ok((*one).clone()),
            [] => Err("no document in the folder is a WSDL with a `service`".to_owned()),
            several => Err(format!("{} documents in the folder are WSDLs with a `service`", several.len())),
        }
    }
}
