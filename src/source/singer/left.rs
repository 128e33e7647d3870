//! A tap that outlived a service which was killed: found by its number and the moment at which it was started, and ended.

use rustix::process::{Pid, Signal, kill_process_group};
use std::fs;
use std::path::Path;

/// The file that says which process runs.
pub const MARK: &str = "running";

/// A process's number and the moment of its start (field 22 of `/proc/PID/stat`, proc(5)): together no other process has them until the
/// machine starts anew. `None` where the system does not tell.
pub fn mark(pid: i32) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second field, the program's name, may hold anything; it ends with the last parenthesis.
    let (_, rest) = stat.rsplit_once(')')?;
    let started = rest.split_whitespace().nth(19)?;
    Some(format!("{pid} {started}"))
}

/// Ends the group of the process that a folder names, where it runs still.
pub fn end_what_runs(folder: &Path) {
    let Ok(written) = fs::read_to_string(folder.join(MARK)) else { return };
    let Some(pid) = written.split(' ').next().and_then(|pid| pid.parse().ok()) else { return };
    if mark(pid).as_deref() != Some(written.as_str()) {
        return;
    }
    if let Some(pid) = Pid::from_raw(pid) {
        // It is the leader of its group. Gone meanwhile is as good.
        _ = kill_process_group(pid, Signal::KILL);
        tracing::warn!("a tap of a service that was killed ran still, and was ended");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::process::CommandExt as _;
    use std::process::Command;

    #[test]
    fn the_process_of_the_mark_is_ended_and_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let mut child = Command::new("sleep").arg("600").process_group(0).spawn().unwrap();
        let pid = i32::try_from(child.id()).unwrap();
        let mark = mark(pid).unwrap();
        fs::write(folder.path().join(MARK), format!("{mark}0")).unwrap();
        end_what_runs(folder.path());
        assert!(child.try_wait().unwrap().is_none(), "another moment of start is another process");
        fs::write(folder.path().join(MARK), mark).unwrap();
        end_what_runs(folder.path());
        assert!(!child.wait().unwrap().success());
        fs::write(folder.path().join(MARK), "no mark").unwrap();
        end_what_runs(folder.path());
    }
}
