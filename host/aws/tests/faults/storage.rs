//! S3.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::json;
use wattle_aws::{
    AwsOptions, Encryption, ErrorKind, GetObject, ListObjects, Part, PutObject, Retry, S3, Session, StaticEnv,
};

use crate::double::{Double, Reply, ok, s3_error};
use crate::session;

fn object(start: u64) -> GetObject {
    GetObject { bucket: "logs".to_owned(), key: "a b/ü+c".to_owned(), start, ..GetObject::default() }
}

/// The bytes of an object, and the error that ended them.
async fn read(client: &S3, request: &GetObject) -> (Vec<u8>, Option<wattle_aws::Error>) {
    let mut stream = match client.get(request).await {
        Ok(stream) => stream,
        Err(error) => return (Vec::new(), Some(error)),
    };
    let mut bytes = Vec::new();
    while let Some(chunk) = stream.chunk().await {
        match chunk {
            Ok(chunk) => bytes.extend_from_slice(&chunk),
            Err(error) => return (bytes, Some(error)),
        }
        assert_eq!(stream.position(), request.start + bytes.len() as u64);
    }
    (bytes, None)
}

#[tokio::test]
async fn an_object_is_read_with_its_metadata() {
    let headers = vec![("etag", "\"e1\"".to_owned()), ("x-amz-meta-signature", "ab".to_owned())];
    let double = Double::with(vec![Reply::Full(200, headers, b"hello".to_vec())]).await;
    let client = S3::new(&session(&double.address).await);
    let stream = client.get(&object(0)).await.unwrap();
    assert_eq!((stream.head.size, stream.head.etag.as_deref()), (Some(5), Some("e1")));
    assert_eq!(stream.head.metadata, [("signature".to_owned(), "ab".to_owned())]);
    let seen = double.seen();
    assert_eq!(seen[0].target, "/logs/a%20b/%C3%BC%2Bc");
    let authorization = seen[0].header("authorization").unwrap();
    assert!(authorization.starts_with("AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/"), "{authorization}");
    assert!(authorization.contains("/eu-west-1/s3/aws4_request"), "{authorization}");
}

#[tokio::test]
async fn requirement_17_a_broken_body_continues_at_its_position() {
    let part = vec![("content-range", "bytes 3-5/6".to_owned())];
    let double = Double::with(vec![Reply::Cut(6, b"abc".to_vec()), Reply::Full(206, part, b"def".to_vec())]).await;
    let client = S3::new(&session(&double.address).await);
    let (bytes, error) = read(&client, &object(0)).await;
    let error = error.unwrap();
    assert_eq!((bytes.as_slice(), error.kind, error.retry()), (&b"abc"[..], ErrorKind::Connection, Retry::Backoff));
    let next = GetObject { if_match: Some("e1".to_owned()), ..object(3) };
    assert_eq!(read(&client, &next).await, (b"def".to_vec(), None));
    let seen = double.seen();
    assert_eq!((seen[1].header("range"), seen[1].header("if-match")), (Some("bytes=3-"), Some("\"e1\"")));
}

#[tokio::test]
async fn a_server_that_ignores_the_range_is_an_error() {
    let double = Double::with(vec![ok("abcdef")]).await;
    let (bytes, error) = read(&S3::new(&session(&double.address).await), &object(3)).await;
    assert_eq!((bytes.len(), error.unwrap().kind), (0, ErrorKind::InvalidResponse));
}

#[tokio::test]
async fn requirement_10_every_wait_has_a_limit() {
    for (reply, expected, reason) in [
        (Reply::Silence, &b""[..], "no response within"),
        (Reply::Stalled(9, b"abc".to_vec()), b"abc", "no byte of the body within"),
    ] {
        let double = Double::with(vec![reply]).await;
        let (bytes, error) = read(&S3::new(&session(&double.address).await), &object(0)).await;
        let error = error.unwrap();
        assert_eq!((bytes.as_slice(), error.kind), (expected, ErrorKind::Timeout), "{error}");
        assert!(error.to_string().contains(reason), "{error}");
    }
}

