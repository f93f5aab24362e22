//! Names and texts that attack the terminal.

use super::*;

/// Names and texts with escape sequences, controls, line breaks, wide and invisible characters.
#[test]
fn hostile_names_and_texts_cannot_reach_the_terminal() {
    const HOSTILE: &str = "a\u{1b}[31m\u{1b}]0;pwned\u{7}\r\n\tb\u{9b}2J\u{202e}\u{200b}漢字🦀";
    let mut top = Top::new();
    let long = "x".repeat(5000);
    for status in [&mut top.before, &mut top.now] {
        let text = format!("{}", serde_json::to_value(&*status).unwrap());
        let value = serde_json::to_string(HOSTILE).unwrap();
        let inner = value.trim_matches('"');
        let replaced = text
            .replace("\"cloudtrail\"", &value)
            .replace("\"trail\"", &value)
            .replace("mask-access-key-id", &format!("{inner}{long}"))
            .replace("not_json", inner)
            .replace("\"trap\"", &value)
            .replace("splunk_hec", inner)
            .replace("\"siem\"", &format!("\"{long}\""))
            .replace("cloudtrail@", inner)
            .replace("\"retrying\"", &value)
            .replace("permission denied", inner)
            .replace("/etc/wattle/agent.toml", inner);
        *status = serde_json::from_str(&replaced).unwrap();
    }
    top.ui.lost = Some("lost".into());
    let mut seen = String::new();
    let pages: [&[&str]; 8] =
        [&[""], &["e"], &["q"], &["\n"], &["q", "jjj", "\n"], &["q", "jj", "\n"], &["q", "4", "\n"], &["q", "1", "\n"]];
    for keys in pages {
        for key in keys {
            if *key == "\n" {
                top.press(KeyCode::Enter)
            } else {
                top.keys(key)
            };
        }
        for (width, height) in [(40, 24), (80, 24), (120, 60)] {
            let buffer = top.buffer(width, height, true);
            for cell in &buffer.content {
                assert!(!cell.symbol().chars().any(wattle_printable::is_harmful), "{:?}", cell.symbol());
            }
            seen.push_str(&lines(&buffer));
        }
    }
    assert!(seen.contains("pwned"), "the names are on the screens");
    top.keys("q2");
    top.press(KeyCode::Home);
    top.check(
        80,
        24,
        &expect![[r#"
            wattle 0.1.0  ● ready  up 1h1m  generation 12  4 workers  pid 4242
            CPU 162%  memory 126Mi  in 1.7k/s  11.3MB/s  out 10.5k/s  dropped 3.0k/s
            balance 172k in + 1.2M split = 1.1M out + 606 failed + 303k dropped + 20 in work
            lost
            ! sink lake: retrying for 1m16s
            ! source nginx: last failure at 2026-11-30T19:10:00Z: `/var/log/nginx/old.log`:…
            1 SOURCE                  TYPE   STATE   EVENTS/S BYTES/S QUEUE BLOCKED FAILURES
              a\u{1b}[31m\u{1b}]0;pw… aws_s3 running      200   11.0M   38%     10%        0
              nginx                   file   running     1.5k    300k    0%      0%        1
            2 PIPELINE                  IN/S OUT/S DROP/S FAIL/S BUSY NS/EVENT MEMORY FAULTS
              a\u{1b}[31m\u{1b}]0;pwn…   200  9.0k   3.0k      6 132%     6.6M   20Mi      2
                canary a\u{1b}[31m\u{1b}]0;pwned\u{7}\r\n\tb\u{9b}2J\u{202e}\u{200b}漢字🦀2…
                unroll                   200 12.0k      0      0  42%     2.1M  4.0Mi      0
                parse                  12.0k 12.0k      0      6  61%    50.8k  9.0Mi      0
                a\u{1b}[31m\u{1b}]0;p… 12.0k 12.0k      0      0  20%    16.7k  3.0Mi      0
                filter                 12.0k  9.0k   3.0k      0 5.0%     4.2k  2.0Mi      0
                route                   9.0k  9.0k      0      0 4.1%     4.6k  2.0Mi      2
            3 OUTPUT                              EVENTS/S BYTES/S FAIL/S SHARE EVENTS BYTES
              a\u{1b}[31m\u{1b}]0;pwned\u{7}\r\n…      994    980k      0  8.9%   100k  94Mi
              a\u{1b}[31m\u{1b}]0;pwned\u{7}\r\n…     8.0k    7.0M      0   64%   808k 674Mi
            4 SINK                         STATE                    EVENTS/S BYTES/S BACKLOG
              xxxxxxxxxxxxxxxxxxxxxxxxxxx… running                       994    1.2M     120
              lake                         a\u{1b}[31m\u{1b}]0;pwn…        0       0   60.0k
            q quit  ? help  Tab panel  Enter details  t tap  s sort  p pause  e problems
        "#]],
    );
    let plain = plain(&top.model(), 200);
    assert!(!plain.contains(|c: char| c != '\n' && wattle_printable::is_harmful(c)), "{plain:?}");
}
