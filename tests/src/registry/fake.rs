//! A registry that is well or ill as a test asks, in a few lines of HTTP of its own, so that it can
//! break every rule.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use wattle_registry::Image;
use wattle_registry::image;

/// How the registry behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// As it should.
    Good,
    /// It closes every connection at once.
    HangsUp,
    /// It takes a request and never answers.
    Silent,
    /// It sends a manifest a byte at a time, slower than anyone waits.
    Trickles,
    /// It closes in the midst of the layer.
    Truncates,
    /// A byte of the layer is another.
    WrongBlob,
    /// A byte of the manifest is another than its digest says.
    WrongManifest,
    /// Its header says another digest than the manifest has.
    LyingHeader,
    /// The manifest is one of a container image for docker.
    DockerImage,
    /// The manifest is a list of images.
    ImageIndex,
    /// The manifest is OCI's, of something else.
    ForeignArtifact,
    /// It names a layer of an unknown type.
    ForeignLayer,
    /// The manifest never ends.
    EndlessManifest,
    /// The manifest says that it has a gigabyte.
    HugeManifest,
    /// The layer never ends.
    EndlessLayer,
    /// The manifest names a layer of a terabyte.
    HugeLayer,
    /// Headers that never end.
    EndlessHeaders,
    /// It redirects in a circle.
    RedirectLoop,
    /// It redirects to another machine over plain HTTP.
    RedirectAway,
    /// It wants a password that no client has.
    Unauthorized,
    /// It wants a token from another machine over plain HTTP.
    EvilRealm,
    /// It wants a token, and the answer to that never ends.
    EndlessToken,
    /// It has an error of its own.
    ServerError,
    /// It asks to come again in a day.
    TooMany,
    /// It has no such thing.
    NotFound,
    /// It does not speak HTTP.
    Garbage,
    /// The layer is whole, and unpacks to far more than it is.
    Bomb,
    /// The layer is whole, and holds a link that leads out.
    LinkLayer,
}

impl Manner {
    /// Every way to be ill, with a part of what is to be said of it.
    pub const ILL: [(Self, &str); 27] = [
        (Self::HangsUp, "http://"),
        (Self::Silent, "did not respond in time"),
        (Self::Trickles, "did not complete its response in time"),
        (Self::Truncates, "ended early"),
        (Self::WrongBlob, "the layer has the digest"),
        (Self::WrongManifest, "digest mismatch"),
        (Self::LyingHeader, "digest mismatch"),
        (Self::DockerImage, "application/vnd.docker.distribution.manifest.v2+json"),
        (Self::ImageIndex, "application/vnd.oci.image.index.v1+json"),
        (Self::ForeignArtifact, "application/vnd.example.thing"),
        (Self::ForeignLayer, "application/vnd.oci.image.layer.v1.tar"),
        (Self::EndlessManifest, "more than 262144 bytes"),
        (Self::HugeManifest, "more than 262144 bytes"),
        (Self::EndlessLayer, "the response has more than"),
        (Self::HugeLayer, "at most 134217728 are allowed"),
        (Self::EndlessHeaders, "header"),
        (Self::RedirectLoop, "redirected more than 5 times"),
        (Self::RedirectAway, "plain HTTP is allowed to this machine only"),
        (Self::Unauthorized, "the registry responded with 401"),
        (Self::EvilRealm, "plain HTTP is allowed to this machine only"),
        (Self::EndlessToken, "more than 65536 bytes"),
        (Self::ServerError, "the registry responded with 500: UNKNOWN, the disk is full"),
        (Self::TooMany, "the registry responded with 429"),
        (Self::NotFound, "the registry responded with 404"),
        (Self::Garbage, "http"),
        (Self::Bomb, "unpacks to more than"),
        (Self::LinkLayer, "a symbolic link"),
    ];
}

/// What a tag is, and what belongs to it.
#[derive(Clone, Default)]
struct Shelf {
    tags: BTreeMap<String, Vec<u8>>,
    blobs: BTreeMap<String, Vec<u8>>,
}

