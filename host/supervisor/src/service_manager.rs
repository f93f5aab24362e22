//! Reports to systemd: ready, reloading, stopping, a line of status, and a watchdog (`sd_notify(3)`).
//!
//! The crate `sd-notify` reads the address of the socket only from the environment of the process, so tests could not use
//! another socket without `unsafe`. The protocol is a datagram of lines.
//!
//! A report that cannot be sent changes nothing about the agent: it is logged once.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::task::JoinHandle;

/// How long a load, a reload or a drain may keep the supervisor from its loop. The limits of the compiler are far below, and
/// an agent that needs longer hangs.
const MAX_STEP: Duration = Duration::from_mins(15);
/// How many times the interval of the watchdog a worker may need for one batch: 15 minutes for the unit of the packages.
/// The calls for one batch and their time are limited far below, unless the operator raises the limits.
const BATCH_INTERVALS: u32 = 15;

/// The service manager that started the agent.
#[derive(Clone)]
pub struct ServiceManager(Option<Arc<Inner>>);

struct Inner {
    socket: UnixDatagram,
    address: SocketAddr,
    /// systemd ends the agent after this time without a sign of life.
    watchdog: Option<Duration>,
    started: Instant,
    /// Milliseconds since `started` until which the supervisor counts as alive.
    alive_until: AtomicU64,
    has_failed: AtomicBool,
    has_stalled: AtomicBool,
}

impl ServiceManager {
    /// The manager that the variables of systemd name: `NOTIFY_SOCKET`, and for the watchdog `WATCHDOG_USEC` and
    /// `WATCHDOG_PID`. Without `NOTIFY_SOCKET` there is no manager, and all reports do nothing.
    ///
    /// # Errors
    ///
    /// The address is not one of a Unix socket, or no socket can be created.
    pub fn from_variables(variable: impl Fn(&str) -> Option<std::ffi::OsString>) -> io::Result<Self> {
        let Some(socket) = variable("NOTIFY_SOCKET").filter(|socket| !socket.is_empty()) else { return Ok(Self(None)) };
        let number = |name| variable(name)?.to_str()?.parse::<u64>().ok();
        let is_ours = number("WATCHDOG_PID").is_none_or(|pid| pid == u64::from(std::process::id()));
        let watchdog = number("WATCHDOG_USEC").filter(|usec| is_ours && *usec > 0).map(Duration::from_micros);
        let inner = Inner {
            socket: UnixDatagram::unbound()?,
            address: address(&socket)?,
            watchdog,
            started: Instant::now(),
            alive_until: AtomicU64::new(0),
            has_failed: AtomicBool::new(false),
            has_stalled: AtomicBool::new(false),
        };
        // A manager that does not read must not make the agent wait.
        inner.socket.set_nonblocking(true)?;
        Ok(Self(Some(Arc::new(inner))))
    }

    /// The configuration is loaded and the topology runs. `status` is one line.
    pub(crate) fn ready(&self, status: &str) {
        self.send(&format!("READY=1\nSTATUS={}", line(status)));
    }

    /// A reload begins; [`Self::ready`] ends it.
    pub(crate) fn reloading(&self) {
        let mut report = "RELOADING=1\nSTATUS=reloading the configuration".to_owned();
        let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
        // Later versions of systemd compare it with the time at which they asked for the reload.
        let _ = write!(report, "\nMONOTONIC_USEC={}", now.tv_sec * 1_000_000 + now.tv_nsec / 1000);
        self.send(&report);
        self.alive_for(MAX_STEP);
    }

    /// The drain begins.
    pub(crate) fn stopping(&self) {
        self.send("STOPPING=1\nSTATUS=delivering what is under way");
        self.alive_for(MAX_STEP);
    }

    /// How often the loop of the supervisor must call [`Self::beat`]; `None` without a watchdog.
    pub(crate) fn beat_interval(&self) -> Option<Duration> {
        self.0.as_ref()?.watchdog.map(|watchdog| watchdog / 4)
    }

