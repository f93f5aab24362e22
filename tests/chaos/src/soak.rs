//! Mixed load for a long time, with a reload every second: no event is lost, and memory and
//! descriptors stay flat.

use std::time::{Duration, Instant};

use wattle_tests::{Config, Folder, free_address, send, wait_until};

use crate::load::{Load, OUTPUTS, gzip};
use crate::outputs::tally;
use crate::report::{Outcome, Report};
use crate::server::Server;

/// Growth that counts as flat: allocator noise in half an hour.
const FLAT_KB_PER_MIN: f64 = 100.0;
/// Change in the number of descriptors that counts as flat: files and connections come and go.
const FLAT_DESCRIPTORS: usize = 16;

/// Runs the soak, and notes the figures.
pub fn section(report: &mut Report, seed: u64, time: Duration) {
    report.section(&format!("Soak: {time:?} of mixed load, a reload every second"));
    let mut slope = None;
    let outcome = report.run("soak", || run(seed, time, &mut slope));
    report.count_lost(outcome.as_ref());
    if let Some(slope) = slope {
        report.set("rss_slope_kb_per_min", (slope * 10.0).round() / 10.0);
    }
}

fn config(version: &str, server: &Server, requests: std::net::SocketAddr) -> String {
    let mut config = Config::new()
        .file_source("documents", "in/*.json.gz")
        .set("stable_after", "1ms")
        .set("glob_interval", "50ms")
        .set("when_finished", "delete")
        .http_source("requests", requests)
        .source("stream", "demo")
        .set("rate", 30)
        .set("records_per_document", 20)
        .pack("main", &["documents", "requests"], "cloudtrail@1.0.0")
        .pack("swapped", &["stream"], &format!("cloudtrail@{version}"))
        .file_sink("stream", &["swapped.*"], "stream.ndjson")
        .set("mode", "truncate")
        .set("rotate_bytes", "64MiB")
        .set("fsync", "never")
        .file_sink("fails", &["main.fails"], "fails");
    for output in OUTPUTS {
        config = config
            .http_sink(output, &[&format!("main.{output}")], &format!("http://{}/{output}", server.address))
            .set("encoding.codec", "text")
            .set("batch.timeout", "50ms");
    }
    config.text()
}

/// The slope of a line through the points, by least squares.
fn slope(points: &[(f64, f64)]) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "a few thousand points")]
    let count = points.len() as f64;
    let mean = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / count;
    let (mean_x, mean_y) = (mean(|p| p.0), mean(|p| p.1));
    let above: f64 = points.iter().map(|(x, y)| (x - mean_x) * (y - mean_y)).sum();
    above / points.iter().map(|(x, _)| (x - mean_x).powi(2)).sum::<f64>()
}

/// The median of each tenth of the points, in MB, to distinguish growth from a step.
fn tenths(points: &[(f64, f64)]) -> String {
    let median = |part: &[(f64, f64)]| {
        let mut values: Vec<f64> = part.iter().map(|(_, y)| *y).collect();
        values.sort_unstable_by(f64::total_cmp);
        format!("{:.0}", values[values.len() / 2] / 1024.0)
    };
    points.chunks(points.len().div_ceil(10).max(1)).map(median).collect::<Vec<_>>().join(" ")
}

/// Runs the soak; gives the slope of the memory in KB a minute.
pub fn run(seed: u64, time: Duration, found_slope: &mut Option<f64>) -> Outcome {
    let (folder, server, requests) = (Folder::new(), Server::start(), free_address());
    std::fs::create_dir_all(folder.path("in")).unwrap();
    let mut load = Load::new(seed, 20);
    let mut known = Vec::new();
    let versions = ["1.0.0", "1.1.0"];
    let mut agent = folder.start(&config(versions[0], &server, requests));
    wait_until("the http source", || std::net::TcpStream::connect(requests).is_ok());
    let since = Instant::now();
    let (mut memory, mut descriptors, mut reloads, mut second) = (Vec::new(), Vec::new(), 0_usize, 0);
    let mut file = 0;
    while since.elapsed() < time {
        // About twenty documents per second for each input.
        let (document, events) = load.document();
        known.extend(events);
        let new = folder.write("new", gzip(&document));
        std::fs::rename(new, folder.path(format!("in/{file:08}.json.gz"))).unwrap();
        file += 1;
        let (document, events) = load.document();
        known.extend(events);
        let answer = send(requests, &[("content-type", "application/json")], &document);
        assert_eq!(answer.status, 200, "{}", answer.text);
        if since.elapsed().as_secs() > second {
            second = since.elapsed().as_secs();
            reloads += 1;
            folder.replace("agent.toml", config(versions[reloads % 2], &server, requests));
            agent.wait_for("reloaded");
            #[expect(clippy::cast_precision_loss, reason = "megabytes")]
            memory.push((since.elapsed().as_secs_f64() / 60.0, agent.memory() as f64 / 1024.0));
            descriptors.push(agent.open_files());
            // Remove rotated files; they are no longer needed.
            for entry in std::fs::read_dir(folder.path("")).unwrap().flatten() {
                let name = entry.file_name().into_string().unwrap();
                if name.starts_with("stream-") {
                    std::fs::remove_file(entry.path()).unwrap();
                }
            }
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    wait_until("every event", || server.len() >= known.len());
    assert!(agent.is_running());
    let ended = agent.stop();
    // Reading the summary checks that nothing was lost between the nodes.
    let summary = ended.summary();
    let found = OUTPUTS.map(|output| server.take(output));
    assert!(folder.read("fails").is_empty());
    // The first fifth is the warm-up.
    let warm = memory.len() / 5;
    let slope = slope(&memory[warm..]);
    *found_slope = Some(slope);
    let (first, last) = (descriptors[warm], descriptors[descriptors.len() - 1]);
    let mut outcome = Outcome::of(
        tally(&known, &found),
        format!(
            "{} and {} events, {reloads} reloads, memory by tenths of the time {} MB, slope {slope:.1} KB/min, \
             descriptors {first} to {last}",
            known.len(),
            summary.pipelines["swapped"].events_in,
            tenths(&memory),
        ),
    );
    if slope > FLAT_KB_PER_MIN && time >= Duration::from_mins(10) {
        outcome.broken = Some(format!("memory grows by {slope:.0} KB/min"));
    } else if last > first + FLAT_DESCRIPTORS {
        outcome.broken = Some(format!("{} descriptors more than at the beginning", last - first));
    }
    outcome
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_slope_is_that_of_the_line() {
        let points: Vec<(f64, f64)> = (0..10).map(|x| (f64::from(x), 3.0 * f64::from(x) + f64::from(x % 2))).collect();
        assert!((super::slope(&points) - 3.0).abs() < 0.1);
        assert!(super::slope(&[(0.0, 5.0), (1.0, 5.0)]).abs() < 1e-9);
        let megabytes: Vec<(f64, f64)> = points.iter().map(|(x, _)| (*x, (1.0 + x) * 1024.0)).collect();
        assert_eq!(super::tenths(&megabytes), "1 2 3 4 5 6 7 8 9 10");
    }
}
