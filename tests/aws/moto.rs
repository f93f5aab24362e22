//! moto, a widely used server of S3 and SQS, and requests to it. It checks no signatures here; see `signed.rs`.

use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};
use wattle_tests::{Config, free_address, wait_until};

/// The account of moto.
const ACCOUNT: &str = "123456789012";

/// A running process of moto.
pub(crate) struct Server {
    child: Child,
    pub(crate) address: String,
    pub(crate) client: ureq::Agent,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Server {
    /// Starts moto. After this many requests, it checks the signatures of all others; `None` for never.
    pub(crate) fn start(unsigned: Option<usize>) -> Self {
        let address = free_address();
        // `cargo xtask test` installs it and names its folder.
        let folder = std::env::var_os("WATTLE_MOTO").map(PathBuf::from).unwrap_or_default();
        let program = if folder.as_os_str().is_empty() { "moto_server".into() } else { folder.join("moto_server") };
        let child = Command::new(&program)
            .args(["-H", "127.0.0.1", "-p", &address.port().to_string()])
            .envs(unsigned.map(|count| ("INITIAL_NO_AUTH_ACTION_COUNT", count.to_string())))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| {
                panic!(
                    "`{}` does not start ({error}); run the tests by `cargo xtask test`, which installs moto, or install \
                     it by `pip install 'moto[server]'` and set `WATTLE_MOTO` to the folder of `moto_server`",
                    program.display()
                )
            });
        let config = ureq::Agent::config_builder().http_status_as_error(false).build();
        let server = Self { child, address: format!("http://{address}"), client: config.into() };
        wait_until("moto listens", || TcpStream::connect(address).is_ok());
        server
    }
}

/// A header that names the service of a request, without a valid signature.
pub(crate) fn authorization(service: &str) -> String {
    format!(
        "AWS4-HMAC-SHA256 Credential=any/20260101/us-east-1/{service}/aws4_request, SignedHeaders=host, Signature=0"
    )
}

/// moto with the bucket `trail`, the queue `events`, and its dead-letter queue `dead`.
pub(crate) struct Moto {
    server: Server,
}

impl Moto {
    pub(crate) fn start() -> Self {
        let moto = Self { server: Server::start(None) };
        moto.s3("", b"");
        moto.sqs("CreateQueue", json!({ "QueueName": "dead" }));
        let redrive = json!({ "deadLetterTargetArn": arn("dead"), "maxReceiveCount": 2 }).to_string();
        moto.sqs("CreateQueue", json!({ "QueueName": "events", "Attributes": { "RedrivePolicy": redrive } }));
        moto
    }

    /// Announces all objects that are written from now on, as S3 does; begins with a test event.
    pub(crate) fn notify(&self) {
        let body = format!(
            "<NotificationConfiguration><QueueConfiguration><Queue>{}</Queue><Event>s3:ObjectCreated:*</Event>\
             </QueueConfiguration></NotificationConfiguration>",
            arn("events")
        );
        self.s3("?notification", body.as_bytes());
    }

    /// Lets a message be received this often before it becomes a dead letter.
    pub(crate) fn redrive_after(&self, receives: u64) {
        let redrive = json!({ "deadLetterTargetArn": arn("dead"), "maxReceiveCount": receives }).to_string();
        let attributes = json!({ "RedrivePolicy": redrive });
        self.sqs("SetQueueAttributes", json!({ "QueueUrl": self.url("events"), "Attributes": attributes }));
    }

    pub(crate) fn address(&self) -> &str {
        &self.server.address
    }

    fn s3(&self, path: &str, body: &[u8]) {
        self.put_to(&format!("trail{path}"), body);
    }

    fn put_to(&self, path: &str, body: &[u8]) {
        let request = self.server.client.put(format!("{}/{path}", self.server.address));
        let response = request.header("authorization", authorization("s3")).send(body).unwrap();
        assert_eq!(response.status(), 200, "{path}");
    }

    fn get_from(&self, path: &str) -> Vec<u8> {
        let request = self.server.client.get(format!("{}/{path}", self.server.address));
        let mut response = request.header("authorization", authorization("s3")).call().unwrap();
        assert_eq!(response.status(), 200, "{path}");
        response.body_mut().read_to_vec().unwrap()
    }

    /// Creates a bucket that keeps all versions of its objects.
    pub(crate) fn create_bucket(&self, bucket: &str) {
        self.put_to(bucket, b"");
        let body = b"<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>";
        self.put_to(&format!("{bucket}?versioning"), body);
    }

    /// An object.
    pub(crate) fn get(&self, bucket: &str, key: &str) -> Vec<u8> {
        self.get_from(&format!("{bucket}/{key}"))
    }

    /// The keys of a bucket with at most 1,000 objects.
    pub(crate) fn keys(&self, bucket: &str) -> Vec<String> {
        let list = String::from_utf8(self.get_from(&format!("{bucket}?list-type=2"))).unwrap();
        assert!(list.contains("<IsTruncated>false</IsTruncated>"), "{list}");
        list.split("<Key>").skip(1).map(|rest| rest.split_once("</Key>").unwrap().0.to_owned()).collect()
    }

    /// How often objects were written.
    pub(crate) fn puts(&self, bucket: &str) -> usize {
        let list = String::from_utf8(self.get_from(&format!("{bucket}?versions"))).unwrap();
        list.matches("<Version>").count()
    }

    /// Writes an object.
    pub(crate) fn put(&self, key: &str, body: &[u8]) {
        self.s3(&format!("/{key}"), body);
    }

    pub(crate) fn sqs(&self, operation: &str, body: Value) -> Value {
        let mut response = self
            .server
            .client
            .post(&self.server.address)
            .header("authorization", authorization("sqs"))
            .header("content-type", "application/x-amz-json-1.0")
            .header("x-amz-target", format!("AmazonSQS.{operation}"))
            .send(body.to_string())
            .unwrap();
        assert_eq!(response.status(), 200, "{operation} {body}");
        serde_json::from_str(&response.body_mut().read_to_string().unwrap()).unwrap_or_default()
    }

    pub(crate) fn url(&self, queue: &str) -> String {
        format!("{}/{ACCOUNT}/{queue}", self.server.address)
    }

    pub(crate) fn send(&self, text: &str) {
        self.sqs("SendMessage", json!({ "QueueUrl": self.url("events"), "MessageBody": text }));
    }

    /// The numbers of visible and of hidden messages in a queue.
    pub(crate) fn messages(&self, queue: &str) -> (u64, u64) {
        let found = self.sqs("GetQueueAttributes", json!({ "QueueUrl": self.url(queue), "AttributeNames": ["All"] }));
        let number = |name: &str| found["Attributes"][name].as_str().unwrap().parse().unwrap();
        (number("ApproximateNumberOfMessages"), number("ApproximateNumberOfMessagesNotVisible"))
    }

    /// The source `in` of the queue, and the pipeline `p` that passes its events on.
    pub(crate) fn config(&self, visibility: &str) -> Config {
        Config::new()
            .agent("drain_timeout = \"5s\"")
            .source("in", "aws_s3")
            .set("queue_url", self.url("events"))
            .set("endpoint", self.server.address.as_str())
            .set("auth.access_key_id", "AKIDEXAMPLE")
            .set("auth.secret_access_key", "secret-of-test")
            .set("visibility_timeout", visibility)
            .set("wait_time", "1s")
            .pipeline("p", &["in"])
            .output("out", &["input"])
    }
}

fn arn(queue: &str) -> String {
    format!("arn:aws:sqs:us-east-1:{ACCOUNT}:{queue}")
}