    /// The loop of the supervisor is alive, and the slowest worker has processed one batch for this long. A worker that
    /// hangs is no sign of life: events of its source wait for it forever.
    pub(crate) fn beat(&self, stalled: Duration) {
        let Some(inner) = &self.0 else { return };
        let Some(watchdog) = inner.watchdog else { return };
        if stalled < watchdog * BATCH_INTERVALS {
            // One late beat is no reason to end the agent, two are.
            self.alive_for(watchdog / 2);
        } else if !inner.has_stalled.swap(true, Ordering::Relaxed) {
            tracing::error!(stalled_s = stalled.as_secs(), "a worker hangs in one batch");
        }
    }

    fn alive_for(&self, duration: Duration) {
        let Some(inner) = &self.0 else { return };
        inner.alive_until.store(millis(inner.started.elapsed() + duration), Ordering::Relaxed);
    }

    /// Feeds the watchdog if the supervisor gave a sign of life recently enough, and returns whether it did.
    fn feed(&self) -> bool {
        let Some(inner) = &self.0 else { return false };
        let is_alive = millis(inner.started.elapsed()) < inner.alive_until.load(Ordering::Relaxed);
        if is_alive {
            self.send("WATCHDOG=1");
        }
        is_alive
    }

    /// Reports to the watchdog as long as the supervisor is alive, on a task of the runtime: if the runtime hangs, it hangs
    /// too. Ends with the runtime; `None` without a watchdog.
    pub(crate) fn watch(&self) -> Option<JoinHandle<()>> {
        let interval = self.beat_interval()?;
        self.alive_for(MAX_STEP);
        let manager = self.clone();
        Some(tokio::spawn(async move {
            let mut was_alive = true;
            loop {
                let is_alive = manager.feed();
                if was_alive && !is_alive {
                    tracing::error!("the agent makes no progress; the service manager will end it");
                }
                was_alive = is_alive;
                tokio::time::sleep(interval).await;
            }
        }))
    }

    fn send(&self, report: &str) {
        let Some(inner) = &self.0 else { return };
        if let Err(error) = inner.socket.send_to_addr(report.as_bytes(), &inner.address)
            && !inner.has_failed.swap(true, Ordering::Relaxed)
        {
            tracing::warn!(%error, "cannot report to the service manager");
        }
    }
}

/// The address in `NOTIFY_SOCKET`: a path, or a name behind `@`.
fn address(socket: &OsStr) -> io::Result<SocketAddr> {
    match socket.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name),
        [b'/', ..] => SocketAddr::from_pathname(socket),
        _ => Err(io::Error::new(io::ErrorKind::InvalidInput, "NOTIFY_SOCKET is neither a path nor an abstract name")),
    }
}

