//! Servers of SOAP stacks that nobody here wrote, from one WSDL: PHP's `SoapServer`, node `soap`, JAX-WS RI, gSOAP; and Apache Axis 1.4 with a
//! WSDL of its own.

use super::{free_port, have, root, wait_for};
use serde_json::Value as Json;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

/// A stack.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stack {
    Php,
    Node,
    JaxWs,
    /// C; with `KITH_TEST_FULL`.
    Gsoap,
    /// rpc/encoded, by the WSDL that it makes itself; with `KITH_TEST_FULL`.
    Axis,
}

/// Stopped when dropped.
pub struct Server {
    pub stack: Stack,
    pub port: u16,
    pub dir: tempfile::TempDir,
    child: Child,
}

fn folder() -> PathBuf {
    root().join("tests/support/soap/stacks")
}

fn built(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name)
}

fn ran(command: &mut Command) -> bool {
    let output = command.stdin(Stdio::null()).output();
    let done = output.as_ref().is_ok_and(|output| output.status.success());
    if !done {
        eprintln!("SKIPPED: {command:?}: {output:?}");
        assert!(std::env::var_os("CI").is_none(), "{command:?} failed, and CI needs it");
    }
    done
}

/// node's `soap`, installed once.
fn node_soap() -> Option<PathBuf> {
    static PLACE: OnceLock<Option<PathBuf>> = OnceLock::new();
    PLACE
        .get_or_init(|| {
            if !have("node") || !have("npm") {
                return None;
            }
            let place = built("soap-node");
            if !place.join("node_modules/soap").exists() {
                std::fs::create_dir_all(&place).unwrap();
                let install = ["install", "--no-audit", "--no-fund", "--silent", "--prefix", ".", "soap@1.13.0"];
                if !ran(Command::new("npm").current_dir(&place).args(install)) {
                    return None;
                }
            }
            Some(place)
        })
        .clone()
}

/// Only the long run of CI has these.
fn full(tools: &[&str]) -> bool {
    if std::env::var_os("KITH_TEST_FULL").is_none() {
        eprintln!("SKIPPED: a slow stack; KITH_TEST_FULL=1 runs it");
        return false;
    }
    tools.iter().all(|tool| have(tool))
}

/// The gSOAP server, compiled once.
fn gsoap() -> Option<PathBuf> {
    static PLACE: OnceLock<Option<PathBuf>> = OnceLock::new();
    PLACE
        .get_or_init(|| {
            if !full(&["wsdl2h", "soapcpp2", "cc"]) {
                return None;
            }
            let place = built("soap-gsoap");
            if place.join("gsoap").exists() {
                return Some(place);
            }
            let making = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
            for name in ["stack.wsdl", "gsoap.c"] {
                std::fs::copy(folder().join(name), making.path().join(name)).unwrap();
            }
            let import =
                ["/usr/share/gsoap/import", "/usr/include/gsoap/import"].into_iter().find(|path| std::path::Path::new(path).exists());
            let steps: [(&str, &[&str]); 3] = [
                ("wsdl2h", &["-c", "-o", "stack.h", "stack.wsdl"]),
                ("soapcpp2", &["-c", "-S", "-L", "-x", "-I", import.unwrap_or("."), "stack.h"]),
                ("cc", &["-O1", "-w", "-o", "gsoap", "gsoap.c", "soapC.c", "soapServer.c", "-lgsoap"]),
            ];
            if !steps.iter().all(|(tool, arguments)| ran(Command::new(tool).current_dir(making.path()).args(*arguments))) {
                return None;
            }
            drop(std::fs::remove_dir_all(&place));
            std::fs::rename(making.keep(), &place).unwrap();
            Some(place)
        })
        .clone()
}

/// The Axis server, compiled once, and its class path.
fn axis() -> Option<(PathBuf, String)> {
    static PLACE: OnceLock<Option<(PathBuf, String)>> = OnceLock::new();
    PLACE
        .get_or_init(|| {
            if !full(&["javac"]) {
                return None;
            }
            let own = ["axis.jar", "axis-jaxrpc.jar", "axis-saaj.jar"].map(|jar| format!("/usr/share/java/{jar}")).join(":");
            let path = format!(".:{own}:{}", class_path());
            let place = built("soap-axis");
            if place.join("Legacy.class").exists() {
                return Some((place, path));
            }
            let making = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
            std::fs::copy(folder().join("legacy.wsdd"), making.path().join("server-config.wsdd")).unwrap();
            let mut compile = Command::new("javac");
            compile.current_dir(making.path()).args(["--release", "8", "-nowarn", "-g", "-d", ".", "-cp", &path]);
            if !ran(compile.arg(folder().join("Legacy.java"))) {
                return None;
            }
            drop(std::fs::remove_dir_all(&place));
            std::fs::rename(making.keep(), &place).unwrap();
            Some((place, path))
        })
        .clone()
}

/// Every jar of the system but those of Axis, which bring classes of their own under the same names.
fn class_path() -> String {
    let jars = std::fs::read_dir("/usr/share/java").into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path()));
    let fits = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        path.extension().is_some_and(|kind| kind == "jar") && !name.starts_with("axis")
    };
    let mut jars: Vec<String> = jars.filter(fits).map(|path| path.display().to_string()).collect();
    jars.sort();
    jars.join(":")
}

