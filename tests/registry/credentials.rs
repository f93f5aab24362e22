//! Which servers get the credentials of a registry: the registry itself and the token server that
//! it names, and no server that a redirect, an upload location or a challenge of another server
//! leads to (as in CVE-2020-15157 of containerd).
//!
//! Each server here records the requests with `Authorization`; the table covers the ways in which a
//! registry can lead a client elsewhere.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use wattle_registry::client::{ClientOptions, RegistryOptions};
use wattle_registry::{Client, Credentials, Image, Reference, Store, image as parts};

use crate::ill::image;

/// A request as a server sees it.
struct Request {
    method: String,
    path: String,
    authorization: Option<String>,
}

/// The response of a server: status, headers, body.
type Reply = (u16, Vec<(&'static str, String)>, Vec<u8>);
type Handler = Box<dyn Fn(&Request) -> Reply + Send>;

/// A server on loopback whose responses a test defines.
struct Server {
    address: SocketAddr,
    handler: Arc<Mutex<Handler>>,
    seen: Arc<Mutex<Vec<Request>>>,
}

impl Server {
    fn start() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let handler: Arc<Mutex<Handler>> = Arc::new(Mutex::new(Box::new(|_| (404, vec![], vec![]))));
        let seen: Arc<Mutex<Vec<Request>>> = Arc::default();
        let (shared, log) = (handler.clone(), seen.clone());
        // Ends with the process: a test binary starts a few of them.
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (handler, seen) = (shared.clone(), log.clone());
                std::thread::spawn(move || stream.map(|stream| drop(serve(stream, &handler, &seen))));
            }
        });
        Self { address, handler, seen }
    }

    fn answer(&self, handler: impl Fn(&Request) -> Reply + Send + 'static) {
        *self.handler.lock().unwrap() = Box::new(handler);
    }

    /// A URL at this server by its address, or by the name `localhost`, which is another host.
    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    fn url_of_localhost(&self, path: &str) -> String {
        format!("http://localhost:{}{path}", self.address.port())
    }

    /// The requests with `Authorization`, as `METHOD path value`.
    fn authorized(&self) -> Vec<String> {
        let seen = self.seen.lock().unwrap();
        let shown = |request: &Request| {
            request.authorization.as_ref().map(|value| format!("{} {} {value}", request.method, request.path))
        };
        seen.iter().filter_map(shown).collect()
    }

    fn requests(&self) -> usize {
        self.seen.lock().unwrap().len()
    }
}

fn serve(stream: TcpStream, handler: &Mutex<Handler>, seen: &Mutex<Vec<Request>>) -> std::io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut out = stream;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let mut words = line.split(' ').map(str::to_owned);
        let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let (mut length, mut authorization) = (0, None);
        loop {
            let mut line = String::new();
            reader.read_line(&mut line)?;
            let Some((name, value)) = line.trim_end().split_once(": ") else { break };
            match name.to_ascii_lowercase().as_str() {
                "content-length" => length = value.parse().unwrap(),
                "authorization" => authorization = Some(value.to_owned()),
                _ => {}
            }
        }
        std::io::copy(&mut (&mut reader).take(length), &mut std::io::sink())?;
        let request = Request { method, path, authorization };
        let (status, headers, body) = handler.lock().unwrap()(&request);
        let is_head = request.method == "HEAD";
        seen.lock().unwrap().push(request);
        let mut head = format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\n", body.len());
        for (name, value) in headers {
            head += &format!("{name}: {value}\r\n");
        }
        out.write_all(format!("{head}\r\n").as_bytes())?;
        if !is_head {
            out.write_all(&body)?;
        }
    }
}

const BASIC: &str = "Basic cmVhZGVyOnNlY3JldA==";

fn client(registry: &Server) -> Client {
    let credentials = Some(Credentials { username: "reader".into(), password: "secret".into() });
    let options = RegistryOptions { insecure: false, credentials };
    let registries = BTreeMap::from([(registry.address.to_string(), options)]);
    Client::new(ClientOptions { registries, timeout: Duration::from_secs(2), env: Arc::new(|_| None) })
}

fn reference(registry: &Server) -> Reference {
    format!("oci://{}/packs/sample:1", registry.address).parse().unwrap()
}

fn pull(registry: &Server) -> Result<Image, String> {
    let data = tempfile::tempdir().unwrap();
    client(registry).pull(&reference(registry), &Store::new(data.path())).map_err(|error| error.to_string())
}

