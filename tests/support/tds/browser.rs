//! SQL Server Browser ([MC-SQLR]): tells over UDP on which port a named instance listens.

use std::net::UdpSocket;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Stopped when dropped.
pub struct Browser {
    pub port: u16,
    stop: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Browser {
    /// Knows one instance.
    pub fn start(instance: &str, tcp_port: u16) -> Self {
        Self::on(UdpSocket::bind("127.0.0.1:0").unwrap(), instance, tcp_port)
    }

    /// At the browser's own port, where clients look; `None` where somebody else has it.
    pub fn at_its_port(instance: &str, tcp_port: u16) -> Option<Self> {
        Some(Self::on(UdpSocket::bind("127.0.0.1:1434").ok()?, instance, tcp_port))
    }

    fn on(socket: UdpSocket, instance: &str, tcp_port: u16) -> Self {
        socket.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        let port = socket.local_addr().unwrap().port();
        let stop = Arc::new(AtomicBool::new(false));
        let (stopped, instance) = (stop.clone(), instance.to_owned());
        let thread = std::thread::spawn(move || {
            let mut buffer = [0_u8; 256];
            while !stopped.load(Ordering::SeqCst) {
                let Ok((length, client)) = socket.recv_from(&mut buffer) else { continue };
                let Some((0x02..=0x04, name)) = buffer[..length].split_first().map(|(kind, name)| (*kind, name)) else { continue };
                let name = String::from_utf8_lossy(name).trim_end_matches('\0').to_owned();
                if !name.is_empty() && !name.eq_ignore_ascii_case(&instance) {
                    continue;
                }
                let text = format!(
                    "ServerName;{};InstanceName;{instance};IsClustered;No;Version;16.0.1000.6;tcp;{tcp_port};;",
                    super::tokens::SERVER
                );
                let mut answer = vec![0x05];
                answer.extend((text.len() as u16).to_le_bytes());
                answer.extend(text.bytes());
                if socket.send_to(&answer, client).is_err() {
                    eprintln!("the SQL Browser double could not answer");
                }
            }
        });
        Self { port, stop, thread: Some(thread) }
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            eprintln!("the SQL Browser double panicked");
        }
    }
}