#[tokio::test]
async fn requirement_10_each_option_limits_its_own_wait() {
    // It accepts connections, and never responds, neither to TLS nor to a request.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let stalled = Double::with(vec![Reply::Stalled(9, b"abc".to_vec())]).await;
    for (endpoint, option, expected, reason) in [
        (format!("https://localhost:{port}"), "connect_timeout", 0, "cannot connect within 400ms"),
        (format!("http://127.0.0.1:{port}"), "first_byte_timeout", 0, "no response within 400ms"),
        (stalled.address.clone(), "idle_timeout", 3, "no byte of the body within 400ms"),
    ] {
        let auth = json!({"access_key_id": "AKIDEXAMPLE", "secret_access_key": "secret"});
        let mut options = json!({"region": "eu-west-1", "endpoint": endpoint, "auth": auth});
        options[option] = json!("400ms");
        let read_options = wattle_options::read::<AwsOptions, _>(&options, |options, errors| options.resolve(errors));
        let mut config = read_options.unwrap();
        config.env = Arc::new(StaticEnv::default());
        let begun = Instant::now();
        let client = S3::new(&Session::new(config).await.unwrap());
        let (bytes, error) = read(&client, &object(0)).await;
        let (error, took) = (error.unwrap(), begun.elapsed());
        assert_eq!((bytes.len(), error.kind), (expected, ErrorKind::Timeout), "{option}: {error}");
        assert!(error.to_string().contains(reason), "{option}: {error}");
        // The other limits are 10 s and more.
        assert!((Duration::from_millis(400)..Duration::from_secs(5)).contains(&took), "{option}: {took:?}");
    }
}

#[tokio::test]
async fn requirement_10_a_slow_body_has_no_limit() {
    // The body takes longer than each limit, but never pauses for that long.
    let double = Double::with(vec![Reply::Dripping(Duration::from_millis(40), b"a slow body".to_vec())]).await;
    let begun = Instant::now();
    let (bytes, error) = read(&S3::new(&session(&double.address).await), &object(0)).await;
    assert_eq!((bytes.as_slice(), error), (&b"a slow body"[..], None));
    assert!(begun.elapsed() > Duration::from_millis(400));
}

#[tokio::test]
async fn requirement_09_errors_have_kind_cause_and_advice() {
    let slow =
        Reply::Full(503, vec![("retry-after", "7".to_owned())], b"<Error><Code>SlowDown</Code></Error>".to_vec());
    for (reply, kind, retry, text) in [
        (slow, ErrorKind::Throttled, Retry::After(std::time::Duration::from_secs(7)), "SlowDown, status 503"),
        (s3_error(403, "AccessDenied"), ErrorKind::Denied, Retry::Operator, "IAM policy"),
        (s3_error(404, "NoSuchKey"), ErrorKind::NotFound, Retry::Never, "message of NoSuchKey"),
        (s3_error(403, "RequestTimeTooSkewed"), ErrorKind::ClockSkew, Retry::Operator, "set the clock"),
        (s3_error(403, "SignatureDoesNotMatch"), ErrorKind::Credentials, Retry::Operator, "check `auth`"),
        (s3_error(412, "PreconditionFailed"), ErrorKind::PreconditionFailed, Retry::Never, "PreconditionFailed"),
        (s3_error(500, "InternalError"), ErrorKind::Server, Retry::Backoff, "request R1"),
        (s3_error(400, "ExpiredToken"), ErrorKind::ExpiredCredentials, Retry::Backoff, "ExpiredToken"),
        (Reply::Full(502, Vec::new(), b"<html>".to_vec()), ErrorKind::Server, Retry::Backoff, "status 502"),
        (Reply::Close, ErrorKind::Connection, Retry::Backoff, "closed the connection"),
        (Reply::Raw(b"SSH-2.0\r\n".to_vec()), ErrorKind::Connection, Retry::Backoff, "does not speak HTTP"),
    ] {
        let double = Double::with(vec![reply.clone()]).await;
        let (_, error) = read(&S3::new(&session(&double.address).await), &object(0)).await;
        let error = error.unwrap();
        assert_eq!((error.kind, error.retry()), (kind, retry), "{reply:?}: {error}");
        let shown = error.to_string();
        assert!(shown.contains(text) && shown.contains("s3://logs/a b/ü+c"), "{shown}");
    }
    // Nothing listens there.
    let (_, error) = read(&S3::new(&session("http://127.0.0.1:1").await), &object(0)).await;
    assert!(error.unwrap().to_string().contains("connection refused"));
}

