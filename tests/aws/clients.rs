//! The clients against moto, which checks every signature.

use std::time::Duration;

use wattle_aws::{ErrorKind, GetObject, ListObjects, PutObject, Receive, S3, Session, Sqs};

use crate::signed::Signed;

const KEY: &str = "AWSLogs/a b/ü+(1)!*'&=~/x.json";

async fn read(client: &S3, request: &GetObject) -> Result<Vec<u8>, wattle_aws::Error> {
    let mut stream = client.get(request).await?;
    let mut bytes = Vec::new();
    while let Some(chunk) = stream.chunk().await {
        bytes.extend_from_slice(&chunk?);
    }
    Ok(bytes)
}

#[tokio::test]
async fn every_operation_is_signed_as_the_server_demands() {
    let moto = Signed::start();
    let session = moto.session(&moto.secret).await;
    storage(&session).await;
    uploads(&session).await;
    queues(&session).await;
    let wrong = moto.session("wrong-secret").await;
    let error =
        S3::new(&wrong).list(&ListObjects { bucket: "logs".to_owned(), ..ListObjects::default() }).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Credentials, "the server checks signatures: {error}");
    let error = Sqs::find(&wrong, "events", None).await.unwrap_err();
    // moto reports it in XML, which the JSON protocol does not have, so only the status is left.
    assert_eq!(error.kind, ErrorKind::Denied, "the server checks signatures: {error}");
}

async fn storage(session: &Session) {
    let client = S3::new(session);
    let object = PutObject {
        bucket: "logs".to_owned(),
        key: KEY.to_owned(),
        body: "0123456789".into(),
        if_none_match: true,
        content_encoding: Some("gzip".to_owned()),
        storage_class: Some("STANDARD_IA".to_owned()),
        tags: vec![("team".to_owned(), "a b=c".to_owned())],
        metadata: vec![("signature".to_owned(), "abc".to_owned())],
        ..PutObject::default()
    };
    let etag = client.put(&object).await.unwrap().etag;
    assert_eq!(client.put(&object).await.unwrap_err().kind, ErrorKind::PreconditionFailed);
    let head = client.head("logs", KEY, None).await.unwrap();
    assert_eq!((head.size, &head.etag, head.storage_class.as_deref()), (Some(10), &etag, Some("STANDARD_IA")));
    assert_eq!((head.content_encoding.as_deref(), head.metadata.len()), (Some("gzip"), 1));
    let whole = GetObject { bucket: "logs".to_owned(), key: KEY.to_owned(), ..GetObject::default() };
    assert_eq!(read(&client, &whole).await.unwrap(), b"0123456789");
    let rest = GetObject { start: 4, last: Some(6), if_match: etag, ..whole.clone() };
    assert_eq!(read(&client, &rest).await.unwrap(), b"456");
    let changed = GetObject { if_match: Some("0".repeat(32)), ..whole.clone() };
    assert_eq!(read(&client, &changed).await.unwrap_err().kind, ErrorKind::PreconditionFailed);
    let missing = GetObject { key: "missing".to_owned(), ..whole };
    assert_eq!(read(&client, &missing).await.unwrap_err().kind, ErrorKind::NotFound);
    assert_eq!(client.head("nowhere", "k", None).await.unwrap_err().kind, ErrorKind::NotFound);
    for number in 0..5 {
        let key = format!("list/{number}");
        client.put(&PutObject { bucket: "logs".to_owned(), key, ..PutObject::default() }).await.unwrap();
    }
    let mut request = ListObjects {
        bucket: "logs".to_owned(),
        prefix: "list/".to_owned(),
        start_after: Some("list/0".to_owned()),
        max_keys: Some(3),
        ..ListObjects::default()
    };
    let mut keys = Vec::new();
    loop {
        let page = client.list(&request).await.unwrap();
        keys.extend(page.objects.into_iter().map(|object| object.key));
        request.continuation = page.next;
        if request.continuation.is_none() {
            break;
        }
    }
    assert_eq!(keys, ["list/1", "list/2", "list/3", "list/4"]);
    let all = client.list(&ListObjects { bucket: "logs".to_owned(), ..ListObjects::default() }).await.unwrap();
    assert_eq!(all.objects[0].key, KEY, "keys are decoded");
    let request = ListObjects { bucket: "logs".to_owned(), delimiter: Some("/".to_owned()), ..ListObjects::default() };
    assert_eq!(client.list(&request).await.unwrap().prefixes, ["AWSLogs/", "list/"]);
}

async fn uploads(session: &Session) {
    let client = S3::new(session);
    let object = PutObject { bucket: "logs".to_owned(), key: "large/ü".to_owned(), ..PutObject::default() };
    let upload = client.create_upload(&object).await.unwrap();
    let (first, last) = (vec![b'a'; 5 << 20], vec![b'b'; 1000]);
    let parts = vec![
        client.upload_part(&object, &upload, 1, first.clone().into()).await.unwrap(),
        client.upload_part(&object, &upload, 2, last.clone().into()).await.unwrap(),
    ];
    client.complete_upload(&object, &upload, &parts).await.unwrap();
    let request = GetObject { bucket: "logs".to_owned(), key: "large/ü".to_owned(), ..GetObject::default() };
    assert!(read(&client, &request).await.unwrap() == [first, last].concat());
    let upload = client.create_upload(&object).await.unwrap();
    client.abort_upload(&object, &upload).await.unwrap();
    // moto responds with 500 to a part of an aborted upload, and to its completion, instead of `NoSuchUpload`.
    assert_eq!(client.abort_upload(&object, &upload).await.unwrap_err().kind, ErrorKind::NotFound);
}

async fn queues(session: &Session) {
    assert_eq!(Sqs::find(session, "missing", None).await.unwrap_err().kind, ErrorKind::NotFound);
    let queue = Sqs::find(session, "events", None).await.unwrap();
    for number in 0..3 {
        queue.send(&format!("{{\"n\":{number},\"text\":\"ü\"}}")).await.unwrap();
    }
    let attributes = queue.attributes(&["All"]).await.unwrap();
    assert_eq!(attributes["ApproximateNumberOfMessages"], "3");
    let receive = Receive { max: 10, wait: Duration::from_secs(1), visibility: Some(Duration::from_secs(60)) };
    let messages = queue.receive(&receive).await.unwrap();
    assert_eq!((messages.len(), messages[0].receive_count()), (3, Some(1)));
    assert!(messages[0].sent_at().is_some() && messages[0].body.ends_with("\"ü\"}"));
    assert!(queue.receive(&receive).await.unwrap().is_empty(), "they are hidden");
    let receipts: Vec<&str> = messages.iter().map(|message| message.receipt.as_str()).collect();
    assert!(queue.change_visibility(&receipts[..1], Duration::ZERO).await.unwrap().is_empty());
    let again = queue.receive(&receive).await.unwrap();
    assert_eq!((again.len(), again[0].receive_count(), &again[0].body), (1, Some(2), &messages[0].body));
    let receipts = [again[0].receipt.as_str(), receipts[1], "no-receipt"];
    let failures = queue.delete(&receipts).await.unwrap();
    assert_eq!(failures.iter().map(|failure| failure.index).collect::<Vec<_>>(), [2]);
}
