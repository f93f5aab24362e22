//! Golden screens. `UPDATE_EXPECT=1` writes them.

use super::*;

#[test]
fn the_overview_at_80_columns() {
    Top::new().check(
        80,
        24,
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
}

#[test]
fn the_overview_at_120_columns_shows_more() {
    Top::new().check(
        120,
        40,
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
}

#[test]
fn the_overview_at_40_columns() {
    Top::new().check(
        40,
        24,
        &expect![[r#"
            wattle 0.1.0  ● ready  up 1h1m
            CPU 162%  memory 126Mi  in 1.7k/s
            balance 172k in + 1.2M split = 1.1M out…
            ! sink lake: retrying for 1m16s
            ! source nginx: last failure at 2026-11…
            1 SOURCE      STATE    EVENTS/S  QUEUE
              cloudtrail  running       200    38%
              nginx       running      1.5k     0%
            2 PIPELINE        IN/S OUT/S FAIL/S BUSY
              trail            200  9.0k      6 132%
                canary cloudtrail@2.0.0 10% of batc…
                unroll         200 12.0k      0  42%
                parse        12.0k 12.0k      6  61%
                mask-access… 12.0k 12.0k      0  20%
                filter       12.0k  9.0k      0 5.0%
                route         9.0k  9.0k      0 4.1%
              web             1.5k  1.5k      0 3.0%
            3 OUTPUT          EVENTS/S BYTES/S SHARE
              trail.processed      994    980k  8.9%
              trail.other         8.0k    7.0M   64%
            4 SINK     STATE     EVENTS/S  BACKLOG
              siem     running        994      120
              lake     retrying         0    60.0k
            q quit  ? help  Tab panel  Enter detail…
        "#]],
    );
}

#[test]
fn the_focused_panel_gets_the_lines_of_a_low_terminal() {
    let mut top = Top::new();
    top.keys("jjjjjj");
    top.check(
        80,
        16,
        &expect![[r#"
            wattle 0.1.0  ● ready  up 1h1m  generation 12  4 workers  pid 4242
            CPU 162%  memory 126Mi  in 1.7k/s  11.3MB/s  out 10.5k/s  dropped 3.0k/s
            balance 172k in + 1.2M split = 1.1M out + 606 failed + 303k dropped + 20 in work
            ! sink lake: retrying for 1m16s
            ! source nginx: last failure at 2026-11-30T19:10:00Z: `/var/log/nginx/old.log`:…
            1 SOURCE      TYPE    STATE    EVENTS/S  BYTES/S  QUEUE  BLOCKED  FAILURES
              cloudtrail  aws_s3  running       200    11.0M    38%      10%         0
            2 PIPELINE              IN/S OUT/S DROP/S FAIL/S BUSY NS/EVENT MEMORY FAULTS
                mask-access-key-id 12.0k 12.0k      0      0  20%    16.7k  3.0Mi      0
                filter             12.0k  9.0k   3.0k      0 5.0%     4.2k  2.0Mi      0
                route               9.0k  9.0k      0      0 4.1%     4.6k  2.0Mi      2
            3 OUTPUT           EVENTS/S  BYTES/S  FAIL/S  SHARE  EVENTS  BYTES      1-1 of 4
              trail.processed       994     980k       0   8.9%    100k   94Mi
            4 SINK    TYPE       STATE    EVENTS/S BYTES/S BACKLOG RETRIES FAILED QUEUE
              siem    splunk_hec running       994    1.2M     120       0      0  1.4%
            q quit  ? help  Tab panel  Enter details  t tap  s sort  p pause  e problems
        "#]],
    );
    top.keys("4");
    top.check(
        80,
        9,
        &expect![[r#"
            wattle 0.1.0  ● ready  up 1h1m  generation 12  4 workers  pid 4242
            CPU 162%  memory 126Mi  in 1.7k/s  11.3MB/s  out 10.5k/s  dropped 3.0k/s
            balance 172k in + 1.2M split = 1.1M out + 606 failed + 303k dropped + 20 in work
            ! sink lake: retrying for 1m16s
            ! source nginx: last failure at 2026-11-30T19:10:00Z: `/var/log/nginx/old.log`:…
            4 SINK    TYPE       STATE    EVENTS/S BYTES/S BACKLOG RETRIES FAILED QUEUE
              siem    splunk_hec running       994    1.2M     120       0      0  1.4%
              lake    aws_s3     retrying        0       0   60.0k      15      0   93%
            q quit  ? help  Tab panel  Enter details  t tap  s sort  p pause  e problems
        "#]],
    );
}

#[test]
fn details_of_a_node_have_failures_by_code_and_ports() {
    let mut top = Top::new();
    top.keys("jjj");
    top.press(KeyCode::Enter);
    top.check(
        80,
        40,
        &expect![[r#"
            node trail/parse
              type            parse@1.2.0
              does            Parses the body.
              masks           no
              stateful        no
              capabilities    none
              busy            61% of one worker, 50.8k ns per event
              calls           920 in all, 20/s of 600 events
              memory          9.0Mi, peak of one instance 4.5Mi of at most 64Mi

            EVENTS
              received                      1,212,000    12.0k/s
              sent                          1,211,394    12.0k/s
              failed                              606        6/s
              dropped                               0        0/s

            PORTS
              ok → mask-access-key-id       1,211,394    12.0k/s
              failed → fails                      606        6/s

            FAILURES BY CODE
              not_json                            596        6/s
              too_deep                             10        0/s
















            Esc back  ↑↓ scroll  ? help
        "#]],
    );
}

#[test]
fn details_of_a_pipeline_and_of_a_sink() {
    let mut top = Top::new();
    top.press(KeyCode::Enter);
    top.check(
        80,
        36,
        &expect![[r#"
        pipeline trail
          pack            cloudtrail@1.2.0
          inputs          cloudtrail
          balance         20.2k in + 1.2M split = 908k out + 606 failed + 303k dropped

        CANARY
          version         cloudtrail@2.0.0
          share           10%
          received        1,820 of 10,000 events
          promoted        after 10m0s at the earliest
          failed          55 events
          faulted         0 batches

        COUNTS
          received bytes     1,111,000,000    11.0M/s
          delivered events         908,394     9.0k/s
          dropped events           303,000     3.0k/s
          received events           20,200      200/s
          failed events                606        6/s
















        Esc back  ↑↓ scroll  ? help
    "#]],
    );
    top.keys("q4j");
    top.press(KeyCode::Enter);
    top.check(
        80,
        20,
        &expect![[r#"
        sink lake
          type            aws_s3
          state           retrying
          retrying        for 1m16s
          backlog         60,006 events, 50Mi, the oldest for 1m16s
          queue           9000 events, 7.4Mi of 8.0Mi

        COUNTS
          delivered bytes      650,000,000        0/s
          received events          808,606     8.0k/s
          delivered events         748,600        0/s
          retries                       15        1/s







        Esc back  ↑↓ scroll  ? help
    "#]],
    );
}

#[test]
fn help_problems_and_a_lost_connection() {
    let mut top = Top::new();
    top.ui.lost = Some("● no connection for 12s: no agent answers; trying again".into());
    top.keys("e");
    top.check(
        80,
        8,
        &expect![[r#"
            problems
            ● no connection for 12s: no agent answers; trying again
            ! sink lake: retrying for 1m16s
            ! source nginx: last failure at 2026-11-30T19:10:00Z: `/var/log/nginx/old.log`:
              permission denied


            Esc back  ↑↓ scroll  ? help
        "#]],
    );
    top.keys("?");
    top.check(
        80,
        19,
        &expect![[r#"
            keys and columns
            ● no connection for 12s: no agent answers; trying again
              q, Ctrl-C       quit
              ↑ ↓, j k        move; PgUp PgDn, Home End, g G move further
              Tab, 1-4        change the panel: sources, pipelines, outputs, sinks
              Enter, →        show details: failures by code, drops by reason, ports
              Esc, ←          go back
              t               show events of the selected output, node or pipeline
              s               sort the panel: graph, rate, cost, trouble, name
              p, Space        pause; the agent goes on
              e               show all problems
              Ctrl-L          draw the screen again
              Ctrl-Z          suspend; fg continues
              BUSY            time in calls of a node, as a share of one worker: its CPU tim
                              e, and waits
              NS/EVENT        nanoseconds of these calls for each event
              SHARE           bytes of an output divided by bytes of the input

            Esc back  ↑↓ scroll  ? help
        "#]],
    );
    top.keys("qp");
    top.check(
        80,
        24,
        &expect![[r#"
            wattle 0.1.0  ● ready  up 1h1m  generation 12  4 workers  pid 4242
            CPU 162%  memory 126Mi  in 1.7k/s  11.3MB/s  out 10.5k/s  dropped 3.0k/s
            balance 172k in + 1.2M split = 1.1M out + 606 failed + 303k dropped + 20 in work
            ● no connection for 12s: no agent answers; trying again
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
            3 OUTPUT           EVENTS/S  BYTES/S  FAIL/S  SHARE  EVENTS  BYTES      1-2 of 4
              trail.processed       994     980k       0   8.9%    100k   94Mi
              trail.other          8.0k     7.0M       0    64%    808k  674Mi
            4 SINK    TYPE       STATE    EVENTS/S BYTES/S BACKLOG RETRIES FAILED QUEUE
              siem    splunk_hec running       994    1.2M     120       0      0  1.4%
              lake    aws_s3     retrying        0       0   60.0k      15      0   93%
            paused; press p to go on
        "#]],
    );
}

#[test]
fn events_of_an_output() {
    let mut top = Top::new();
    top.keys("3t");
    if let View::Tap(tap) = &mut top.ui.view {
        tap.push("trail.processed  2026-11-30T20:00:01Z\n2026-11-30T19:59:59Z cloudtrail (aws_s3)\n    {\"eventName\":\"GetObject\"}\n");
        tap.report.shown = 1;
        tap.report.skipped = 40;
        tap.report.passed = 994;
        tap.error = Some("the agent ended the stream".into());
    }
    top.check(
        80,
        9,
        &expect![[r#"
        events of trail.processed                        1 shown, 40 skipped, 994 passed
        the agent ended the stream
        trail.processed  2026-11-30T20:00:01Z
        2026-11-30T19:59:59Z cloudtrail (aws_s3)
            {"eventName":"GetObject"}



        Esc back  ↑↓ scroll  p pause  ? help
    "#]],
    );
}

#[test]
fn plain_text_has_every_row_and_no_keys() {
    let top = Top::new();
    let (narrow, wide) = (plain(&top.model(), 80), plain(&top.model(), 120));
    expect![[r#"
        wattle 0.1.0  ● ready  up 1h1m  generation 12  4 workers  pid 4242  /etc/wattle/agent.toml
        CPU 162%  memory 126Mi  in 1.7k/s  11.3MB/s  out 10.5k/s  dropped 3.0k/s  failed 6/s
        balance 172k in + 1.2M split = 1.1M out + 606 failed + 303k dropped + 20 in work
        ! sink lake: retrying for 1m16s
        ! source nginx: last failure at 2026-11-30T19:10:00Z: `/var/log/nginx/old.log`: permission denied

        SOURCE        TYPE    STATE    EVENTS/S  BYTES/S  QUEUE  BLOCKED  FAILURES  LOST  EVENTS  BYTES
          cloudtrail  aws_s3  running       200    11.0M    38%      10%         0     0   20.2k  1.0Gi
          nginx       file    running      1.5k     300k     0%       0%         1     0    152k   29Mi

        PIPELINE                PACK, TYPE         IN/S  OUT/S  DROP/S  FAIL/S  BUSY  NS/EVENT  MEMORY  FAULTS  CALLS/S
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

        OUTPUT             EVENTS/S  BYTES/S  FAIL/S  SHARE  EVENTS  BYTES  TO
          trail.processed       994     980k       0   8.9%    100k   94Mi  siem
          trail.other          8.0k     7.0M       0    64%    808k  674Mi  lake
          trail.fails             6     6.6k       6   0.1%     606  651Ki  lake
          web.all              1.5k     300k       0   100%    152k   29Mi  archive

        SINK       TYPE        STATE     EVENTS/S  BYTES/S  BACKLOG  RETRIES  FAILED  QUEUE  OLDEST  EVENTS  BYTES
          siem     splunk_hec  running        994     1.2M      120        0       0   1.4%    0.4s    100k  116Mi
          lake     aws_s3      retrying         0        0    60.0k       15       0    93%   1m16s    749k  620Mi
          archive  file        running       1.5k     320k        0        0       0     0%       -    152k   31Mi
    "#]]
    .assert_eq(&format!("{wide}\n"));
    assert!(narrow.lines().all(|line| line.chars().count() <= 80), "{narrow}");
    assert!(!wide.contains("quit"));
}
