//! Runs that end with their input.

use wattle_tests::{Endpoint, Folder, finish_in_time, free_address};

use super::{head, http, lines};

#[test]
fn sinks_send_incomplete_batches_when_all_input_has_been_read() {
    let (folder, to) = (Folder::new(), free_address());
    let endpoint = Endpoint::listen(to);
    folder.write("in/one.log", lines(0..100, 10));
    // Nothing else closes this batch in an hour.
    let sink = http("out", to, "batch = { timeout = \"1h\", max_bytes = \"10MiB\" }");
    folder.write("agent.toml", head("") + &sink);
    let ended = finish_in_time(folder.wattle().args(["run", "--once", "--config", "agent.toml"]), b"");
    assert_eq!(ended.code, 0, "{}", ended.log);
    assert_eq!(endpoint.text(), lines(0..100, 10));
}