#[tokio::test]
async fn an_error_response_without_end_is_bounded() {
    let double = Double::with(vec![Reply::Full(500, Vec::new(), vec![b'x'; 5 << 20])]).await;
    let (_, error) = read(&S3::new(&session(&double.address).await), &object(0)).await;
    let error = error.unwrap();
    assert_eq!(error.kind, ErrorKind::Server);
    assert!(error.to_string().len() < 600);
}

#[tokio::test]
async fn requirement_17_the_region_of_a_bucket_is_followed_and_remembered() {
    let double = Double::answering(|seen| {
        if seen.header("authorization").unwrap().contains("/eu-central-1/s3/") {
            return ok("x");
        }
        let header = vec![("x-amz-bucket-region", "eu-central-1".to_owned())];
        Reply::Full(if seen.method == "HEAD" { 400 } else { 301 }, header, Vec::new())
    })
    .await;
    let client = S3::new(&session(&double.address).await);
    assert_eq!(client.head("logs", "k", None).await.unwrap().size, Some(1));
    assert_eq!(read(&client, &object(0)).await, (b"x".to_vec(), None));
    assert_eq!(double.seen().len(), 3, "the second operation goes to the region at once");
}

#[tokio::test]
async fn a_region_that_leads_in_a_circle_or_to_another_host_is_not_followed() {
    for region in ["eu-west-1", "evil.example.com/", ""] {
        let header = vec![("x-amz-bucket-region", region.to_owned())];
        let double = Double::with(vec![Reply::Full(301, header, Vec::new())]).await;
        let error = S3::new(&session(&double.address).await).head("logs", "k", None).await.unwrap_err();
        assert_eq!((error.kind, double.seen().len()), (ErrorKind::WrongRegion, 1), "{region}");
    }
}

#[tokio::test]
async fn a_list_has_decoded_keys_and_the_next_page() {
    let page = "<ListBucketResult><Name>logs</Name><EncodingType>url</EncodingType><IsTruncated>true</IsTruncated>\
        <NextContinuationToken>t+1</NextContinuationToken><Contents><Key>a%2Fb+c%01</Key><Size>7</Size><ETag>&quot;e&quot;</ETag>\
        <LastModified>2026-01-02T03:04:05.000Z</LastModified><StorageClass>GLACIER</StorageClass></Contents>\
        <CommonPrefixes><Prefix>p%2F</Prefix></CommonPrefixes></ListBucketResult>";
    let double = Double::with(vec![ok(page)]).await;
    let client = S3::new(&session(&double.address).await);
    let request = ListObjects {
        bucket: "logs".to_owned(),
        prefix: "a/ü".to_owned(),
        start_after: Some("a/0".to_owned()),
        ..ListObjects::default()
    };
    let listed = client.list(&request).await.unwrap();
    assert_eq!((listed.objects[0].key.as_str(), listed.objects[0].size), ("a/b c\u{1}", 7));
    assert_eq!((listed.objects[0].etag.as_str(), listed.objects[0].storage_class.as_str()), ("e", "GLACIER"));
    assert_eq!((listed.prefixes.as_slice(), listed.next.as_deref()), (&["p/".to_owned()][..], Some("t+1")));
    assert_eq!(double.seen()[0].target, "/logs?encoding-type=url&list-type=2&prefix=a%2F%C3%BC&start-after=a%2F0");
}

