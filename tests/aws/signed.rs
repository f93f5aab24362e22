//! moto with real signatures and policies, for the clients of `wattle-aws`.

use std::sync::Arc;

use serde_json::json;
use wattle_aws::{AwsOptions, Session, StaticEnv};

use crate::moto::{Server, authorization};

/// Number of requests that moto accepts without a valid signature: those that set up the user, bucket and queue.
const UNSIGNED: usize = 5;

/// A running server, and the key of a user.
pub(crate) struct Signed {
    server: Server,
    pub(crate) key: String,
    pub(crate) secret: String,
}

impl Signed {
    /// Starts a server with one user that may use S3 and SQS, the bucket `logs`, and the queue `events`.
    pub(crate) fn start() -> Self {
        let server = Server::start(Some(UNSIGNED));
        // A request without a valid signature: its header only names the service.
        let submit = |service: &str, form: &str| {
            let request = server.client.post(&server.address).content_type("application/x-www-form-urlencoded");
            let mut response = request.header("authorization", authorization(service)).send(form).unwrap();
            let text = response.body_mut().read_to_string().unwrap();
            assert_eq!(response.status(), 200, "{form}: {text}");
            text
        };
        let user = "Version=2010-05-08&UserName=agent";
        submit("iam", &format!("Action=CreateUser&{user}"));
        let policy =
            r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["s3:*","sqs:*"],"Resource":"*"}]}"#;
        let policy: String = policy.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let form = format!("Action=PutUserPolicy&{user}&PolicyName=all&PolicyDocument={policy}");
        submit("iam", &form);
        let created = submit("iam", &format!("Action=CreateAccessKey&{user}"));
        let between = |name: &str| {
            let (_, rest) = created.split_once(&format!("<{name}>")).unwrap_or_else(|| panic!("{created}"));
            rest.split_once('<').unwrap().0.to_owned()
        };
        let (key, secret) = (between("AccessKeyId"), between("SecretAccessKey"));
        let bucket = server.client.put(format!("{}/logs", server.address));
        assert_eq!(bucket.header("authorization", authorization("s3")).send("").unwrap().status(), 200);
        submit("sqs", "Action=CreateQueue&Version=2012-11-05&QueueName=events");
        Self { server, key, secret }
    }

    /// A session with this secret.
    pub(crate) async fn session(&self, secret: &str) -> Session {
        let auth = json!({"access_key_id": self.key, "secret_access_key": secret});
        let options = json!({"region": "us-east-1", "endpoint": self.server.address, "auth": auth});
        let read = wattle_options::read::<AwsOptions, _>(&options, |options, errors| options.resolve(errors));
        let mut config = read.unwrap();
        config.env = Arc::new(StaticEnv::default());
        Session::new(config).await.unwrap()
    }
}