/// A text without the line breaks that would begin another assignment.
fn line(text: &str) -> String {
    text.replace(char::is_control, " ")
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::*;

    /// A socket as systemd has it, and a manager that reports there.
    struct Systemd {
        socket: UnixDatagram,
        manager: ServiceManager,
        _folder: tempfile::TempDir,
    }

    impl Systemd {
        fn new(variables: &'static [(&'static str, &'static str)]) -> Self {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("notify");
            let socket = UnixDatagram::bind(&path).unwrap();
            let manager = ServiceManager::from_variables(|name| {
                let fixed =
                    || variables.iter().find(|(known, _)| *known == name).map(|(_, value)| OsString::from(value));
                if name == "NOTIFY_SOCKET" { Some(path.clone().into()) } else { fixed() }
            });
            Self { socket, manager: manager.unwrap(), _folder: folder }
        }

        fn received(&self) -> String {
            let mut buffer = [0; 4096];
            let bytes = self.socket.recv(&mut buffer).unwrap();
            String::from_utf8(buffer[..bytes].to_vec()).unwrap()
        }
    }

    #[test]
    fn each_state_is_one_datagram_of_lines() {
        let systemd = Systemd::new(&[]);
        systemd.manager.ready("2 sources\nREADY=0");
        assert_eq!(systemd.received(), "READY=1\nSTATUS=2 sources READY=0");
        systemd.manager.reloading();
        let reloading = systemd.received();
        let (fixed, usec) = reloading.split_once("\nMONOTONIC_USEC=").unwrap();
        assert_eq!(fixed, "RELOADING=1\nSTATUS=reloading the configuration");
        assert!(usec.parse::<u64>().unwrap() > 0, "{usec}");
        systemd.manager.stopping();
        assert!(systemd.received().starts_with("STOPPING=1\nSTATUS="));
    }

    #[test]
    fn an_abstract_socket_receives_reports() {
        let name = format!("wattle-notify-{}", std::process::id());
        let socket = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
        let variable = |asked: &str| (asked == "NOTIFY_SOCKET").then(|| OsString::from(format!("@{name}")));
        ServiceManager::from_variables(variable).unwrap().ready("x");
        let mut buffer = [0; 64];
        assert_eq!(socket.recv(&mut buffer).unwrap(), "READY=1\nSTATUS=x".len());
    }

    #[test]
    fn without_a_manager_reports_do_nothing() {
        let manager = ServiceManager::from_variables(|_| None).unwrap();
        manager.ready("x");
        manager.beat(Duration::ZERO);
        assert_eq!(manager.beat_interval(), None);
        let relative = |name: &str| (name == "NOTIFY_SOCKET").then(|| OsString::from("notify"));
        assert!(ServiceManager::from_variables(relative).is_err(), "the address is relative");
    }

    #[test]
    fn a_manager_that_does_not_read_does_not_make_the_agent_wait() {
        let systemd = Systemd::new(&[]);
        // The queue of a datagram socket has room for a few hundred.
        for _ in 0..10_000 {
            systemd.manager.ready("x");
        }
        assert_eq!(systemd.received(), "READY=1\nSTATUS=x");
    }

    #[test]
    fn a_watchdog_of_another_process_is_not_ours() {
        assert_eq!(Systemd::new(&[("WATCHDOG_USEC", "8000000"), ("WATCHDOG_PID", "1")]).manager.beat_interval(), None);
        assert_eq!(Systemd::new(&[("WATCHDOG_USEC", "0")]).manager.beat_interval(), None);
        let interval = Systemd::new(&[("WATCHDOG_USEC", "8000000")]).manager.beat_interval();
        assert_eq!(interval, Some(Duration::from_secs(2)));
    }

    #[test]
    fn the_watchdog_is_fed_only_while_the_supervisor_beats() {
        let systemd = Systemd::new(&[("WATCHDOG_USEC", "60000000")]);
        let manager = &systemd.manager;
        assert!(!manager.feed(), "there was no beat yet");
        manager.beat(Duration::ZERO);
        assert!(manager.feed());
        assert_eq!(systemd.received(), "WATCHDOG=1");
        // As if the time of the beat were over: a worker that hangs does not extend it.
        manager.alive_for(Duration::ZERO);
        manager.beat(Duration::from_mins(15));
        assert!(!manager.feed());
        manager.beat(Duration::from_secs(899));
        assert!(manager.feed(), "a batch may take long");
        assert_eq!(systemd.received(), "WATCHDOG=1");
        manager.alive_for(Duration::ZERO);
        assert!(!manager.feed());
        manager.ready("x");
        assert_eq!(systemd.received(), "READY=1\nSTATUS=x", "the watchdog got nothing in between");
        manager.reloading();
        systemd.received();
        assert!(manager.feed(), "a reload may keep the supervisor from its loop");
    }

    #[tokio::test]
    async fn the_task_feeds_the_watchdog_from_the_start() {
        let systemd = Systemd::new(&[("WATCHDOG_USEC", "60000000")]);
        let watch = systemd.manager.watch().unwrap();
        tokio::task::yield_now().await;
        assert_eq!(systemd.received(), "WATCHDOG=1");
        watch.abort();
        assert!(Systemd::new(&[]).manager.watch().is_none(), "without a watchdog there is no task");
    }
}
