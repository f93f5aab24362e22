use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use super::*;

/// A server that responds by path, and counts the requests.
fn server() -> (SocketAddr, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (address, seen) = (listener.local_addr().unwrap(), Arc::new(Mutex::new(Vec::new())));
    let asked = seen.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut stream, asked) = (stream.unwrap(), asked.clone());
            std::thread::spawn(move || {
                let mut reader = BufReader::new(stream.try_clone().unwrap());
                let (mut line, mut head) = (String::new(), String::new());
                while reader.read_line(&mut line).unwrap_or(0) > 2 {
                    head += &std::mem::take(&mut line);
                }
                let length = head.to_lowercase().lines().find_map(|l| l.strip_prefix("content-length: ")?.parse().ok());
                let mut body = vec![0; length.unwrap_or(0)];
                reader.read_exact(&mut body).unwrap();
                asked.lock().push(format!("{head}\n{}", String::from_utf8_lossy(&body)));
                let path = head.split(' ').nth(1).unwrap_or_default();
                let answer = match path {
                    "/moved" => "HTTP/1.1 302 Found\r\nlocation: http://elsewhere/\r\n",
                    "/slow" => {
                        std::thread::sleep(Duration::from_millis(400));
                        "HTTP/1.1 200 OK\r\n"
                    }
                    "/none" => "HTTP/1.1 404 Not Found\r\n",
                    _ => "HTTP/1.1 200 OK\r\nx-one: 1\r\n",
                };
                let text = format!("{answer}connection: close\r\ncontent-length: 5\r\n\r\nhello");
                let _ = stream.write_all(text.as_bytes());
            });
        }
    });
    (address, seen)
}

fn get(url: impl Into<String>) -> Request {
    Request { method: "GET".into(), url: url.into(), headers: Vec::new(), body: Vec::new() }
}

fn granting(hosts: &[&str]) -> HttpGrant {
    HttpGrant { hosts: hosts.iter().map(|host| (*host).to_owned()).collect(), ..HttpGrant::default() }
}

fn send(grant: &HttpGrant, request: &Request) -> Result<Response, Failure> {
    Client::default().send(grant, std::slice::from_ref(request), &mut Budget::of(grant)).remove(0)
}

fn code(grant: &HttpGrant, request: &Request) -> &'static str {
    send(grant, request).unwrap_err().kind.name()
}

#[test]
fn granted_hosts_receive_requests_and_their_responses_return() {
    let (address, seen) = server();
    let grant = HttpGrant { allow_private: true, ..granting(&[&format!("http://{address}")]) };
    let request = Request {
        method: "POST".into(),
        headers: vec![("X-Two".into(), "2".into())],
        body: b"body".to_vec(),
        ..get(format!("http://{address}/a?b=c"))
    };
    let response = send(&grant, &request).unwrap();
    assert_eq!((response.status, &response.body[..]), (200, &b"hello"[..]));
    assert!(response.headers.contains(&("x-one".into(), "1".into())), "{response:?}");
    let asked = seen.lock().remove(0);
    assert!(asked.starts_with("POST /a?b=c HTTP/1.1\r\n") && asked.ends_with("\nbody"), "{asked}");
    assert!(asked.contains("x-two: 2\r\n"), "{asked}");
    assert_eq!(send(&grant, &get(format!("http://{address}/none"))).unwrap().status, 404);
    assert_eq!(send(&grant, &get(format!("http://{address}/moved"))).unwrap().status, 302, "not followed");
}

