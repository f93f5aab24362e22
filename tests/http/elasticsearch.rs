//! The sink `elasticsearch` with noida-db, a server of others with the bulk API of Elasticsearch and its errors per document.

use std::collections::BTreeSet;
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use serde_json::Value;
use wattle_tests::{Agent, Config, Folder, free_address, wait_until};

const FILES: usize = 40;
const LINES: usize = 200;
/// One event in so many has a value that does not fit the mapping.
const WRONG: usize = 50;

/// A running noida-db, with its data in a folder.
struct Noida {
    child: Child,
    address: SocketAddr,
}

impl Drop for Noida {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Noida {
    fn start(folder: &Folder) -> Self {
        let address = free_address();
        // `cargo xtask test` installs it and names its folder.
        let programs = std::env::var_os("WATTLE_NOIDA").map(PathBuf::from).unwrap_or_default();
        let program = programs.join("noida-db");
        let child = Command::new(&program)
            .args([
                "start",
                "--only",
                "elasticsearch",
                "--elasticsearch-port",
                &address.port().to_string(),
                "--data-dir",
            ])
            .arg(folder.path("noida"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| {
                panic!(
                    "`{}` does not start ({error}); run the tests by `cargo xtask test`, which installs noida-db, or \
                     install it by `pip install noida-db` and set `WATTLE_NOIDA` to the folder of `noida-db`",
                    program.display()
                )
            });
        let server = Self { child, address };
        wait_until("noida-db listens", || TcpStream::connect(address).is_ok());
        server
    }

    /// What the server responds, also if it is an error.
    fn get(&self, path: &str) -> Value {
        let config = ureq::Agent::config_builder().http_status_as_error(false).build();
        let mut response = ureq::Agent::from(config).get(format!("http://{}/{path}", self.address)).call().unwrap();
        serde_json::from_str(&response.body_mut().read_to_string().unwrap()).unwrap()
    }

    /// The number of documents in the index, which does not exist at first.
    fn count(&self) -> u64 {
        self.get("logs/_refresh");
        self.get("logs/_count")["count"].as_u64().unwrap_or_default()
    }

    /// The numbers of the documents in the index.
    fn numbers(&self) -> Vec<u64> {
        self.get("logs/_refresh");
        let found = self.get("logs/_search?size=10000");
        let hits = found["hits"]["hits"].as_array().unwrap();
        let mut numbers: Vec<u64> = hits.iter().map(|hit| hit["_source"]["n"].as_u64().unwrap()).collect();
        numbers.sort_unstable();
        numbers
    }
}

fn start(folder: &Folder) -> Agent {
    let mut agent = Agent::start(folder.wattle().args(["run", "--config", "agent.toml"]));
    agent.wait_for("running");
    agent
}

/// The dead letters, without a line that a kill cut off.
fn letters(folder: &Folder) -> Vec<Value> {
    let written = String::from_utf8_lossy(&folder.read("dead.jsonl")).into_owned();
    written.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

#[test]
fn documents_with_ids_of_their_own_are_there_once_although_the_agent_is_killed() {
    let folder = Folder::new();
    let noida = Noida::start(&folder);
    let config = Config::new()
        .file_source("logs", "in/*.ndjson")
        .set("stable_after", "1ms")
        .set("glob_interval", "20ms")
        .sink("out", "elasticsearch", &["logs"])
        .set("endpoint", format!("http://{}", noida.address))
        .set("bulk.index", "logs")
        .set("id_key", "body.id")
        .set("encoding.codec", "ndjson")
        .set("compression", "gzip")
        .set("batch.timeout", "5ms")
        .set("batch.max_events", 100)
        .set("request.concurrency", "adaptive")
        .set("dead_letter", "dead.jsonl");
    folder.write("agent.toml", config.text());
    let mut agent = start(&folder);
    let mut kills = 0;
    for file in 0..FILES {
        let line = |number: usize| {
            let n = if number % WRONG == WRONG - 1 { "\"none\"".to_owned() } else { number.to_string() };
            format!("{{\"id\":\"e{number}\",\"n\":{n},\"text\":\"\u{e4} \\\"{number}\\\"\"}}\n")
        };
        let lines: String = (file * LINES..(file + 1) * LINES).map(line).collect();
        let before = noida.count();
        folder.write(format!("in/{file:02}.ndjson"), lines);
        if file % 8 == 7 {
            wait_until("some documents", || noida.count() > before);
            agent.kill();
            agent = start(&folder);
            kills += 1;
        }
    }
    let expected: Vec<u64> = (0..(FILES * LINES) as u64).filter(|n| n % WRONG as u64 != WRONG as u64 - 1).collect();
    let wrong = FILES * LINES / WRONG;
    // An event that is read again has another time.
    let id = |letter: Value| serde_json::from_str::<Value>(letter["event"].as_str().unwrap()).unwrap()["id"].clone();
    let dead = || letters(&folder).into_iter().map(|letter| id(letter).to_string()).collect::<BTreeSet<_>>().len();
    wait_until("every document", || noida.numbers().len() == expected.len());
    wait_until("every dead letter", || dead() == wrong);
    agent.stop();
    assert_eq!(noida.numbers(), expected);
    let letter = letters(&folder).remove(0);
    assert_eq!(letter["status"], 400, "{letter}");
    assert!(letter["reason"].as_str().unwrap().contains("document_parsing_exception"), "{letter}");
    println!("{} documents, {wrong} dead letters, {kills} kills", expected.len());
}
