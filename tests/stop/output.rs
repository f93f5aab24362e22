//! Outputs that are closed or can never be written, and inputs that cannot be read to their end.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use wattle_tests::{Agent, Config, Endpoint, Folder, binary, finish, free_address, wait_until};

use super::{append, assert_in_order, file, head, http, lines, numbers, text};

/// A sink that writes lines to standard output.
fn console(name: &str) -> String {
    Config::new().sink(name, "console", &["main.all"]).set("encoding.codec", "text").text()
}

/// Starts a run, reads one line of its output, and closes the reader.
fn read_one_line(child: &mut Child) -> String {
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    line
}

#[track_caller]
fn wait(mut child: Child) -> (Option<i32>, String) {
    let until = Instant::now() + Duration::from_secs(60);
    while child.try_wait().unwrap().is_none() {
        assert!(Instant::now() < until, "it does not end");
        std::thread::sleep(Duration::from_millis(20));
    }
    let ended = child.wait_with_output().unwrap();
    (ended.status.code(), String::from_utf8(ended.stderr).unwrap())
}

/// `wattle run ... | head -1`, with input that ends, that continues, and that pauses forever.
#[test]
fn a_filter_ends_quietly_when_its_reader_closes() {
    for documents in [1, 2, 5000] {
        let folder = Folder::new();
        let mut command = folder.wattle();
        command.args(["run", "--pack", "cloudtrail@1.2.0", "--quiet"]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut input = child.stdin.take().unwrap();
        input.write_all(b"{\"eventVersion\":\"1\",\"eventName\":\"first\"}\n").unwrap();
        assert!(read_one_line(&mut child).contains("first"));
        // The input stays open: only the closed output can end the run.
        let writer = std::thread::spawn(move || {
            for _ in 0..documents {
                if input.write_all(b"{\"eventVersion\":\"1\",\"eventName\":\"more\"}\n").is_err() {
                    return None;
                }
            }
            Some(input)
        });
        let (code, log) = wait(child);
        assert_eq!(code, Some(0), "{log}");
        assert!(!log.contains("ERROR") && !log.contains("WARN"), "{log}");
        drop(writer.join().unwrap());
    }
}

/// A console sink whose reader closed affects neither other sinks nor sources.
#[test]
fn other_sinks_continue_without_duplicates_when_standard_output_is_closed() {
    let folder = Folder::new();
    folder.write("in/a.log", lines(0..1, 10));
    folder.write("agent.toml", head("") + &file("out", "out.txt") + &console("term"));
    let mut command = folder.wattle();
    command.args(["run", "--config", "agent.toml"]).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    read_one_line(&mut child);
    for next in 1..5 {
        append(&folder, "in/a.log", &lines(next..next + 1, 10));
        wait_until("the line", || numbers(&text(&folder, "out.txt")).len() > next);
    }
    assert!(child.try_wait().unwrap().is_none(), "the agent goes on");
    let id = child.id().to_string();
    assert!(std::process::Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
    let (code, log) = wait(child);
    assert_eq!(code, Some(0), "{log}");
    assert!(log.contains("ERROR") && log.contains("sink=term"), "{log}");
    assert!(numbers(&text(&folder, "out.txt")).into_iter().eq(0..5), "none is missing, none came twice");
}

/// A run that ends by itself gives up on a sink that can never work.
#[test]
fn a_run_with_an_output_that_cannot_be_written_ends_with_an_error() {
    let folder = Folder::new();
    folder.write("in/a.log", lines(0..10, 10));
    // A file in place of a folder stops every user, including root.
    folder.write("occupied", "");
    folder.write("agent.toml", head("") + &file("out", "occupied/out.txt"));
    let ended = folder.run(&["run", "--once", "--config", "agent.toml"]);
    assert_eq!(ended.code, 1, "{}", ended.log);
    assert!(ended.log.contains("sink `out`") && ended.log.contains("occupied/out.txt"), "{}", ended.log);
}

/// The same for a disk that is full, for standard output, and for a named pipe that no process
/// reads.
#[test]
fn a_run_whose_output_accepts_nothing_ends_with_an_error() {
    let folder = Folder::new();
    folder.write("in/a.log", lines(0..10, 10));
    let pipe = folder.path("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let cases = [
        (file("out", "/dev/full"), "/dev/null", "No space left on device"),
        (file("out", "/proc/missing/out.txt"), "/dev/null", "No such file or directory"),
        (file("out", pipe.to_str().unwrap()), "/dev/null", "no process reads this named pipe"),
        (console("out"), "/dev/full", "cannot write to standard output: No space left on device"),
    ];
    // All at once, since each takes three seconds.
    let runs = cases.iter().enumerate().map(|(number, (sink, output, _))| {
        let config = format!("agent{number}.toml");
        folder.write(&config, head(&format!("data_dir = \"data{number}\"")) + sink);
        let mut command = folder.wattle();
        command.env_remove("WATTLE_DATA_DIR").args(["run", "--once", "--config", &config]);
        let output = std::fs::File::options().write(true).open(output).unwrap();
        command.stdout(output).stderr(Stdio::piped()).spawn().unwrap()
    });
    for (run, (_, _, error)) in runs.collect::<Vec<_>>().into_iter().zip(&cases) {
        let (code, log) = wait(run);
        assert_eq!(code, Some(1), "{log}");
        assert!(log.contains("sink `out`: ") && log.contains(error), "{error}: {log}");
    }
}

/// Events that the server rejects permanently, or does not accept in any attempt, fail the run
/// unless dead letters keep them.
#[test]
fn a_run_that_loses_events_ends_with_an_error() {
    let to = free_address();
    let server = Endpoint::listen(to);
    for (status, more, code) in
        [(400, "", 1), (413, "", 1), (500, "request.retry_attempts = 1", 1), (400, "dead_letter = \"dead.ndjson\"", 0)]
    {
        server.answer(status);
        let folder = Folder::new();
        folder.write("in/a.log", lines(0..5, 10));
        folder.write("agent.toml", head("") + &http("out", to, more));
        let ended = folder.run(&["run", "--once", "--config", "agent.toml"]);
        assert_eq!(ended.code, code, "{status} {more}: {}", ended.log);
        let lost = ended.log.contains("sink `out` lost 5 events that its destination rejected; see the log");
        assert_eq!(lost, code == 1, "{}", ended.log);
        assert_eq!(ended.log.contains("5 in dead letters"), code == 0, "{}", ended.log);
    }
}

/// The same if a server rejects the credentials, which a retry does not change.
#[test]
fn a_run_whose_server_rejects_its_credentials_ends_with_an_error() {
    let to = free_address();
    let server = Endpoint::listen(to);
    server.require("Bearer right");
    let folder = Folder::new();
    folder.write("in/a.log", lines(0..10, 10));
    folder.write("agent.toml", head("") + &http("out", to, "auth = { strategy = \"bearer\", token = \"wrong\" }"));
    let ended = folder.run(&["run", "--once", "--config", "agent.toml"]);
    assert_eq!(ended.code, 1, "{}", ended.log);
    assert!(ended.log.contains("sink `out`: ") && ended.log.contains("401"), "{}", ended.log);
    // The next run delivers the events of this one.
    server.require("Bearer wrong");
    assert_eq!(folder.run(&["run", "--once", "--config", "agent.toml"]).code, 0);
    assert!(numbers(&server.text()).into_iter().eq(0..10));
}

/// An incomplete input is an error of a bounded run, whatever happened to its beginning.
#[test]
fn a_truncated_input_ends_a_run_with_an_error() {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(lines(0..5000, 50).as_bytes()).unwrap();
    let whole = encoder.finish().unwrap();
    for (cut, code) in [(whole.len(), 0), (whole.len() - 1, 1), (whole.len() / 2, 1)] {
        let folder_in = Folder::new();
        folder_in.write("in/a.log", &whole[..cut]);
        folder_in.write("in/b.log", lines(0..3, 10));
        folder_in.write("agent.toml", head("") + &file("out", "out.txt"));
        let ended = folder_in.run(&["run", "--once", "--config", "agent.toml"]);
        assert_eq!(ended.code, code, "{cut}: {}", ended.log);
        assert_eq!(ended.log.contains("source `lines`: 1 inputs were not read in full"), code == 1, "{}", ended.log);
        assert!(text(&folder_in, "out.txt").ends_with(&lines(0..3, 10)), "other inputs are read in full");
    }
}

/// The log of the agent goes to a full disk, or its reader ended. Neither may lose an event.
#[test]
fn an_unwritable_log_loses_no_event() {
    for errors in ["2>/dev/full", "2>&1 >/dev/null | head -c 1 >/dev/null"] {
        let folder = Folder::new();
        folder.write("in/a.log", lines(0..10, 10));
        folder.write("agent.toml", format!("{}{}", head(""), file("out", "out")));
        let script = format!("{} run --log debug --once agent.toml {errors}", binary().display());
        let mut shell = Command::new("sh");
        shell.args(["-c", &script]).current_dir(folder.path("")).env("WATTLE_DATA_DIR", folder.path("data"));
        let ended = finish(&mut shell, b"");
        assert_eq!(ended.code, 0, "{errors}: {}", ended.log);
        assert_eq!(numbers(&text(&folder, "out")), (0..10).collect::<Vec<_>>(), "{errors}");
    }
}

/// `ulimit -f` and `LimitFSIZE=` end a process by SIGXFSZ unless it handles the signal.
#[test]
fn a_limit_on_the_size_of_files_is_an_error_and_does_not_end_the_agent() {
    let folder = Folder::new();
    folder.write("in/a.log", lines(0..3000, 100));
    folder.write("agent.toml", format!("{}{}", head(""), file("out", "out")));
    let script = format!("ulimit -f 100; exec {} run agent.toml", binary().display());
    let mut shell = Command::new("sh");
    shell.args(["-c", &script]).current_dir(folder.path("")).env("WATTLE_DATA_DIR", folder.path("data"));
    let mut agent = Agent::start(&mut shell);
    agent.wait_for("cannot write to the file");
    assert!(agent.is_running());
    agent.kill();
    let ended = folder.once(&format!("{}{}", head(""), file("out", "out")));
    ended.summary();
    assert_in_order(&numbers(&text(&folder, "out")), 3000);
}