#[test]
fn hosts_without_a_grant_receive_no_request() {
    let grant =
        granting(&["api.example.com", "*.internal.example.com", "odd.example.com:8443", "http://plain.example.com"]);
    for url in [
        "https://example.com/",
        "https://api.example.com.evil.com/",
        "https://internal.example.com/",
        "https://xinternal.example.com/",
        "https://api.example.com:444/",
        "https://odd.example.com/",
        "http://api.example.com/",
        "https://plain.example.com/",
        "http://127.0.0.1/",
        "http://169.254.169.254/latest/meta-data",
    ] {
        assert_eq!(code(&grant, &get(url)), "host-not-allowed", "{url}");
    }
    let uri = |text: &str| text.parse::<Uri>().unwrap();
    for url in [
        "https://API.example.com/x",
        "https://a.b.internal.example.com/",
        "https://odd.example.com:8443/",
        "http://plain.example.com:80/",
    ] {
        assert_eq!(check_host(&grant, &uri(url)), Ok(()), "{url}");
    }
    for url in ["ftp://api.example.com/", "api.example.com", "https://me:word@api.example.com/", "", "/x"] {
        assert_eq!(code(&grant, &get(url)), "bad-request", "{url}");
    }
    let strange = Request { method: "TRACE".into(), ..get("https://api.example.com/") };
    assert_eq!(code(&grant, &strange), "bad-request");
    let own = Request { headers: vec![("Host".into(), "x".into())], ..get("https://api.example.com/") };
    assert_eq!(code(&grant, &own), "bad-request");
}

#[test]
fn a_granted_name_cannot_resolve_to_this_machine() {
    let (address, seen) = server();
    let port = address.port();
    for host in ["localhost", "127.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "0.0.0.0", "2130706433"] {
        let grant = granting(&[&format!("http://{host}:{port}")]);
        let failed = send(&grant, &get(format!("http://{host}:{port}/"))).unwrap_err();
        assert!(["address-not-allowed", "bad-request", "connect"].contains(&failed.kind.name()), "{host}: {failed:?}");
    }
    let grant = granting(&["http://169.254.169.254"]);
    let failed = send(&grant, &get("http://169.254.169.254/latest/meta-data")).unwrap_err();
    assert_eq!(failed.kind.name(), "address-not-allowed");
    assert!(failed.message.contains("allow_private"), "{failed:?}");
    assert!(seen.lock().is_empty());
}

#[test]
fn time_requests_and_responses_are_limited() {
    let (address, seen) = server();
    let base = HttpGrant { allow_private: true, ..granting(&[&format!("http://{address}")]) };
    let (fast, slow) = (get(format!("http://{address}/")), get(format!("http://{address}/slow")));
    let short = HttpGrant { timeout: Duration::from_millis(100), ..base.clone() };
    assert_eq!(code(&short, &slow), "timeout");
    let small = HttpGrant { max_response_bytes: 4, ..base.clone() };
    assert_eq!(code(&small, &fast), "too-large");
    assert!(send(&HttpGrant { max_response_bytes: 5, ..base.clone() }, &fast).is_ok());
    let few = HttpGrant { requests_per_batch: 2, ..base.clone() };
    let (client, mut budget) = (Client::default(), Budget::of(&few));
    seen.lock().clear();
    let answers = client.send(&few, &[fast.clone(), fast.clone(), fast.clone()], &mut budget);
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 2);
    assert_eq!(answers[2].as_ref().unwrap_err().kind.name(), "budget");
    assert_eq!(
        client.send(&few, std::slice::from_ref(&fast), &mut budget)[0].as_ref().unwrap_err().kind.name(),
        "budget"
    );
    assert_eq!(seen.lock().len(), 2);
    let brief = HttpGrant { time_per_batch: Duration::from_millis(500), ..base };
    let mut budget = Budget::of(&brief);
    assert!(client.send(&brief, std::slice::from_ref(&slow), &mut budget)[0].is_ok());
    assert!(budget.time <= Duration::from_millis(100), "{budget:?}");
    assert_eq!(
        client.send(&brief, std::slice::from_ref(&slow), &mut budget)[0].as_ref().unwrap_err().kind.name(),
        "timeout"
    );
    assert_eq!(client.send(&brief, &[slow], &mut budget)[0].as_ref().unwrap_err().kind.name(), "budget");
}
