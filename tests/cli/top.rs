//! `wattle top` on a pseudo-terminal.

use std::net::SocketAddr;
use std::process::Command;

use expect_test::{Expect, expect};
use wattle_tests::{FakeAgent, Folder, Terminal, binary, finish, free_address, wait_until};

/// The backlog of the last row at 80 columns, in the status of the stream.
const LAST: &str = "60.0k";

fn top(folder: &Folder, address: SocketAddr) -> Command {
    let mut command = folder.wattle();
    command.args(["top", "--url", &address.to_string()]);
    command
}

/// Starts `wattle top` and waits for its first rates.
fn start(folder: &Folder, address: SocketAddr, columns: u16, rows: u16) -> Terminal {
    let terminal = Terminal::start(&top(folder, address), columns, rows);
    // A screen is written from the top to the bottom, so this is its end.
    terminal.wait_for(LAST);
    terminal
}

#[test]
fn a_data_folder_without_an_agent_is_an_error_and_no_other_agent_is_shown() {
    let folder = Folder::new();
    for command in ["top --once", "status", "tap"] {
        let ended = folder.run(&command.split(' ').chain(["--data-dir", "nothing"]).collect::<Vec<_>>());
        assert_eq!(ended.code, 69, "{command}: {}", ended.log);
        assert!(ended.log.contains("nothing/control.sock"), "{command}: {}", ended.log);
        assert!(!ended.log.contains("9598"), "{command}: {}", ended.log);
    }
}

#[track_caller]
fn check(terminal: &Terminal, expected: &Expect) {
    expected.assert_eq(&format!("{}\n", terminal.text()));
}

