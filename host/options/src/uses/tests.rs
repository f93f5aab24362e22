//! Tests of comparing addresses, paths and topics.

use super::*;

#[derive(Debug)]
struct Glob {
    glob: &'static str,
    selected: fn(&Path) -> bool,
    excluded: fn(&Path) -> bool,
}

impl Selects for Glob {
    fn name_of(&self, path: &Path) -> Option<PathBuf> {
        ((self.selected)(path) && !(self.excluded)(path)).then(|| path.to_owned())
    }

    fn excludes(&self, path: &Path) -> bool {
        (self.selected)(path) && (self.excluded)(path)
    }

    fn globs(&self) -> Vec<String> {
        vec![self.glob.to_owned()]
    }
}

fn tcp(text: &str) -> Address {
    Address::new(Network::Tcp, text).unwrap()
}

#[test]
fn servers_collide_at_one_address_and_at_one_that_covers_it() {
    for (one, other, collides) in [
        ("127.0.0.1:80", "127.0.0.1:80", true),
        ("127.0.0.1:80", "127.0.0.1:81", false),
        ("127.0.0.1:80", "127.0.0.2:80", false),
        ("localhost:80", "127.0.0.1:80", true),
        ("0.0.0.0:80", "127.0.0.1:80", true),
        ("0.0.0.0:80", "[::1]:80", false),
        ("[::]:80", "127.0.0.1:80", true),
        ("Host:80", "host:80", true),
        ("host:80", "127.0.0.1:80", false),
    ] {
        assert_eq!(tcp(one).collides(&tcp(other)), collides, "{one} {other}");
        assert_eq!(tcp(other).collides(&tcp(one)), collides, "{other} {one}");
    }
    let udp = Address::new(Network::Udp, "127.0.0.1:80").unwrap();
    assert!(!udp.collides(&tcp("127.0.0.1:80")));
    let unix = |path| Address::new(Network::Unix, path).unwrap();
    assert!(unix("./a").collides(&unix("a")) && !unix("a").collides(&unix("b")));
    assert_eq!(Address::new(Network::Tcp, "127.0.0.1:0"), None);
}

#[test]
fn clients_reach_servers_of_this_machine() {
    for (url, server, reaches) in [
        ("http://127.0.0.1:8080/ingest", "127.0.0.1:8080", true),
        ("http://user:p@localhost:8080", "0.0.0.0:8080", true),
        ("https://localhost", "[::]:443", true),
        ("http://10.0.0.1:8080", "0.0.0.0:8080", false),
        ("http://logs.example.com:8080", "0.0.0.0:8080", false),
        ("http://127.0.0.1:8081", "127.0.0.1:8080", false),
    ] {
        let address = Address::of_url(url).unwrap();
        assert_eq!(address.reaches(&tcp(server)), reaches, "{url} {server}");
    }
    assert_eq!(Address::of_url("http://[::1]/x").unwrap().to_string(), "[::1]:80");
    assert_eq!(Address::of_url("no url"), None);
}

#[test]
fn topics_are_those_of_a_common_broker() {
    let topic = |servers, name: &str, has_wildcards| Topic {
        servers: Topic::servers(servers),
        name: name.to_owned(),
        has_wildcards,
    };
    let sent = topic("nats://B:4222", "logs.web.eu", false);
    for (servers, name, has) in [
        ("a:4222, b:4222", "logs.web.eu", true),
        ("a:4222", "logs.web.eu", false),
        ("nats://user:p@b:4222/", "logs.*.eu", true),
        ("b:4222", "logs.>", true),
        ("b:4222", "logs.*", false),
        ("b:4222", "logs.web.eu.>", false),
    ] {
        assert_eq!(topic(servers, name, true).has(&sent), has, "{servers} {name}");
    }
    assert!(!topic("b:4222", "logs.*.eu", false).has(&sent));
}

#[test]
fn templates_are_split_at_their_variables() {
    let fixed = |text| PathPattern::new(text).fixed;
    assert_eq!(fixed("/a/b.log"), ["/a/b.log"]);
    assert_eq!(fixed("/a/{{ body.x }}-%Y%%.log"), ["/a/", "-", "%.log"]);
    assert_eq!(PathPattern::new("/a.b/c.json.gz").rotated().fixed, ["/a.b/c-", ".json.gz"]);
    assert_eq!(PathPattern::new("/a.b/c").rotated().fixed, ["/a.b/c-", ""]);
}

#[test]
fn a_path_overlaps_for_sure_or_for_some_values() {
    let glob = |glob, selected| Glob { glob, selected, excluded: |_| false };
    let logs = glob("/out/*.log", |path| path.starts_with("/out") && path.extension().is_some_and(|is| is == "log"));
    let web = glob("/out/web*.log", |path| path.to_string_lossy().starts_with("/out/web"));
    for (template, files, overlap) in [
        ("/out/a.log", &logs, Overlap::Certain),
        ("/out/./a.log", &logs, Overlap::Certain),
        ("/out/../out/b/../a.log", &logs, Overlap::Certain),
        ("/out/../a.log", &logs, Overlap::Never),
        ("/out/a.ndjson", &logs, Overlap::Never),
        ("/out/{{ body.x }}.log", &logs, Overlap::Certain),
        ("/out/{{ body.x }}", &logs, Overlap::Possible),
        ("/out/{{ body.x }}.ndjson", &logs, Overlap::Never),
        ("/out/{{ body.x }}.log", &web, Overlap::Possible),
        ("/other/{{ body.x }}.log", &web, Overlap::Never),
    ] {
        assert_eq!(PathPattern::new(template).overlap(files), overlap, "{template} {}", files.glob);
    }
    let excluded = Glob { excluded: |path| path.starts_with("/out"), ..logs };
    assert_eq!(PathPattern::new("/out/{{ body.x }}.log").overlap(&excluded), Overlap::Never);
}

#[test]
fn patterns_intersect_if_a_text_matches_both() {
    let pattern = |text: &str| Token::of_pattern(&PathPattern::new(text).fixed);
    for (template, glob, is_possible) in [
        ("/a/{{ x }}.log", "/a/**/*.log", true),
        ("/a/{{ x }}.log", "/a/*/b.log", false),
        ("/a/{{ x }}/b.log", "/a/*/b.log", true),
        ("/a/{{ x }}b", "/a/c*", true),
        ("/a/{{ x }}b", "/a/?", true),
        ("/a/{{ x }}bc", "/a/?", false),
        ("/a/{{ x }}.log", "/a/{b,c}.log", true),
    ] {
        assert_eq!(intersect(&pattern(template), &Token::of_glob(glob)), is_possible, "{template} {glob}");
    }
}
