//! rsyslog of Debian.

use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};

use crate::agent::wait_until;
use crate::folder::Folder;

/// A running rsyslog. Dropping it ends it.
pub struct Rsyslog(Child);

impl Drop for Rsyslog {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Rsyslog {
    /// Starts it with these rules, beside a server for messages at this address, and waits until it listens.
    pub fn start(folder: &Folder, name: &str, address: SocketAddr, rules: &str) -> Self {
        let config = folder.path(format!("{name}.conf"));
        let text = format!(
            "global(workDirectory=\"{}\" maxMessageSize=\"64k\")\n\
             module(load=\"imtcp\" MaxSessions=\"50\")\n\
             input(type=\"imtcp\" address=\"127.0.0.1\" port=\"{}\")\n{rules}\n",
            config.parent().unwrap().display(),
            address.port(),
        );
        std::fs::write(&config, text).unwrap();
        let started = Command::new("rsyslogd")
            .env("PATH", format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default()))
            .args(["-n", "-f", config.to_str().unwrap(), "-i", folder.path(format!("{name}.pid")).to_str().unwrap()])
            .stdout(Stdio::null())
            .spawn();
        let child = started.unwrap_or_else(|error| {
            panic!(
                "`rsyslogd` does not start ({error}); install it: apt-get install rsyslog rsyslog-gnutls \
                 rsyslog-elasticsearch"
            )
        });
        let running = Self(child);
        wait_until("rsyslog listens", || TcpStream::connect(address).is_ok());
        running
    }
}