impl Shelf {
    fn add(&mut self, tag: &str, image: &Image) {
        self.tags.insert(tag.to_owned(), image.manifest().to_vec());
        let layer = image.layer().unwrap();
        for blob in [image.manifest(), image.config(), &layer] {
            self.blobs.insert(image::digest(blob), blob.to_vec());
        }
    }
}

struct State {
    manner: Mutex<Manner>,
    shelf: Mutex<Shelf>,
    requests: AtomicUsize,
    authorizations: Mutex<Vec<String>>,
    ends: AtomicBool,
}

/// A registry of one repository, `packs/sample`.
pub struct FakeRegistry {
    address: SocketAddr,
    state: Arc<State>,
}

impl Default for FakeRegistry {
    fn default() -> Self {
        Self::start()
    }
}

impl FakeRegistry {
    /// Starts one that is well and empty.
    pub fn start() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(State {
            manner: Mutex::new(Manner::Good),
            shelf: Mutex::default(),
            requests: AtomicUsize::new(0),
            authorizations: Mutex::default(),
            ends: AtomicBool::new(false),
        });
        let shared = state.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if shared.ends.load(Ordering::SeqCst) {
                    return;
                }
                let state = shared.clone();
                // Errors are expected: some tests close the connection in the middle of a response.
                std::thread::spawn(move || stream.map(|stream| drop(serve(stream, &state))));
            }
        });
        Self { address, state }
    }

    /// Puts an image under a tag.
    pub fn put(&self, tag: &str, image: &Image) {
        self.state.shelf.lock().unwrap().add(tag, image);
    }

    /// Behaves so from now on.
    pub fn behave(&self, manner: Manner) {
        *self.state.manner.lock().unwrap() = manner;
    }

    /// A reference to a tag.
    pub fn reference(&self, tag: &str) -> String {
        format!("oci://{}/packs/sample:{tag}", self.address)
    }

    /// Address and port.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many requests came so far.
    pub fn requests(&self) -> usize {
        self.state.requests.load(Ordering::SeqCst)
    }

    /// What was sent as `Authorization` so far.
    pub fn authorizations(&self) -> Vec<String> {
        self.state.authorizations.lock().unwrap().clone()
    }
}

impl Drop for FakeRegistry {
    fn drop(&mut self) {
        self.state.ends.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
    }
}

/// Serves the requests of one connection.
fn serve(stream: TcpStream, state: &State) -> std::io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut out = stream;
    loop {
        let mut request = String::new();
        if reader.read_line(&mut request)? == 0 {
            return Ok(());
        }
        let mut length = 0;
        loop {
            let mut line = String::new();
            reader.read_line(&mut line)?;
            let Some((name, value)) = line.trim_end().split_once(": ") else { break };
            match name.to_ascii_lowercase().as_str() {
                "content-length" => length = value.parse().unwrap(),
                "authorization" => state.authorizations.lock().unwrap().push(value.to_owned()),
                _ => {}
            }
        }
        std::io::copy(&mut (&mut reader).take(length), &mut std::io::sink())?;
        state.requests.fetch_add(1, Ordering::SeqCst);
        let manner = *state.manner.lock().unwrap();
        let mut words = request.split(' ');
        let (method, path) = (words.next().unwrap(), words.next().unwrap_or("/"));
        if !answer(&mut out, state, manner, method, path)? {
            return Ok(());
        }
    }
}

