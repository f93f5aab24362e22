//! The sink against S3 in memory, which injects faults.

#[path = "../../../aws/tests/faults/double.rs"]
#[allow(dead_code, unreachable_pub, reason = "shared with the tests of `wattle-aws`, which use more of it")]
mod double;
mod faults;
mod parquet;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use serde_json::{Value, json};

use self::double::{Double, Reply, Seen, ok, s3_error};
use crate::testing::Running;

/// The bucket, and the requests that wrote to it.
#[derive(Default)]
struct Bucket {
    objects: BTreeMap<String, Vec<u8>>,
    /// Parts by the id of their upload.
    uploads: HashMap<String, BTreeMap<u32, Vec<u8>>>,
    /// Next replies to an operation, instead of doing it.
    faults: HashMap<String, VecDeque<Reply>>,
    /// Operations whose connection closes after they are done.
    lost: Vec<String>,
    /// Operations with the keys of their objects.
    operations: Vec<(String, String)>,
    headers: Vec<Vec<(String, String)>>,
}

impl Bucket {
    fn reply(&mut self, seen: &Seen) -> Reply {
        let (path, query) = seen.target.split_once('?').unwrap_or((&seen.target, ""));
        let key = path.strip_prefix("/logs/").unwrap().replace("%3D", "=").to_owned();
        let option = |name: &str| query.split('&').find_map(|part| part.strip_prefix(name)?.strip_prefix('='));
        let number = option("partNumber");
        let operation = match (seen.method.as_str(), option("uploadId"), number) {
            ("PUT", None, _) => "put".to_owned(),
            ("PUT", Some(_), Some(number)) => format!("part {number}"),
            ("POST", None, _) => "create".to_owned(),
            ("POST", Some(_), _) => "complete".to_owned(),
            ("DELETE", Some(_), _) => "abort".to_owned(),
            other => panic!("{other:?}"),
        };
        self.operations.push((operation.clone(), key.clone()));
        self.headers.push(seen.headers.clone());
        if let Some(reply) = self.faults.get_mut(&operation).and_then(VecDeque::pop_front) {
            return reply;
        }
        let reply = self.apply(&operation, key, option("uploadId"), number, seen);
        match self.lost.iter().position(|lost| *lost == operation) {
            Some(index) => {
                self.lost.remove(index);
                Reply::Close
            }
            None => reply,
        }
    }

    fn apply(&mut self, operation: &str, key: String, id: Option<&str>, number: Option<&str>, seen: &Seen) -> Reply {
        let etag = || Reply::Full(200, vec![("etag", "\"e\"".to_owned())], Vec::new());
        let id = id.unwrap_or_default();
        match operation {
            "put" => {
                self.objects.insert(key, seen.bytes.clone());
                return etag();
            }
            "create" => {
                let id = self.operations.len().to_string();
                self.uploads.insert(id.clone(), BTreeMap::new());
                return ok(format!("<R><UploadId>{id}</UploadId></R>"));
            }
            _ => {}
        }
        if !self.uploads.contains_key(id) {
            return s3_error(404, "NoSuchUpload");
        }
        match operation {
            "complete" => {
                let parts = self.uploads.remove(id).unwrap();
                assert_eq!(seen.body.matches("<Part>").count(), parts.len(), "{}", seen.body);
                self.objects.insert(key, parts.into_values().flatten().collect());
                ok("<R><ETag>e</ETag></R>")
            }
            "abort" => {
                self.uploads.remove(id);
                Reply::Full(204, Vec::new(), Vec::new())
            }
            _ => {
                let parts = self.uploads.get_mut(id).unwrap();
                parts.insert(number.unwrap().parse().unwrap(), seen.bytes.clone());
                etag()
            }
        }
    }
}

/// The server.
struct Fake {
    address: String,
    bucket: Arc<Mutex<Bucket>>,
    _double: Double,
}

impl Fake {
    async fn start() -> Self {
        let bucket: Arc<Mutex<Bucket>> = Arc::default();
        let shared = bucket.clone();
        let double = Double::answering(move |seen| shared.lock().reply(seen)).await;
        Self { address: double.address.clone(), bucket, _double: double }
    }

    /// Replies to the next operations of this name.
    fn fault(&self, operation: &str, replies: impl IntoIterator<Item = Reply>) {
        self.bucket.lock().faults.entry(operation.to_owned()).or_default().extend(replies);
    }

    /// The objects, which are text.
    fn objects(&self) -> BTreeMap<String, String> {
        let text = |(key, bytes)| (key, String::from_utf8(bytes).unwrap());
        self.bucket.lock().objects.clone().into_iter().map(text).collect()
    }

    /// The names of all operations.
    fn operations(&self) -> Vec<String> {
        self.bucket.lock().operations.iter().map(|(operation, _)| operation.clone()).collect()
    }

    /// The keys of all operations.
    fn keys(&self) -> Vec<String> {
        self.bucket.lock().operations.iter().map(|(_, key)| key.clone()).collect()
    }
}

/// Starts a sink with these options. Defaults: codec `text`, and short waits.
fn start_sink(fake: &Fake, more: Value) -> Running {
    let mut options = json!({ "bucket": "logs", "region": "eu-west-1", "endpoint": fake.address,
        "encoding": { "codec": "text" }, "batch": { "timeout": "20ms" }, "key_prefix": "day=%F/",
        "auth": { "access_key_id": "AKIDEXAMPLE", "secret_access_key": "geheim" },
        "request": { "retry_initial_backoff": "20ms", "retry_max_backoff": "40ms" } });
    for (name, value) in more.as_object().unwrap() {
        match (options[name].as_object_mut(), value) {
            (Some(table), Value::Object(more)) => table.extend(more.clone()),
            _ => options[name] = value.clone(),
        }
    }
    Running::start("aws_s3", &options)
}

#[test]
fn tags_that_s3_would_refuse_are_errors() {
    let of = |tags: Value| {
        let options = json!({ "bucket": "logs", "encoding": { "codec": "text" }, "tags": tags });
        let errors = super::options::read(&options).err().unwrap_or_default();
        errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
    };
    assert_eq!(of(json!({ "team": "Ünder +-=._:/@ 1", "x y": "" })), "");
    let many: serde_json::Map<String, Value> = (0..11).map(|number| (format!("t{number}"), "".into())).collect();
    for (tags, wanted) in [
        (json!({ "team": "a&b" }), "not `&`"),
        (json!({ "a\nb": "" }), "not `\\n`"),
        (json!({ "": "b" }), "a name of 1 to 128"),
        (json!({ "a": "b".repeat(257) }), "at most 256"),
        (Value::Object(many), "at most 10 tags"),
    ] {
        assert!(of(tags).contains(wanted), "{wanted}");
    }
}
