//! What systemd sees of the agent as a service of `Type=notify`, through a socket as systemd has it.

use std::os::unix::net::UnixDatagram;
use std::time::{Duration, Instant};

use wattle_tests::evil::{LINES, pipeline};
use wattle_tests::{Agent, Folder, wait_until};

use super::{append, file, head, lines, numbers, text};

/// Only a broken agent takes this long.
const PATIENCE: Duration = Duration::from_secs(90);

/// The end of systemd.
struct Systemd {
    socket: UnixDatagram,
}

impl Systemd {
    fn new(folder: &Folder) -> Self {
        let socket = UnixDatagram::bind(folder.path("notify")).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Self { socket }
    }

    /// Starts the agent as its unit does.
    fn start(&self, folder: &Folder, variables: &[(&str, &str)]) -> Agent {
        let mut command = folder.wattle();
        command.args(["run", "--config", "agent.toml"]).env("NOTIFY_SOCKET", folder.path("notify"));
        Agent::start(command.envs(variables.iter().copied()))
    }

    /// The next report.
    #[track_caller]
    fn next(&self) -> String {
        let mut buffer = [0; 4096];
        let bytes = self.socket.recv(&mut buffer).expect("the agent reports nothing");
        String::from_utf8(buffer[..bytes].to_vec()).unwrap()
    }
}

fn config() -> String {
    head("") + &file("out", "out.txt")
}

#[test]
fn the_agent_is_ready_when_its_configuration_runs_and_reports_reloads_and_the_stop() {
    let folder = Folder::new();
    folder.write("in/a.log", lines(0..3, 10));
    folder.write("agent.toml", config());
    let systemd = Systemd::new(&folder);
    let agent = systemd.start(&folder, &[]);
    assert_eq!(systemd.next(), "READY=1\nSTATUS=generation 1: 1 sources, 1 pipelines, 1 sinks");
    wait_until("the lines", || numbers(&text(&folder, "out.txt")).len() == 3);

    let reload = || folder.run(&["reload", "--config", "agent.toml"]);
    folder.replace("agent.toml", config() + &file("more", "more.txt"));
    assert_eq!(reload().code, 0);
    let begin = systemd.next();
    let usec = begin.split_once("\nMONOTONIC_USEC=").expect("systemd compares it with its own clock").1;
    assert!(begin.starts_with("RELOADING=1\n") && usec.parse::<u64>().unwrap() > 0, "{begin}");
    assert!(systemd.next().starts_with("READY=1\nSTATUS=generation 2: 1 sources, 1 pipelines, 2 sinks"));

    // `ExecReload` fails, and the service stays ready with what runs.
    folder.replace("agent.toml", "[sinks.x]\n");
    let refused = reload();
    assert_eq!(refused.code, 78, "{}", refused.log);
    assert!(systemd.next().starts_with("RELOADING=1\n"));
    assert!(systemd.next().starts_with("READY=1\nSTATUS=generation 2: "));

    agent.signal("TERM");
    // A watcher may have seen the file as well.
    let last = std::iter::repeat_with(|| systemd.next()).find(|report| report.starts_with("STOPPING=1\n"));
    assert!(last.is_some());
    assert_eq!(agent.ended().code, 0);
}

#[test]
fn an_agent_with_an_invalid_configuration_is_never_ready() {
    let folder = Folder::new();
    folder.write("agent.toml", "[sinks.x]\n");
    let systemd = Systemd::new(&folder);
    assert_eq!(systemd.start(&folder, &[]).ended().code, 78);
    systemd.socket.set_nonblocking(true).unwrap();
    assert!(systemd.socket.recv(&mut [0; 64]).is_err(), "it reported something");
}

#[test]
fn the_watchdog_is_fed_while_the_agent_runs_also_if_it_is_idle() {
    let folder = Folder::new();
    folder.write("agent.toml", config());
    folder.write("in/a.log", "");
    let systemd = Systemd::new(&folder);
    let agent = systemd.start(&folder, &[("WATCHDOG_USEC", "400000")]);
    while !systemd.next().starts_with("READY=1") {}
    // Two seconds without an event: five times what the watchdog waits.
    let until = Instant::now() + Duration::from_secs(2);
    let mut last = Instant::now();
    while last < until {
        assert_eq!(systemd.next(), "WATCHDOG=1");
        last = Instant::now();
    }
    append(&folder, "in/a.log", &lines(0..3, 10));
    wait_until("the lines", || numbers(&text(&folder, "out.txt")).len() == 3);
    agent.stop().summary();
}

/// The loop of the supervisor and all timers run on, but events of the source would wait forever.
#[test]
fn the_watchdog_is_not_fed_while_a_worker_hangs_in_a_batch() {
    let folder = wattle_tests::evil::folder(3, &[1]);
    folder.write("agent.toml", LINES.to_owned() + &pipeline("spin", "time = \"1h\"", ""));
    let systemd = Systemd::new(&folder);
    let mut agent = systemd.start(&folder, &[("WATCHDOG_USEC", "200000")]);
    while !systemd.next().starts_with("READY=1") {}
    agent.wait_for("a worker hangs in one batch");
    agent.wait_for("the agent makes no progress");
    // What was sent before the last beat expired.
    systemd.socket.set_nonblocking(true).unwrap();
    while systemd.socket.recv(&mut [0; 64]).is_ok() {}
    systemd.socket.set_nonblocking(false).unwrap();
    // Longer than systemd would wait.
    systemd.socket.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
    assert!(systemd.socket.recv(&mut [0; 64]).is_err(), "the watchdog is fed");
    assert!(agent.is_running());
    agent.kill();
}

/// A destination that is down makes workers wait; a restart would not help.
#[test]
fn the_watchdog_is_fed_while_sinks_cannot_deliver() {
    let folder = Folder::new();
    folder.write("in/a.log", lines(0..20_000, 1000));
    let to = wattle_tests::free_address();
    folder.write("agent.toml", head("drain_timeout = \"1s\"") + &super::http("out", to, ""));
    let systemd = Systemd::new(&folder);
    let mut agent = systemd.start(&folder, &[("WATCHDOG_USEC", "100000")]);
    while !systemd.next().starts_with("READY=1") {}
    // Twice what a batch may take.
    let until = Instant::now() + Duration::from_secs(3);
    while Instant::now() < until {
        assert_eq!(systemd.next(), "WATCHDOG=1");
    }
    assert!(agent.is_running());
    agent.kill();
}
