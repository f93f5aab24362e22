//! Starts moto, a widely used server of S3 and SQS, with real signatures and policies.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::json;
use wattle_aws::{AwsOptions, Session, StaticEnv};

/// Number of requests that moto accepts without a valid signature: those that set up the user, bucket and queue.
const UNSIGNED: usize = 5;

/// A running server, and the key of a user.
pub(crate) struct Moto {
    child: Child,
    port: u16,
    pub(crate) key: String,
    pub(crate) secret: String,
}

impl Drop for Moto {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Moto {
    /// Starts a server with one user that may use S3 and SQS, the bucket `logs`, and the queue `events`.
    pub(crate) fn start() -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        // `cargo xtask test` installs it and names its folder.
        let folder = std::env::var_os("WATTLE_MOTO").map(PathBuf::from).unwrap_or_default();
        let program = if folder.as_os_str().is_empty() { "moto_server".into() } else { folder.join("moto_server") };
        let spawned = Command::new(&program)
            .args(["-H", "127.0.0.1", "-p", &port.to_string()])
            .env("INITIAL_NO_AUTH_ACTION_COUNT", UNSIGNED.to_string())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let child = spawned.unwrap_or_else(|error| {
            panic!(
                "`{}` does not start ({error}); run the tests by `cargo xtask test`, which installs moto, or install it \
                 by `pip install 'moto[server]'` and set `WATTLE_MOTO` to the folder of `moto_server`",
                program.display()
            )
        });
        let mut moto = Self { child, port, key: String::new(), secret: String::new() };
        let end = Instant::now() + Duration::from_secs(60);
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(moto.child.try_wait().unwrap().is_none(), "moto ended at once");
            assert!(Instant::now() < end, "moto does not listen within 60 s");
            std::thread::sleep(Duration::from_millis(50));
        }
        let user = "Version=2010-05-08&UserName=agent";
        moto.request("POST", "/", "iam", &format!("Action=CreateUser&{user}"));
        let policy =
            r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["s3:*","sqs:*"],"Resource":"*"}]}"#;
        let policy: String = policy.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let form = format!("Action=PutUserPolicy&{user}&PolicyName=all&PolicyDocument={policy}");
        moto.request("POST", "/", "iam", &form);
        let created = moto.request("POST", "/", "iam", &format!("Action=CreateAccessKey&{user}"));
        let between = |name: &str| {
            let (_, rest) = created.split_once(&format!("<{name}>")).unwrap_or_else(|| panic!("{created}"));
            rest.split_once('<').unwrap().0.to_owned()
        };
        (moto.key, moto.secret) = (between("AccessKeyId"), between("SecretAccessKey"));
        moto.request("PUT", "/logs", "s3", "");
        moto.request("POST", "/", "sqs", "Action=CreateQueue&Version=2012-11-05&QueueName=events");
        moto
    }

    /// A request without a valid signature. Its header only names the service.
    fn request(&self, method: &str, path: &str, service: &str, form: &str) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: 127.0.0.1:{}\r\ncontent-type: application/x-www-form-urlencoded\r\n\
             authorization: AWS4-HMAC-SHA256 Credential=any/20260101/us-east-1/{service}/aws4_request, \
             SignedHeaders=host, Signature=0\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{form}",
            self.port,
            form.len()
        );
        stream.write_all(head.as_bytes()).unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        assert!(text.starts_with("HTTP/1.1 200 "), "{form}: {text}");
        text
    }

    /// A session with this secret.
    pub(crate) async fn session(&self, secret: &str) -> Session {
        let auth = json!({"access_key_id": self.key, "secret_access_key": secret});
        let endpoint = format!("http://127.0.0.1:{}", self.port);
        let options = json!({"region": "us-east-1", "endpoint": endpoint, "auth": auth});
        let read = wattle_options::read::<AwsOptions, _>(&options, |options, errors| options.resolve(errors));
        let mut config = read.unwrap();
        config.env = Arc::new(StaticEnv::default());
        Session::new(config).await.unwrap()
    }
}