/// Answers a request; false ends the connection.
fn answer(out: &mut TcpStream, state: &State, manner: Manner, method: &str, path: &str) -> std::io::Result<bool> {
    match manner {
        Manner::HangsUp => return Ok(false),
        Manner::Silent => return stall(state),
        Manner::Garbage => {
            out.write_all(b"220 mail.example.com ESMTP\r\n\r\n")?;
            return Ok(false);
        }
        Manner::EndlessHeaders => {
            out.write_all(b"HTTP/1.1 200 OK\r\n")?;
            return endless(
                out,
                state,
                b"x-more: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n",
            );
        }
        Manner::RedirectLoop => return send(out, "307 Temporary Redirect", &[("location", path)], b""),
        Manner::RedirectAway => {
            return send(out, "307 Temporary Redirect", &[("location", "http://192.0.2.1/v2/")], b"");
        }
        Manner::Unauthorized => {
            return send(out, "401 Unauthorized", &[("www-authenticate", "Basic realm=\"here\"")], b"");
        }
        Manner::EvilRealm => {
            let evil = "Bearer realm=\"http://192.0.2.1/token\",service=\"x\"";
            return send(out, "401 Unauthorized", &[("www-authenticate", evil)], b"");
        }
        Manner::EndlessToken if path.starts_with("/token") => {
            out.write_all(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n{\"token\":\"")?;
            return endless(out, state, &[b'a'; 4096]);
        }
        Manner::EndlessToken => {
            let realm = format!("Bearer realm=\"http://{}/token\",service=\"x\"", out.local_addr()?);
            return send(out, "401 Unauthorized", &[("www-authenticate", &realm)], b"");
        }
        Manner::ServerError => {
            let body = br#"{"errors":[{"code":"UNKNOWN","message":"the disk is full"}]}"#;
            return send(out, "500 Internal Server Error", &[], body);
        }
        Manner::TooMany => return send(out, "429 Too Many Requests", &[("retry-after", "86400")], b""),
        Manner::NotFound => return send(out, "404 Not Found", &[], b""),
        _ => {}
    }
    let shelf = state.shelf.lock().unwrap().clone();
    if let Some(name) = path.strip_prefix("/v2/packs/sample/manifests/") {
        let manifest = shelf.tags.get(name).or_else(|| shelf.blobs.get(name)).cloned();
        return match manifest {
            Some(manifest) => send_manifest(out, state, manner, method, &manifest),
            None => send(out, "404 Not Found", &[], b""),
        };
    }
    let blob = path.strip_prefix("/v2/packs/sample/blobs/").and_then(|digest| shelf.blobs.get(digest).cloned());
    let blob = blob.or_else(|| evil_layer(manner));
    match blob {
        // Configurations are small here; what is larger is a layer.
        Some(blob) if blob.len() > 300 => send_layer(out, state, manner, &blob),
        Some(blob) => send(out, "200 OK", &[], &blob),
        None => send(out, "404 Not Found", &[], b""),
    }
}

fn send_manifest(
    out: &mut TcpStream,
    state: &State,
    manner: Manner,
    method: &str,
    manifest: &[u8],
) -> std::io::Result<bool> {
    let text = String::from_utf8_lossy(manifest).into_owned();
    let mut json: serde_json::Value = serde_json::from_slice(manifest).unwrap();
    let oci = "application/vnd.oci.image.manifest.v1+json";
    let changed = match manner {
        Manner::WrongManifest => text.replace("sample", "simple"),
        Manner::DockerImage => text.replace(oci, "application/vnd.docker.distribution.manifest.v2+json"),
        Manner::ImageIndex => {
            r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}"#.into()
        }
        Manner::ForeignArtifact => text.replace(image::ARTIFACT, "application/vnd.example.thing"),
        Manner::ForeignLayer => text.replace(image::LAYER, "application/vnd.oci.image.layer.v1.tar"),
        Manner::HugeLayer => {
            json["layers"][0]["size"] = (1_u64 << 40).into();
            json.to_string()
        }
        Manner::Bomb | Manner::LinkLayer => {
            let layer = evil_layer(manner).unwrap();
            json["layers"][0]["size"] = layer.len().into();
            json["layers"][0]["digest"] = image::digest(&layer).into();
            json.to_string()
        }
        _ => text,
    };
    let said = match manner {
        Manner::LyingHeader => image::digest(b"something else"),
        Manner::WrongManifest => image::digest(manifest),
        // A header alone must not announce other contents.
        _ => image::digest(changed.as_bytes()),
    };
    let headers = [("content-type", oci), ("docker-content-digest", said.as_str())];
    if method == "HEAD" {
        // Ill ones say that there is something new, so that it is fetched.
        let said = if manner == Manner::Good { said } else { image::digest(format!("{manner:?}").as_bytes()) };
        let head =
            format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\ndocker-content-digest: {said}\r\n\r\n", changed.len());
        out.write_all(head.as_bytes())?;
        return Ok(true);
    }
    match manner {
        Manner::Trickles => {
            out.write_all(format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", changed.len()).as_bytes())?;
            for byte in changed.bytes() {
                if state.ends.load(Ordering::SeqCst) {
                    break;
                }
                out.write_all(&[byte])?;
                std::thread::sleep(Duration::from_millis(100));
            }
            Ok(false)
        }
        Manner::EndlessManifest => {
            out.write_all(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n")?;
            endless(out, state, &[b' '; 4096])
        }
        Manner::HugeManifest => {
            out.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1073741824\r\n\r\n")?;
            endless(out, state, &[b' '; 4096])
        }
        _ => send(out, "200 OK", &headers, changed.as_bytes()),
    }
}

fn send_layer(out: &mut TcpStream, state: &State, manner: Manner, layer: &[u8]) -> std::io::Result<bool> {
    match manner {
        Manner::Truncates => {
            out.write_all(format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", layer.len()).as_bytes())?;
            out.write_all(&layer[..layer.len() / 2])?;
            Ok(false)
        }
        Manner::WrongBlob => {
            let mut wrong = layer.to_vec();
            wrong[layer.len() / 2] ^= 1;
            send(out, "200 OK", &[], &wrong)
        }
        Manner::EndlessLayer => {
            out.write_all(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n")?;
            endless(out, state, &[0; 4096])
        }
        _ => send(out, "200 OK", &[], layer),
    }
}

/// Layers that are whole and evil: their digests are right.
fn evil_layer(manner: Manner) -> Option<Vec<u8>> {
    let mut tar = Vec::new();
    match manner {
        Manner::Bomb => tar.resize(64 << 20, 0),
        Manner::LinkLayer => {
            let mut header = [0_u8; 512];
            header[..4].copy_from_slice(b"evil");
            header[100..107].copy_from_slice(b"0000644");
            header[124..135].copy_from_slice(b"00000000000");
            header[148..156].copy_from_slice(b"        ");
            header[156] = b'2';
            header[157..168].copy_from_slice(b"/etc/passwd");
            header[257..265].copy_from_slice(b"ustar  \0");
            let sum: u32 = header.iter().map(|&byte| u32::from(byte)).sum();
            header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
            tar.extend_from_slice(&header);
            tar.resize(512 + 1024, 0);
            // Noise behind it, so that it is as large as a layer is.
            tar.extend((0..2000_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 11) as u8));
        }
        _ => return None,
    }
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    gzip.write_all(&tar).unwrap();
    Some(gzip.finish().unwrap())
}

fn send(out: &mut TcpStream, status: &str, headers: &[(&str, &str)], body: &[u8]) -> std::io::Result<bool> {
    let mut head = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n", body.len());
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str("\r\n");
    out.write_all(head.as_bytes())?;
    out.write_all(body)?;
    Ok(true)
}

/// Sends the same for as long as somebody reads it.
fn endless(out: &mut TcpStream, state: &State, piece: &[u8]) -> std::io::Result<bool> {
    while !state.ends.load(Ordering::SeqCst) {
        out.write_all(piece)?;
    }
    Ok(false)
}

/// Says nothing for as long as the registry lives.
fn stall(state: &State) -> std::io::Result<bool> {
    while !state.ends.load(Ordering::SeqCst) {
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(false)
}
