//! The shipped connector for Bluesky against Bluesky's own servers (`@atproto/dev-env`: directory, personal data server, `AppView`), which nobody here
//! wrote: `.ci/run --full` installs them; `KITH_TEST_BLUESKY` names the folder with their `node_modules`.

use crate::networks::{counted, project};
use crate::support::{free_port, have, root, wait_for};
use serde_json::{Value as Json, json};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

/// A server that ends with its test.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        _ = self.0.kill();
        _ = self.0.wait();
    }
}

/// The network, with the databases under it.
struct Network {
    answers: BufReader<ChildStdout>,
    node: Child,
    base: String,
    _databases: [Ended; 2],
    folder: tempfile::TempDir,
}

impl Network {
    /// `None`, said loudly, where it is not installed.
    fn start() -> Option<Self> {
        let folder = std::env::var_os("KITH_TEST_BLUESKY").map_or_else(|| std::env::temp_dir().join("kith-bluesky"), PathBuf::from);
        if !folder.join("node_modules/@atproto/dev-env").is_dir() {
            assert!(std::env::var_os("KITH_TEST_FULL").is_none(), "no @atproto/dev-env in {}", folder.display());
            let folder = folder.display();
            eprintln!("SKIPPED: Bluesky's servers are not installed (npm install --prefix {folder} @atproto/dev-env@0.3.215)");
            return None;
        }
        let postgres = newest_postgres();
        if !have("redis-server") || !have("node") || postgres.is_none() {
            eprintln!("SKIPPED: Bluesky's servers need node, redis-server and PostgreSQL");
            return None;
        }
        let data = tempfile::tempdir().unwrap();
        let (database, database_port) = postgres_in(&postgres?, data.path());
        let redis_port = free_port();
        let redis = Command::new("redis-server")
            .args(["--bind", "127.0.0.1", "--save", "", "--port", &redis_port.to_string(), "--dir"])
            .arg(data.path())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let databases = [database, Ended(redis)];
        assert!((0..6).any(|_| wait_for(database_port)) && (0..6).any(|_| wait_for(redis_port)), "the databases do not listen");
        let mut node = Command::new("node")
            .arg(root().join("tests/support/bluesky_network.js"))
            .arg(&folder)
            .args([database_port, redis_port].map(|port| port.to_string()))
            .env("LOG_ENABLED", "false")
            .env("NODE_ENV", "test")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(std::fs::File::create(data.path().join("network.log")).unwrap())
            .spawn()
            .unwrap();
        let answers = BufReader::new(node.stdout.take().unwrap());
        let mut network = Self { answers, node, base: String::new(), _databases: databases, folder: data };
        let said = network.answer();
        said["server"].as_str().unwrap().clone_into(&mut network.base);
        Some(network)
    }

    fn answer(&mut self) -> Json {
        let mut line = String::new();
        self.answers.read_line(&mut line).unwrap();
        let log = || std::fs::read_to_string(self.folder.path().join("network.log")).unwrap_or_default();
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}\n{}", log()))
    }

    fn ask<const N: usize>(&mut self, command: [&str; N]) -> Json {
        writeln!(self.node.stdin.as_ref().unwrap(), "{}", json!(&command[..])).unwrap();
        self.answer()
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        _ = self.node.kill();
        _ = self.node.wait();
    }
}

fn newest_postgres() -> Option<PathBuf> {
    let mut all: Vec<PathBuf> = std::fs::read_dir("/usr/lib/postgresql").ok()?.flatten().map(|entry| entry.path().join("bin")).collect();
    all.sort();
    all.into_iter().rfind(|bin| bin.join("initdb").is_file())
}

