//! Every provider of credentials.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use serde_json::{Value, json};
use wattle_aws::{ErrorKind, S3, Session, StaticEnv};

use crate::config;
use crate::double::{Double, Reply, Seen, ok, s3_error};

/// A session with these variables and the home folder.
async fn session(options: Value, variables: &[(&str, &str)], home: &Path) -> Session {
    let mut config = config(options);
    let mut envs: HashMap<String, String> = HashMap::from([("AWS_REGION".to_owned(), "eu-west-1".to_owned())]);
    envs.extend(variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
    config.env = Arc::new(StaticEnv { home_dir: Some(home.to_owned()), envs });
    Session::new(config).await.unwrap()
}

/// The key and the token that a request to S3 is signed with.
async fn used(session: &Session, double: &Double) -> (String, Option<String>) {
    S3::new(session).head("logs", "k", None).await.unwrap();
    let seen = double.seen().into_iter().find(|seen| seen.method == "HEAD").unwrap();
    let authorization = seen.header("authorization").unwrap();
    let key = authorization.split_once("Credential=").unwrap().1.split('/').next().unwrap().to_owned();
    (key, seen.header("x-amz-security-token").map(str::to_owned))
}

fn expiry(seconds: i64) -> String {
    let time = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(seconds);
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// The response of STS.
fn sts(operation: &str, key: &str) -> Reply {
    ok(format!(
        "<{operation}Response><{operation}Result><AssumedRoleUser><Arn>a</Arn></AssumedRoleUser><Credentials>\
         <AccessKeyId>{key}</AccessKeyId><SecretAccessKey>s</SecretAccessKey><SessionToken>t</SessionToken>\
         <Expiration>{}</Expiration></Credentials></{operation}Result></{operation}Response>",
        expiry(3600)
    ))
}

/// The response of a metadata service.
fn metadata(key: &str) -> Reply {
    ok(json!({"Code": "Success", "AccessKeyId": key, "SecretAccessKey": "s", "Token": "t", "Expiration": expiry(3600)})
        .to_string())
}

fn write(home: &Path, name: &str, text: &str) {
    let path = home.join(".aws").join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

fn endpoints(double: &Double) -> Vec<(&'static str, &str)> {
    vec![("AWS_ENDPOINT_URL", double.address.as_str()), ("AWS_EC2_METADATA_DISABLED", "true")]
}

#[tokio::test]
async fn requirement_16_environment_then_profile() {
    let home = tempfile::tempdir().unwrap();
    let double = Double::with(vec![ok("")]).await;
    let mut variables = endpoints(&double);
    write(
        home.path(),
        "credentials",
        "[default]\naws_access_key_id = FILE\naws_secret_access_key = s\n[other]\naws_access_key_id = OTHER\naws_secret_access_key = s\n",
    );
    assert_eq!(used(&session(json!({}), &variables, home.path()).await, &double).await, ("FILE".to_owned(), None));
    let double = Double::with(vec![ok("")]).await;
    variables = endpoints(&double);
    variables.extend([("AWS_ACCESS_KEY_ID", "ENV"), ("AWS_SECRET_ACCESS_KEY", "s"), ("AWS_SESSION_TOKEN", "t")]);
    let env = session(json!({}), &variables, home.path()).await;
    assert_eq!(used(&env, &double).await, ("ENV".to_owned(), Some("t".to_owned())));
    let double = Double::with(vec![ok("")]).await;
    variables[0] = ("AWS_ENDPOINT_URL", double.address.as_str());
    let profile = session(json!({"auth": {"profile": "other"}}), &variables, home.path()).await;
    assert_eq!(used(&profile, &double).await.0, "OTHER");
}

#[tokio::test]
async fn requirement_16_assume_role_with_external_id() {
    let home = tempfile::tempdir().unwrap();
    let double = Double::answering(|seen| if seen.method == "POST" { sts("AssumeRole", "ROLE") } else { ok("") }).await;
    let auth = json!({"access_key_id": "BASE", "secret_access_key": "s", "assume_role": "arn:aws:iam::1:role/logs",
        "external_id": "x&y", "session_name": "agent-1", "session_duration": "30m"});
    let session = session(json!({ "auth": auth }), &endpoints(&double), home.path()).await;
    assert_eq!(used(&session, &double).await, ("ROLE".to_owned(), Some("t".to_owned())));
    let request = &double.seen()[0];
    assert!(request.header("authorization").unwrap().contains("Credential=BASE/"));
    for part in ["Action=AssumeRole&", "ExternalId=x%26y", "RoleSessionName=agent%2D1", "DurationSeconds=1800"] {
        assert!(request.body.contains(part), "{}", request.body);
    }
}

#[tokio::test]
async fn requirement_16_profiles_lead_to_roles() {
    let home = tempfile::tempdir().unwrap();
    write(
        home.path(),
        "config",
        "[profile logs]\nrole_arn = arn:aws:iam::1:role/b\nsource_profile = middle\nexternal_id = e\n\
        [profile middle]\nrole_arn = arn:aws:iam::1:role/a\nsource_profile = base\n[profile base]\naws_access_key_id = BASE\naws_secret_access_key = s\n\
        [profile self]\nrole_arn = arn:aws:iam::1:role/a\nsource_profile = self\naws_access_key_id = BASE\naws_secret_access_key = s\n\
        [profile round]\nrole_arn = arn:x\nsource_profile = about\n[profile about]\nrole_arn = arn:x\nsource_profile = round\n\
        [profile half]\nrole_arn = arn:x\n[profile mfa]\nrole_arn = arn:x\nmfa_serial = m\nsource_profile = base\n\
        [profile env]\nrole_arn = arn:aws:iam::1:role/a\ncredential_source = Environment\n[profile lost]\nrole_arn = arn:x\nsource_profile = basse\n",
    );
    for (profile, requests) in [("logs", 2), ("self", 1)] {
        let double =
            Double::answering(|seen| if seen.method == "POST" { sts("AssumeRole", "ROLE") } else { ok("") }).await;
        let options = json!({"auth": {"profile": profile}});
        let session = session(options, &endpoints(&double), home.path()).await;
        assert_eq!(used(&session, &double).await.0, "ROLE");
        assert_eq!(double.seen().iter().filter(|seen| seen.method == "POST").count(), requests);
    }
    for (profile, text) in [
        ("round", "in a circle"),
        ("half", "`source_profile` or `credential_source`"),
        ("mfa", "multi-factor"),
        ("env", "the environment has no credentials"),
        ("lost", "did you mean `base`?"),
        ("log", "did you mean `logs`?"),
    ] {
        let options = json!({"auth": {"profile": profile}});
        let session = session(options, &[("AWS_EC2_METADATA_DISABLED", "true")], home.path()).await;
        let error = session.credentials().check().await.unwrap_err().to_string();
        assert!(error.contains(text), "{profile}: {error}");
    }
}

#[tokio::test]
async fn requirement_16_web_identity_reads_the_token_each_time() {
    let home = tempfile::tempdir().unwrap();
    let token = home.path().join("token");
    std::fs::write(&token, "jwt.secret\n").unwrap();
    let double =
        Double::answering(|seen| if seen.method == "POST" { sts("AssumeRoleWithWebIdentity", "IRSA") } else { ok("") })
            .await;
    let path = token.to_str().unwrap().to_owned();
    let mut variables = endpoints(&double);
    variables.extend([("AWS_WEB_IDENTITY_TOKEN_FILE", path.as_str()), ("AWS_ROLE_ARN", "arn:aws:iam::1:role/pod")]);
    let irsa = session(json!({}), &variables, home.path()).await;
    assert_eq!(used(&irsa, &double).await.0, "IRSA");
    let request = &double.seen()[0];
    assert!(request.body.contains("WebIdentityToken=jwt%2Esecret") && request.header("authorization").is_none());
    // The service repeats the token in its error, which must not.
    let refusing = Double::answering(|seen| {
        assert_eq!(seen.method, "POST");
        let body =
            "<ErrorResponse><Error><Code>AccessDenied</Code><Message>not jwt.secret</Message></Error></ErrorResponse>";
        Reply::Full(403, Vec::new(), body.into())
    })
    .await;
    variables[0] = ("AWS_ENDPOINT_URL", refusing.address.as_str());
    let error = session(json!({}), &variables, home.path()).await.credentials().check().await.unwrap_err().to_string();
    assert!(
        error.contains("trust policy") && error.contains("web identity") && !error.contains("jwt.secret"),
        "{error}"
    );
}

#[tokio::test]
async fn requirement_16_containers_send_the_token_of_pod_identity() {
    let home = tempfile::tempdir().unwrap();
    let token = home.path().join("token");
    std::fs::write(&token, "pod-token").unwrap();
    let double = Double::answering(|seen| if seen.target == "/creds" { metadata("POD") } else { ok("") }).await;
    let (uri, path) = (format!("{}/creds", double.address), token.to_str().unwrap().to_owned());
    let mut variables = endpoints(&double);
    variables.extend([
        ("AWS_CONTAINER_CREDENTIALS_FULL_URI", uri.as_str()),
        ("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", path.as_str()),
    ]);
    let pod = session(json!({}), &variables, home.path()).await;
    assert_eq!(used(&pod, &double).await, ("POD".to_owned(), Some("t".to_owned())));
    assert_eq!(double.seen()[0].header("authorization"), Some("pod-token"));
    variables[2].1 = "http://evil.example.com/creds";
    let error = session(json!({}), &variables, home.path()).await.credentials().check().await.unwrap_err();
    assert!(error.to_string().contains("neither `https://`"), "{error}");
}

fn imds(seen: &Seen, key: &str) -> Reply {
    match (seen.method.as_str(), seen.target.as_str()) {
        ("PUT", "/latest/api/token") => ok("imds-token"),
        _ if seen.target.starts_with("/latest/") && seen.header("x-aws-ec2-metadata-token") != Some("imds-token") => {
            Reply::Full(401, Vec::new(), Vec::new())
        }
        (_, "/latest/meta-data/placement/region") => ok("ap-south-1"),
        (_, "/latest/meta-data/iam/security-credentials/") => ok("role"),
        (_, "/latest/meta-data/iam/security-credentials/role") => metadata(key),
        _ => ok(""),
    }
}

#[tokio::test]
async fn requirement_16_instances_use_imds_version_2() {
    let home = tempfile::tempdir().unwrap();
    let double = Double::answering(|seen| imds(seen, "EC2")).await;
    let variables = [
        ("AWS_ENDPOINT_URL_STS", double.address.as_str()),
        ("AWS_EC2_METADATA_SERVICE_ENDPOINT", double.address.as_str()),
    ];
    let mut config = config(json!({}));
    let envs = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    config.env = Arc::new(StaticEnv { home_dir: Some(home.path().to_owned()), envs });
    let instance = Session::new(config).await.unwrap();
    assert_eq!(instance.region(), "ap-south-1");
    instance.credentials().check().await.unwrap();
    let envs = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let mut config = self::config(json!({}));
    config.env = Arc::new(StaticEnv { home_dir: Some(home.path().to_owned()), envs });
    config.queue_url = Some("https://sqs.eu-north-1.amazonaws.com/123456789012/logs".to_owned());
    assert_eq!(Session::new(config).await.unwrap().region(), "eu-north-1", "that of the queue comes before");
    let mut variables = variables.to_vec();
    variables.push(("AWS_ENDPOINT_URL_S3", double.address.as_str()));
    assert_eq!(used(&session(json!({}), &variables, home.path()).await, &double).await.0, "EC2");
}

#[tokio::test]
async fn requirement_16_sso_tokens_are_refreshed_and_stored() {
    let home = tempfile::tempdir().unwrap();
    write(
        home.path(),
        "config",
        "[default]\nsso_session = corp\nsso_account_id = 1\nsso_role_name = Logs\n\
        [sso-session corp]\nsso_start_url = https://corp.awsapps.com/start\nsso_region = eu-west-1\n",
    );
    // The SHA-1 of `corp`.
    let file = "sso/cache/ee0bfd2552fbd840c02cc48b6e823320543c450f.json";
    let stored = |expires: String| {
        json!({"accessToken": "old", "expiresAt": expires, "refreshToken": "r1", "clientId": "id", "clientSecret": "cs",
            "startUrl": "https://corp.awsapps.com/start"})
    };
    write(home.path(), file, &stored(expiry(-60)).to_string());
    let portal = |seen: &Seen| match seen.target.as_str() {
        "/token" if seen.body.contains("\"refreshToken\":\"r1\"") => {
            ok(json!({"accessToken": "new", "expiresIn": 3600, "refreshToken": "r2"}).to_string())
        }
        target if target.starts_with("/federation/credentials") => match seen.header("x-amz-sso_bearer_token") {
            Some("new") => {
                ok(json!({"roleCredentials": {"accessKeyId": "SSO", "secretAccessKey": "s", "sessionToken": "t",
                "expiration": (jiff::Timestamp::now().as_second() + 3600) * 1000}})
                .to_string())
            }
            _ => Reply::Full(401, Vec::new(), Vec::new()),
        },
        "/token" => Reply::Full(400, Vec::new(), b"{}".to_vec()),
        _ => ok(""),
    };
    let double = Double::answering(portal).await;
    let mut variables = endpoints(&double);
    variables.extend([
        ("AWS_ENDPOINT_URL_SSO", double.address.as_str()),
        ("AWS_ENDPOINT_URL_SSO_OIDC", double.address.as_str()),
    ]);
    let sso = session(json!({}), &variables, home.path()).await;
    assert_eq!(used(&sso, &double).await.0, "SSO");
    let path = home.path().join(".aws").join(file);
    let now: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    assert_eq!(
        (&now["accessToken"], &now["refreshToken"], &now["clientId"]),
        (&json!("new"), &json!("r2"), &json!("id"))
    );
    // The refresh token is no longer valid: an operator must log in.
    let mut expired = stored(expiry(-60));
    expired["refreshToken"] = json!("r0");
    write(home.path(), file, &expired.to_string());
    let error = session(json!({}), &variables, home.path()).await.credentials().check().await.unwrap_err();
    assert!(error.to_string().contains("run `aws sso login --profile default`"), "{error}");
}

#[tokio::test]
async fn requirement_16_programs_run_only_if_they_are_allowed() {
    let home = tempfile::tempdir().unwrap();
    let output = json!({"Version": 1, "AccessKeyId": "PROGRAM", "SecretAccessKey": "s", "Expiration": expiry(3600)});
    let file = home.path().join("output.json");
    std::fs::write(&file, output.to_string()).unwrap();
    write(
        home.path(),
        "config",
        &format!(
            "[profile p]\ncredential_process = cat '{}'\n[profile bad]\ncredential_process = echo secret-text\n[profile fails]\ncredential_process = false\n",
            file.display()
        ),
    );
    let double = Double::with(vec![ok("")]).await;
    let run = |profile: &str, allowed: bool| json!({"auth": {"profile": profile, "credential_process": allowed}});
    let forbidden = session(run("p", false), &endpoints(&double), home.path()).await;
    let error = forbidden.credentials().check().await.unwrap_err().to_string();
    assert!(error.contains("auth.credential_process = true"), "{error}");
    assert_eq!(used(&session(run("p", true), &endpoints(&double), home.path()).await, &double).await.0, "PROGRAM");
    for (profile, text) in [("bad", "not the JSON"), ("fails", "exit status: 1")] {
        let session = session(run(profile, true), &endpoints(&double), home.path()).await;
        let error = session.credentials().check().await.unwrap_err().to_string();
        assert!(error.contains(text) && !error.contains("secret-text"), "{error}");
    }
}

#[tokio::test]
async fn requirement_16_errors_name_the_provider_and_the_fix() {
    let home = tempfile::tempdir().unwrap();
    for (variables, text) in [
        (vec![("AWS_EC2_METADATA_DISABLED", "true")], "set one of them, or `auth`"),
        (vec![("AWS_ACCESS_KEY_ID", "a")], "`AWS_SECRET_ACCESS_KEY` is not set"),
        (
            vec![("AWS_WEB_IDENTITY_TOKEN_FILE", "/nowhere"), ("AWS_ROLE_ARN", "arn")],
            "cannot read the token in `/nowhere`",
        ),
        (vec![("AWS_PROFILE", "missing")], "profile `missing`"),
        (vec![("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://127.0.0.1:1")], "IMDSv2"),
    ] {
        let session = session(json!({}), &variables, home.path()).await;
        let error = session.credentials().check().await.unwrap_err().to_string();
        assert!(error.contains(text), "{variables:?}: {error}");
        // A request fails with the same text.
        let error = S3::new(&session).head("logs", "k", None).await.unwrap_err();
        assert!(error.kind == ErrorKind::Credentials && error.to_string().contains(text), "{error}");
    }
}

#[tokio::test]
async fn requirement_16_expired_credentials_are_replaced_once() {
    let home = tempfile::tempdir().unwrap();
    let double = Double::answering(|seen| match seen.target.as_str() {
        "/creds" => metadata("POD"),
        _ => s3_error(400, "ExpiredToken"),
    })
    .await;
    let uri = format!("{}/creds", double.address);
    let mut variables = endpoints(&double);
    variables.push(("AWS_CONTAINER_CREDENTIALS_FULL_URI", uri.as_str()));
    let session = session(json!({}), &variables, home.path()).await;
    let request = wattle_aws::ListObjects { bucket: "logs".to_owned(), ..wattle_aws::ListObjects::default() };
    let error = S3::new(&session).list(&request).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::ExpiredCredentials);
    let targets: Vec<bool> = double.seen().iter().map(|seen| seen.target == "/creds").collect();
    assert_eq!(targets, [true, false, true, false]);
}

#[tokio::test]
async fn nothing_that_a_session_shows_has_a_secret() {
    let home = tempfile::tempdir().unwrap();
    let auth = json!({"access_key_id": "AKIDEXAMPLE", "secret_access_key": "geheim-geheim-geheim", "session_token": "token-token"});
    let config = config(json!({"region": "eu-west-1", "auth": auth}));
    let shown = format!("{config:?}");
    let session = session(json!({ "auth": auth }), &[], home.path()).await;
    session.credentials().check().await.unwrap();
    let shown = format!("{shown} {session:?} {:?}", S3::new(&session));
    for part in ["AKID", "gehe", "heim", "token-token"] {
        assert!(!shown.contains(part), "{part} in {shown}");
    }
}
