//! Logs of containers, as the runtime interface of Kubernetes (CRI) writes them.

use jiff::Timestamp;

use super::push;
use crate::random::Random;

pub(super) fn line(random: &mut Random, time: Timestamp, out: &mut Vec<u8>) -> &'static str {
    let (time, is_error) = (time.strftime("%Y-%m-%dT%H:%M:%S%.9fZ"), random.below(10) == 0);
    match random.below(3) {
        0 => {
            let stream = if is_error { "stderr" } else { "stdout" };
            let text =
                random.pick(&["listening on :8080", "GET /healthz 200", "cache is warm", "panic: out of memory"]);
            push(out, format_args!("{time} {stream} F {text}"));
        }
        _ => {
            let level = if is_error {
                random.pick(&["error", "ERROR", "fatal"])
            } else {
                random.pick(&["info", "WARN", "debug"])
            };
            // The level counts, not the stream.
            let stream = random.pick(&["stdout", "stderr"]);
            push(
                out,
                format_args!(
                    "{time} {stream} F {{\"level\":\"{level}\",\"msg\":\"order placed\",\"order\":{},\"took_ms\":{}.{}}}",
                    random.below(100_000),
                    random.below(900),
                    random.below(10)
                ),
            );
        }
    }
    if is_error { "errors" } else { "logs" }
}