/// The JAX-WS server, compiled once.
fn jaxws() -> Option<PathBuf> {
    static PLACE: OnceLock<Option<PathBuf>> = OnceLock::new();
    PLACE
        .get_or_init(|| {
            if !have("wsimport") || !have("javac") {
                return None;
            }
            let place = built("soap-jaxws");
            if place.join("Stack.class").exists() {
                return Some(place);
            }
            let making = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
            let wsdl = making.path().join("META-INF/wsdl");
            std::fs::create_dir_all(&wsdl).unwrap();
            std::fs::copy(folder().join("stack.wsdl"), wsdl.join("stack.wsdl")).unwrap();
            let import =
                ["-keep", "-quiet", "-Xnocompile", "-p", "stack", "-wsdllocation", "META-INF/wsdl/stack.wsdl", "META-INF/wsdl/stack.wsdl"];
            if !ran(Command::new("wsimport").current_dir(making.path()).args(import)) {
                return None;
            }
            let mut sources: Vec<PathBuf> =
                std::fs::read_dir(making.path().join("stack")).unwrap().map(|entry| entry.unwrap().path()).collect();
            sources.push(folder().join("Stack.java"));
            if !ran(Command::new("javac").current_dir(making.path()).args(["-nowarn", "-d", ".", "-cp", &class_path()]).args(&sources)) {
                return None;
            }
            drop(std::fs::remove_dir_all(&place));
            std::fs::rename(making.keep(), &place).unwrap();
            Some(place)
        })
        .clone()
}

impl Server {
    /// `None`, said loudly, where it is not installed.
    pub fn start(stack: Stack) -> Option<Self> {
        Self::with_clock(stack, 0)
    }

    /// With a clock that is so many seconds ahead; node only.
    pub fn with_clock(stack: Stack, ahead: i64) -> Option<Self> {
        let (dir, port) = (tempfile::tempdir().unwrap(), free_port());
        let mut command = match stack {
            Stack::Php => {
                if !have("php") {
                    return None;
                }
                let mut command = Command::new("php");
                command.args(["-S", &format!("127.0.0.1:{port}")]).arg(folder().join("php.php")).env("PHP_CLI_SERVER_WORKERS", "4");
                command
            }
            Stack::Node => {
                let place = node_soap()?;
                let mut command = Command::new("node");
                command.arg(folder().join("node.js")).arg(place).arg(port.to_string()).arg(ahead.to_string());
                command
            }
            Stack::JaxWs => {
                let place = jaxws()?;
                let mut command = Command::new("java");
                let path = format!("{}:{}", place.display(), class_path());
                command.args(["-Xmx96m", "-XX:+UseSerialGC", "-cp", &path, "Stack", &port.to_string()]).current_dir(place);
                command
            }
            Stack::Gsoap => {
                let mut command = Command::new(gsoap()?.join("gsoap"));
                command.arg(port.to_string());
                command
            }
            Stack::Axis => {
                let (place, path) = axis()?;
                let mut command = Command::new("java");
                command.args(["-Xmx96m", "-XX:+UseSerialGC", "-cp", &path, "Legacy", &port.to_string()]).current_dir(place);
                command
            }
        };
        let log = std::fs::File::create(dir.path().join("log")).unwrap();
        let child =
            command.env("KITH_STORE", dir.path()).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).process_group(0).spawn().unwrap();
        let server = Self { stack, port, dir, child };
        // A Java machine on a busy computer takes its time.
        assert!((0..4).any(|_| wait_for(port)), "{stack:?} does not start:\n{}", server.log());
        if stack == Stack::JaxWs {
            // The second endpoint comes after the first.
            let url = format!("http://127.0.0.1:{port}/crm12?wsdl");
            assert!(
                (0..200).any(|_| {
                    std::thread::sleep(std::time::Duration::from_millis(100));
                    Command::new("curl").args(["-sf", "-o", "/dev/null", &url]).status().is_ok_and(|s| s.success())
                }),
                "{}",
                server.log()
            );
        }
        Some(server)
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// PHP: everything that it holds.
    pub fn store(&self) -> Json {
        std::fs::read(self.dir.path().join("store.json")).map_or(Json::Null, |text| serde_json::from_slice(&text).unwrap())
    }

    /// PHP: the sessions end.
    pub fn end_sessions(&self) {
        let mut store = self.store();
        store["sessions"] = serde_json::json!([]);
        std::fs::write(self.dir.path().join("store.json"), store.to_string()).unwrap();
    }
}

impl Drop for Server {
    /// PHP's workers are children of its first process: the whole group is ended, which is the server's own.
    fn drop(&mut self) {
        let group = i32::try_from(self.child.id()).ok().and_then(rustix::process::Pid::from_raw);
        if let Some(group) = group {
            let _ended = rustix::process::kill_process_group(group, rustix::process::Signal::TERM);
        }
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

use std::os::unix::process::CommandExt as _;