/// PostgreSQL refuses to run as root: then it runs as its own account.
fn as_nobody_in_charge(program: &Path) -> Command {
    let root = Command::new("id").arg("-u").output().is_ok_and(|out| out.stdout.trim_ascii() == b"0");
    if !root {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid", "postgres", "--regid", "postgres", "--clear-groups"]).arg(program);
    command
}

fn postgres_in(bin: &Path, folder: &Path) -> (Ended, u16) {
    let data = folder.join("postgres");
    std::fs::create_dir(&data).unwrap();
    assert!(Command::new("chmod").arg("755").arg(folder).status().unwrap().success());
    // Where there is no such account, nobody here is root either.
    _ = Command::new("chown").arg("postgres").arg(&data).stderr(Stdio::null()).status();
    let made = as_nobody_in_charge(&bin.join("initdb"))
        .args(["-A", "trust", "-U", "postgres", "-D"])
        .arg(&data)
        .current_dir("/")
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let port = free_port();
    let server = as_nobody_in_charge(&bin.join("postgres"))
        .args(["-c", "listen_addresses=127.0.0.1", "-c", "fsync=off", "-p", &port.to_string(), "-k"])
        .arg(&data)
        .arg("-D")
        .arg(&data)
        .current_dir("/")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    (Ended(server), port)
}

#[test]
fn what_is_said_on_blueskys_own_servers_is_received_once() {
    let Some(mut network) = Network::start() else { return };
    let shop = network.ask(["account", "roastery"]);
    for name in ["ada", "bob", "eve"] {
        network.ask(["account", name]);
    }
    network.ask(["profile", "ada", "Ada Lovelace", "mathematics"]);
    network.ask(["post", "roastery", "we are open"]);
    // More than one page of each stream.
    for n in 0..110 {
        network.ask(["mention", "ada", &format!("where is my order {n}?")]);
    }
    network.ask(["reply", "bob", "so are we"]);
    network.ask(["quote", "bob", "look at these"]);
    network.ask(["like", "bob"]);
    network.ask(["post", "bob", "nothing to do with anybody"]);
    // Who blocks the account is no fault, and hides nobody else.
    network.ask(["post", "eve", "an order of mine"]);
    network.ask(["block", "eve"]);
    network.ask(["caught-up"]);

    let settings = json!({
        "server": network.base, "identifier": shop["handle"], "app_password": shop["app_password"],
        "queries": ["order"], "accounts": ["bob.test", "eve.test"], "start_date": "2020-01-01"
    });
    let project = project(&root().join("connectors/sources/bluesky.yaml").display().to_string(), &settings);
    project.kith(&["check"]).ok();
    let first = project.kith(&["run", "--once"]).ok();
    // The mentions (which the search finds too), the answer, the quotation, and bob's third post; a like says nothing.
    assert_eq!(counted(&project), (113, 0, 0), "{}", first.stdout);
    project.kith(&["run", "--once"]).ok();
    assert_eq!(counted(&project).0, 113, "nothing new is nothing received");

    network.ask(["mention", "eve", "I take it back"]);
    network.ask(["mention", "bob", "and mine?"]);
    network.ask(["post", "bob", "good morning"]);
    network.ask(["caught-up"]);
    let last = project.kith(&["run", "--once"]).ok();
    // Of whom the account can't see nothing comes.
    assert_eq!(counted(&project), (115, 0, 0), "{}", last.stdout);

    // What was deleted no stream says: it is looked up, 25 at a time.
    network.ask(["delete", "bob"]);
    network.ask(["caught-up"]);
    project.kith(&["run", "--once"]).ok();
    assert_eq!(counted(&project).0, 115);
    crate::looked_up::ask(&project, "posts_looked_up");
    let told = crate::looked_up::asked(&project);
    assert!(told.as_str().unwrap().starts_with("115 asked about, 1 gone, 1 deleted"), "{told}");
    assert_eq!(counted(&project), (116, 0, 0));

    // A password that is taken back is told as one, and by its code.
    project.write("settings.json", settings.to_string().replace(shop["app_password"].as_str().unwrap(), "wrong"));
    let refused = project.kith(&["run", "--once"]);
    assert_ne!(refused.code, Some(0));
    assert!(refused.stderr.contains("KITH-N") && !refused.stderr.contains("wrong"), "{}", refused.stderr);
}