#[tokio::test]
async fn hostile_lists_are_errors() {
    for body in [
        "",
        "not xml",
        "<ListBucketResult>",
        "<ListBucketResult><IsTruncated>true</IsTruncated></ListBucketResult>",
        "<ListBucketResult><IsTruncated>false</IsTruncated><EncodingType>url</EncodingType><Contents><Key>%FF</Key></Contents></ListBucketResult>",
        "<!DOCTYPE x [<!ENTITY a \"aaaa\">]><ListBucketResult><IsTruncated>&a;</IsTruncated></ListBucketResult>",
    ] {
        let double = Double::with(vec![ok(body)]).await;
        let request = ListObjects { bucket: "logs".to_owned(), ..ListObjects::default() };
        let error = S3::new(&session(&double.address).await).list(&request).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::InvalidResponse, "{body}: {error}");
    }
    let double = Double::with(vec![ok(vec![b' '; (16 << 20) + 1])]).await;
    let request = ListObjects { bucket: "logs".to_owned(), ..ListObjects::default() };
    let error = S3::new(&session(&double.address).await).list(&request).await.unwrap_err();
    assert!(error.to_string().contains("more than"), "{error}");
}

#[tokio::test]
async fn an_object_is_written_with_all_of_its_settings() {
    let double = Double::with(vec![Reply::Full(200, vec![("etag", "\"e\"".to_owned())], Vec::new())]).await;
    let object = PutObject {
        bucket: "logs".to_owned(),
        key: "k".to_owned(),
        body: "data".into(),
        if_none_match: true,
        content_type: Some("application/json".to_owned()),
        content_encoding: Some("gzip".to_owned()),
        storage_class: Some("STANDARD_IA".to_owned()),
        encryption: Some(Encryption::Kms(Some("key".to_owned()))),
        acl: Some("bucket-owner-full-control".to_owned()),
        tags: vec![("team".to_owned(), "a&b".to_owned())],
        metadata: vec![("origin".to_owned(), "x".to_owned())],
    };
    let client = S3::new(&session(&double.address).await);
    assert_eq!(client.put(&object).await.unwrap().etag.as_deref(), Some("e"));
    let seen = &double.seen()[0];
    for (name, value) in [
        ("if-none-match", "*"),
        ("content-encoding", "gzip"),
        ("x-amz-acl", "bucket-owner-full-control"),
        ("x-amz-storage-class", "STANDARD_IA"),
        ("x-amz-server-side-encryption", "aws:kms"),
        ("x-amz-server-side-encryption-aws-kms-key-id", "key"),
        ("x-amz-tagging", "team=a%26b"),
        ("x-amz-meta-origin", "x"),
        ("content-length", "4"),
        ("x-amz-content-sha256", "3a6eb0790f39ac87c94f3856b2dd2c5d110e6811602261a9a923d3bb23adc8b7"),
    ] {
        assert_eq!(seen.header(name), Some(value), "{name}");
    }
    let bad = PutObject { metadata: vec![("a".to_owned(), "line\nbreak".to_owned())], ..object };
    let error = client.put(&bad).await.unwrap_err();
    assert_eq!((error.kind, double.seen().len()), (ErrorKind::Rejected, 1), "{error}");
}

#[tokio::test]
async fn a_failed_completion_with_status_200_is_an_error() {
    let double = Double::with(vec![ok("<Error><Code>InternalError</Code><Message>try again</Message></Error>")]).await;
    let object = PutObject { bucket: "logs".to_owned(), key: "k".to_owned(), ..PutObject::default() };
    let client = S3::new(&session(&double.address).await);
    let parts = [Part { number: 1, etag: "\"<e>\"".to_owned() }];
    let error = client.complete_upload(&object, "u", &parts).await.unwrap_err();
    assert_eq!((error.kind, &*error.reason), (ErrorKind::Server, "try again"));
    assert!(double.seen()[0].body.contains("<PartNumber>1</PartNumber><ETag>&quot;&lt;e&gt;&quot;</ETag>"));
    assert_eq!(client.complete_upload(&object, "u", &[]).await.unwrap_err().kind, ErrorKind::Rejected);
}