#[test]
fn the_screen_at_80_and_120_columns() {
    let (folder, address) = (Folder::new(), free_address());
    let _agent = FakeAgent::listen(address);
    let mut terminal = start(&folder, address, 80, 24);
    assert!(terminal.is_alternate() && terminal.has_colors());
    check(
        &terminal,
        &expect![[r#"
            wattle 0.1.0  ● ready  up 1h1m  generation 12  4 workers  pid 4242
            CPU 162%  memory 126Mi  in 1.7k/s  11.3MB/s  out 10.5k/s  dropped 3.0k/s
            balance 172k in + 1.2M split = 1.1M out + 606 failed + 303k dropped + 20 in work
            ! sink lake: retrying for 1m16s
            ! source nginx: last failure at 2026-11-30T19:10:00Z: `/var/log/nginx/old.log`:…
            1 SOURCE      TYPE    STATE    EVENTS/S  BYTES/S  QUEUE  BLOCKED  FAILURES
              cloudtrail  aws_s3  running       200    11.0M    38%      10%         0
              nginx       file    running      1.5k     300k     0%       0%         1
            2 PIPELINE              IN/S OUT/S DROP/S FAIL/S BUSY NS/EVENT MEMORY FAULTS
              trail                  200  9.0k   3.0k      6 132%     6.6M   20Mi      2
                canary cloudtrail@2.0.0 10% of batches: 1820/10.0k events, 55 failed, 0 fau…
                unroll               200 12.0k      0      0  42%     2.1M  4.0Mi      0
                parse              12.0k 12.0k      0      6  61%    50.8k  9.0Mi      0
                mask-access-key-id 12.0k 12.0k      0      0  20%    16.7k  3.0Mi      0
                filter             12.0k  9.0k   3.0k      0 5.0%     4.2k  2.0Mi      0
                route               9.0k  9.0k      0      0 4.1%     4.6k  2.0Mi      2
              web                   1.5k  1.5k      0      0 3.0%    20.0k  3.0Mi      0
            3 OUTPUT           EVENTS/S  BYTES/S  FAIL/S  SHARE  EVENTS  BYTES      1-2 of 4
              trail.processed       994     980k       0   8.9%    100k   94Mi
              trail.other          8.0k     7.0M       0    64%    808k  674Mi
            4 SINK    TYPE       STATE    EVENTS/S BYTES/S BACKLOG RETRIES FAILED QUEUE
              siem    splunk_hec running       994    1.2M     120       0      0  1.4%
              lake    aws_s3     retrying        0       0   60.0k      15      0   93%
            q quit  ? help  Tab panel  Enter details  t tap  s sort  p pause  e problems
        "#]],
    );
    terminal.resize(120, 40);
    terminal.wait_for("320k");
    wait_until("the keys in the last line", || terminal.text().ends_with("e problems"));
    check(
        &terminal,
        &expect![[r#"
            wattle 0.1.0  ● ready  up 1h1m  generation 12  4 workers  pid 4242  /etc/wattle/agent.toml
            CPU 162%  memory 126Mi  in 1.7k/s  11.3MB/s  out 10.5k/s  dropped 3.0k/s  failed 6/s
            balance 172k in + 1.2M split = 1.1M out + 606 failed + 303k dropped + 20 in work
            ! sink lake: retrying for 1m16s
            ! source nginx: last failure at 2026-11-30T19:10:00Z: `/var/log/nginx/old.log`: permission denied
            1 SOURCE      TYPE    STATE    EVENTS/S  BYTES/S  QUEUE  BLOCKED  FAILURES  LOST  EVENTS  BYTES
              cloudtrail  aws_s3  running       200    11.0M    38%      10%         0     0   20.2k  1.0Gi
              nginx       file    running      1.5k     300k     0%       0%         1     0    152k   29Mi
            2 PIPELINE              PACK, TYPE         IN/S  OUT/S  DROP/S  FAIL/S  BUSY  NS/EVENT  MEMORY  FAULTS  CALLS/S
              trail                 cloudtrail@1.2.0    200   9.0k    3.0k       6  132%      6.6M    20Mi       2      100
                canary cloudtrail@2.0.0 10% of batches: 1820/10.0k events, 55 failed, 0 faulted
                unroll              unroll@1.0.0        200  12.0k       0       0   42%      2.1M   4.0Mi       0       20
                parse               parse@1.2.0       12.0k  12.0k       0       6   61%     50.8k   9.0Mi       0       20
                mask-access-key-id  mask@1.0.0        12.0k  12.0k       0       0   20%     16.7k   3.0Mi       0       20
                filter              filter@1.1.0      12.0k   9.0k    3.0k       0  5.0%      4.2k   2.0Mi       0       20
                route               route@1.0.0        9.0k   9.0k       0       0  4.1%      4.6k   2.0Mi       2       20
              web                   inline             1.5k   1.5k       0       0  3.0%     20.0k   3.0Mi       0       10
                shadow web@1.1.0: 460 batches, 30 events differ, 0 faulted, 1.25x CPU
                parse               parse@1.2.0        1.5k   1.5k       0       0  3.0%     20.0k   3.0Mi       0       10
            3 OUTPUT           EVENTS/S  BYTES/S  FAIL/S  SHARE  EVENTS  BYTES  TO
              trail.processed       994     980k       0   8.9%    100k   94Mi  siem
              trail.other          8.0k     7.0M       0    64%    808k  674Mi  lake
              trail.fails             6     6.6k       6   0.1%     606  651Ki  lake
              web.all              1.5k     300k       0   100%    152k   29Mi  archive
            4 SINK     TYPE        STATE     EVENTS/S  BYTES/S  BACKLOG  RETRIES  FAILED  QUEUE  OLDEST  EVENTS  BYTES
              siem     splunk_hec  running        994     1.2M      120        0       0   1.4%    0.4s    100k  116Mi
              lake     aws_s3      retrying         0        0    60.0k       15       0    93%   1m16s    749k  620Mi
              archive  file        running       1.5k     320k        0        0       0     0%       -    152k   31Mi











            q quit  ? help  Tab panel  Enter details  t tap  s sort  p pause  e problems
        "#]],
    );
    terminal.press("jjj\r");
    terminal.wait_for("FAILURES BY CODE");
    wait_until("the keys of the page", || terminal.text().ends_with("? help"));
    terminal.press("\x1b");
    // Escape and a letter at once would be another key.
    wait_until("the overview again", || terminal.text().ends_with("e problems"));
    terminal.press("q");
    assert_eq!(terminal.ended(), 0);
    assert!(!terminal.is_alternate());
    assert_eq!(terminal.text(), "", "nothing stays on the screen of the shell");
}

#[test]
fn events_of_an_output_are_shown_until_the_page_is_closed() {
    let (folder, address) = (Folder::new(), free_address());
    let agent = FakeAgent::listen(address);
    let mut terminal = start(&folder, address, 80, 24);
    terminal.press("3t");
    terminal.wait_for("events of trail.processed");
    terminal.wait_for("event 3");
    assert!(agent.requests().contains(&"/api/v1/tap?point=trail.processed&rate=5".to_owned()));
    terminal.press("q");
    terminal.wait_for("4 SINK");
    terminal.press("\x03");
    assert_eq!(terminal.ended(), 0);
}

#[test]
fn a_lost_connection_is_shown_and_opened_again() {
    let (folder, address) = (Folder::new(), free_address());
    let agent = FakeAgent::listen(address);
    let mut terminal = start(&folder, address, 80, 24);
    drop(agent);
    terminal.wait_for("no connection for ");
    terminal.wait_for("no agent answers");
    let _agent = FakeAgent::listen(address);
    wait_until("the connection is there again", || !terminal.text().contains("no connection"));
    terminal.wait_for("1.5k");
    terminal.press("q");
    assert_eq!(terminal.ended(), 0);
}

#[test]
fn the_terminal_is_restored_after_signals_and_a_stop() {
    let (folder, address) = (Folder::new(), free_address());
    let agent = FakeAgent::listen(address);
    let mut terminal = start(&folder, address, 80, 24);
    terminal.signal("TERM");
    assert_eq!(terminal.ended(), 0);
    assert!(!terminal.is_alternate());

    // Another one, for its first status.
    drop(agent);
    let _agent = FakeAgent::listen(address);
    // A shell with job control, which stops and continues programs.
    let wattle = folder.wattle();
    let mut bash = Command::new("bash");
    bash.args(["--norc", "-i"]).current_dir(folder.path("")).env("PS1", "shell> ");
    for (name, value) in wattle.get_envs() {
        match value {
            Some(value) => bash.env(name, value),
            None => bash.env_remove(name),
        };
    }
    let mut terminal = Terminal::start(&bash, 80, 24);
    terminal.wait_for("shell>");
    terminal.press(&format!("{} top --url {address}\n", binary().display()));
    terminal.wait_for("1.5k");
    terminal.press("\x1a");
    terminal.wait_for("Stopped");
    wait_until("the shell", || terminal.text().ends_with("shell>"));
    assert!(!terminal.is_alternate());
    terminal.press("stty -a | grep -o '[-]*icanon'\n");
    terminal.wait_for("\nicanon");
    terminal.press("fg\n");
    wait_until("the screen is there again", || terminal.is_alternate());
    terminal.wait_for("1.5k");
    terminal.press("q");
    // Until the program has ended, it reads the keys.
    wait_until("the shell", || !terminal.is_alternate() && terminal.text().ends_with("shell>"));
    terminal.press("exit\n");
    assert_eq!(terminal.ended(), 0);
}

#[test]
fn no_color_and_plain_text_have_no_colors() {
    let (folder, address) = (Folder::new(), free_address());
    let agent = FakeAgent::listen(address);
    let mut command = top(&folder, address);
    command.env("NO_COLOR", "1");
    let mut terminal = Terminal::start(&command, 80, 24);
    terminal.wait_for("1.5k");
    assert!(!terminal.has_colors());
    terminal.press("q");
    assert_eq!(terminal.ended(), 0);

    drop(agent);
    let _agent = FakeAgent::listen(address);
    let once = finish(top(&folder, address).args(["--once", "--color", "always"]).env_remove("COLUMNS"), b"");
    assert_eq!(once.code, 0, "{}", once.log);
    assert!(once.text().contains("cloudtrail") && once.text().contains("CALLS/S"), "{}", once.text());
    assert!(!once.text().contains('\u{1b}'), "{}", once.text());
    assert!(once.text().lines().all(|line| line.chars().count() <= 120), "{}", once.text());
}

#[test]
fn without_a_terminal_or_an_agent_the_command_says_what_to_do() {
    let (folder, address) = (Folder::new(), free_address());
    let none = finish(top(&folder, address).arg("--once"), b"");
    assert_eq!(none.code, 69, "{}", none.log);
    assert!(none.log.contains("no agent answers at `") && none.log.contains("`--url URL`"), "{}", none.log);
    let agent = FakeAgent::listen(address);
    let piped = finish(&mut top(&folder, address), b"");
    assert_eq!(piped.code, 1, "{}", piped.log);
    assert!(piped.log.contains("use `--once`"), "{}", piped.log);
    drop(agent);
    let _agent = FakeAgent::listen(address).without_api();
    let old = finish(top(&folder, address).arg("--once"), b"");
    assert_eq!(old.code, 69, "{}", old.log);
    assert!(old.log.contains("runs version 0.1.0 without the API"), "{}", old.log);
}