/// The response of the registry to a valid request: the manifest or a blob of the image.
fn good(image: &Image, path: &str) -> Reply {
    if path.contains("/manifests/") {
        return (200, vec![("content-type", parts::MANIFEST.to_owned())], image.manifest().to_vec());
    }
    let layer = image.layer().unwrap().into_owned();
    let blob = [image.config().to_vec(), layer].into_iter().find(|blob| path.contains(&parts::digest(blob)));
    blob.map_or((404, vec![], vec![]), |blob| (200, vec![], blob))
}

fn redirect(to: String) -> Reply {
    (307, vec![("location", to)], vec![])
}

fn challenge(value: String) -> Reply {
    (401, vec![("www-authenticate", value)], vec![])
}

fn token() -> Reply {
    (200, vec![], br#"{"token":"t"}"#.to_vec())
}

/// Every challenge of a redirect target is ignored, whatever it asks for, and wherever its realm
/// is.
#[test]
fn a_challenge_of_a_redirect_target_gets_no_credentials() {
    let image = image("1.0.0");
    for redirected in ["/manifests/", "/blobs/"] {
        for kind in ["bearer of its own", "bearer at home", "bearer over https", "basic", "both"] {
            let (home, cdn, evil) = (Server::start(), Server::start(), Server::start());
            evil.answer(|_| token());
            let realm = match kind {
                "bearer at home" => home.url("/token"),
                "bearer over https" => "https://evil.example/token".to_owned(),
                _ => evil.url("/token"),
            };
            cdn.answer(move |_| match kind {
                "basic" => challenge("Basic realm=\"x\"".to_owned()),
                "both" => challenge(format!("Basic realm=\"x\", Bearer realm=\"{realm}\"")),
                _ => challenge(format!("Bearer realm=\"{realm}\",service=\"evil\"")),
            });
            let (to, served) = (cdn.url("/elsewhere"), image.clone());
            home.answer(move |request| match request.path.contains(redirected) {
                true => redirect(to.clone()),
                false => good(&served, &request.path),
            });
            let error = pull(&home).unwrap_err();
            assert!(error.contains("401") && error.contains("are not sent"), "{redirected} {kind}: {error}");
            assert_eq!(evil.requests(), 0, "{redirected} {kind}");
            assert_eq!(cdn.authorized(), [""; 0], "{redirected} {kind}");
            assert_eq!(home.authorized(), [""; 0], "{redirected} {kind}");
        }
    }
}

/// A registry with a password and separate blob storage: nothing that the home registry got goes
/// there.
#[test]
fn a_redirect_of_a_blob_never_carries_authorization() {
    let image = image("1.0.0");
    for (bearer, same_host) in [(false, false), (true, false), (false, true), (true, true)] {
        let (home, cdn) = (Server::start(), Server::start());
        let realm = home.url("/token");
        let served = image.clone();
        cdn.answer(move |request| good(&served, &request.path));
        let to = if same_host { home.url("/storage") } else { cdn.url("/storage") };
        let served = image.clone();
        home.answer(move |request| {
            let wanted = if bearer { "Bearer t" } else { BASIC };
            match (request.path.as_str(), &request.authorization) {
                (path, Some(basic)) if path.starts_with("/token") && basic == BASIC => token(),
                (path, None) if path.starts_with("/storage/") => good(&served, path),
                (path, Some(given)) if given == wanted && path.contains("/blobs/") => {
                    redirect(format!("{to}{path}?X-Amz-Signature=1"))
                }
                (path, Some(given)) if given == wanted => good(&served, path),
                _ if bearer => challenge(format!("Bearer realm=\"{realm}\",service=\"r\"")),
                _ => challenge("Basic realm=\"r\"".to_owned()),
            }
        });
        assert_eq!(pull(&home).unwrap(), image, "bearer {bearer}, same host {same_host}");
        assert_eq!(cdn.authorized(), [""; 0], "bearer {bearer}");
        let leaked = home.authorized().into_iter().find(|request| request.contains("/storage/"));
        assert_eq!(leaked, None, "bearer {bearer}");
    }
}

/// Another server redirects back to an address at the registry that it chose: no credentials, no
/// challenge.
#[test]
fn a_redirect_chain_back_to_the_registry_stays_without_credentials() {
    let image = image("1.0.0");
    let (home, other) = (Server::start(), Server::start());
    let back = home.url("/chosen/by/the/other");
    other.answer(move |_| redirect(back.clone()));
    let (to, served) = (other.url("/x"), image.clone());
    home.answer(move |request| match (request.path.as_str(), &request.authorization) {
        (path, _) if path.starts_with("/chosen") => challenge("Basic realm=\"r\"".to_owned()),
        (path, Some(_)) if path.contains("/manifests/") => redirect(to.clone()),
        (path, Some(_)) => good(&served, path),
        _ => challenge("Basic realm=\"r\"".to_owned()),
    });
    let error = pull(&home).unwrap_err();
    assert!(error.contains("401") && error.contains("are not sent"), "{error}");
    assert_eq!(other.authorized(), [""; 0]);
    let chosen: Vec<String> = home.authorized().into_iter().filter(|request| request.contains("/chosen")).collect();
    assert_eq!(chosen, [""; 0]);
}

/// The token server that the home registry names: over plain http only on its host, elsewhere only
/// over https.
#[test]
fn a_token_server_at_another_host_needs_https() {
    for by_name in [false, true] {
        let (home, tokens) = (Server::start(), Server::start());
        tokens.answer(|_| token());
        let realm = if by_name { tokens.url_of_localhost("/token?a=b") } else { tokens.url("/token?a=b") };
        let served = image("1.0.0");
        home.answer(move |request| match request.authorization.as_deref() {
            Some("Bearer t") => good(&served, &request.path),
            _ => challenge(format!("Bearer realm=\"{realm}\",service=\"s\",scope=\"repository:packs/sample:pull\"")),
        });
        let pulled = pull(&home);
        if by_name {
            let error = pulled.unwrap_err();
            assert!(error.contains("must use https") && !error.contains("secret"), "{error}");
            assert_eq!(tokens.requests(), 0);
        } else {
            assert_eq!(pulled.unwrap(), image("1.0.0"));
            let scope = "/token?a=b&service=s&scope=repository:packs/sample:pull";
            assert_eq!(tokens.authorized(), [format!("GET {scope} {BASIC}")]);
        }
    }
}

/// The client does not follow a redirect of a token server: the target was never checked.
#[test]
fn a_token_server_that_redirects_is_an_error() {
    let (home, tokens, evil) = (Server::start(), Server::start(), Server::start());
    evil.answer(|_| token());
    let to = evil.url("/token");
    tokens.answer(move |_| redirect(to.clone()));
    let realm = tokens.url("/token");
    home.answer(move |_| challenge(format!("Bearer realm=\"{realm}\"")));
    assert!(pull(&home).unwrap_err().contains("307"));
    assert_eq!(evil.requests(), 0);
}

/// Digest requests (HEAD), manifests and blobs (GET), and uploads (POST, PUT) follow the same
/// rules.
#[test]
fn every_method_follows_the_same_rules() {
    let image = image("1.0.0");
    for away in ["HEAD", "GET", "POST", "PUT", "upload location"] {
        let (home, other, evil) = (Server::start(), Server::start(), Server::start());
        evil.answer(|_| token());
        let realm = evil.url("/token");
        other.answer(move |_| challenge(format!("Bearer realm=\"{realm}\"")));
        let (to, upload) = (other.url("/x"), other.url("/upload"));
        home.answer(move |request| match (request.method.as_str(), &request.authorization) {
            (_, None) => challenge("Basic realm=\"r\"".to_owned()),
            ("POST", _) if away == "upload location" => (202, vec![("location", upload.clone())], vec![]),
            (method, _) if method == away => redirect(to.clone()),
            ("HEAD", _) => (404, vec![], vec![]),
            ("POST", _) => (202, vec![("location", "/v2/packs/sample/blobs/uploads/1".to_owned())], vec![]),
            ("PUT", _) => (201, vec![], vec![]),
            _ => (404, vec![], vec![]),
        });
        let failed = match away {
            "HEAD" => client(&home).digest(&reference(&home)).map(drop).map_err(|error| error.to_string()),
            "GET" => pull(&home).map(drop),
            _ => client(&home).push(&reference(&home), &image).map(drop).map_err(|error| error.to_string()),
        };
        assert!(failed.is_err(), "{away}");
        assert_eq!(evil.requests(), 0, "{away}");
        assert_eq!(other.authorized(), [""; 0], "{away}");
        assert!(home.authorized().iter().all(|request| request.ends_with(BASIC)), "{away}");
    }
}

/// A message names the server, without a signature that its address may have in the query.
#[test]
fn messages_show_no_query_of_a_redirect_target() {
    let (home, cdn) = (Server::start(), Server::start());
    cdn.answer(|_| (403, vec![], vec![]));
    let to = cdn.url("/blob?X-Amz-Signature=0123456789");
    home.answer(move |_| redirect(to.clone()));
    let error = pull(&home).unwrap_err();
    assert!(error.contains(&cdn.url("/blob")) && error.contains("403"), "{error}");
    assert!(!error.contains("Signature"), "{error}");
}
