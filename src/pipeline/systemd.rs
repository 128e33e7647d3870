//! What the service manager is told: ready, stopping, alive (`sd_notify(3)`: datagrams to the socket that it names).

use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

/// The service manager, where there is one.
#[derive(Debug, Default)]
pub struct Manager {
    socket: Option<(UnixDatagram, SocketAddr)>,
    watchdog: Option<Duration>,
}

impl Manager {
    /// From the variables `NOTIFY_SOCKET` (a path, or `@` and an abstract name) and `WATCHDOG_USEC` (microseconds).
    ///
    /// # Errors
    /// Where the named socket can't be one.
    pub fn of(notify_socket: Option<&str>, watchdog_usec: Option<&str>) -> io::Result<Self> {
        let Some(name) = notify_socket.filter(|name| !name.is_empty()) else { return Ok(Self::default()) };
        let address = match name.strip_prefix('@') {
            Some(name) => SocketAddr::from_abstract_name(name)?,
            None => SocketAddr::from_pathname(name)?,
        };
        let socket = UnixDatagram::unbound()?;
        // The manager's queue may be full; nobody waits for it.
        socket.set_nonblocking(true)?;
        let watchdog = watchdog_usec.and_then(|text| text.parse().ok()).filter(|usec| *usec > 0).map(Duration::from_micros);
        Ok(Self { socket: Some((socket, address)), watchdog })
    }

    /// How often it wants to hear that the service is alive, halved as `sd_watchdog_enabled(3)` advises.
    pub fn heartbeat(&self) -> Option<Duration> {
        self.watchdog.map(|within| within / 2)
    }

    /// Everything is open; work begins.
    pub fn ready(&self) {
        self.say("READY=1");
    }

    /// The end has begun.
    pub fn stopping(&self) {
        self.say("STOPPING=1");
    }

    /// The service is alive.
    pub fn alive(&self) {
        self.say("WATCHDOG=1");
    }

    fn say(&self, word: &str) {
        if let Some((socket, address)) = &self.socket
            && let Err(error) = socket.send_to_addr(word.as_bytes(), address)
        {
            tracing::debug!(%error, "the service manager does not listen");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_manager_hears_what_it_is_told_at_a_path_and_at_an_abstract_name() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notify");
        let abstract_name = format!("kith-test-{}", std::process::id());
        let sockets = [
            (UnixDatagram::bind(&path).unwrap(), path.display().to_string()),
            (UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&abstract_name).unwrap()).unwrap(), format!("@{abstract_name}")),
        ];
        for (socket, name) in sockets {
            let manager = Manager::of(Some(&name), Some("30000000")).unwrap();
            assert_eq!(manager.heartbeat(), Some(Duration::from_secs(15)));
            manager.ready();
            manager.stopping();
            let mut heard = [0; 64];
            for word in ["READY=1", "STOPPING=1"] {
                let length = socket.recv(&mut heard).unwrap();
                assert_eq!(&heard[..length], word.as_bytes());
            }
        }
    }

    #[test]
    fn without_a_manager_nobody_is_told_anything() {
        let manager = Manager::of(None, Some("1")).unwrap();
        manager.ready();
        assert_eq!(manager.heartbeat(), None);
    }
}
