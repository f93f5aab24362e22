//! What sources and sinks use outside of their own state: addresses, files and topics. Validation compares it, to find
//! endpoints that exclude each other, and sinks that feed the source of their own events.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use serde_json::Value;

/// Something that an endpoint uses, and the option that says so.
#[derive(Clone, Debug)]
pub struct Use {
    /// The option, with dots in its path.
    pub option: &'static str,
    /// What it uses.
    pub what: Used,
}

/// What an endpoint uses.
#[derive(Clone, Debug)]
pub enum Used {
    /// Listens at an address.
    Listens(Address),
    /// Sends events to an address.
    Sends(Address),
    /// Reads the files that it selects.
    Reads(Arc<dyn Selects>),
    /// Writes events to files.
    Writes(PathPattern),
    /// Receives the messages of a topic.
    Subscribes(Topic),
    /// Sends messages to a topic.
    Publishes(Topic),
}

/// Which files a source reads.
pub trait Selects: fmt::Debug + Send + Sync {
    /// The absolute path by which the source finds the file of this absolute path: the folders of its globs can be links.
    /// `None` if it does not read the file.
    fn name_of(&self, path: &Path) -> Option<PathBuf>;
    /// Whether the options exclude a file that the source would read otherwise.
    fn excludes(&self, path: &Path) -> bool;
    /// The selected files, as absolute globs.
    fn globs(&self) -> Vec<String>;
}

/// The kind of a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Network {
    /// Connections over TCP.
    Tcp,
    /// Datagrams over UDP.
    Udp,
    /// A Unix socket, whose address is a path.
    Unix,
}

/// The address of a socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    network: Network,
    /// As written.
    text: String,
    host: String,
    port: u16,
}

impl Address {
    /// Reads `host:port`, or the path of a Unix socket. `None` if it names no fixed socket: the text is malformed, or the
    /// system chooses the port.
    pub fn new(network: Network, text: &str) -> Option<Self> {
        if network == Network::Unix {
            let path = std::path::absolute(text).ok()?.to_string_lossy().into_owned();
            return Some(Self { network, text: text.to_owned(), host: path, port: 0 });
        }
        let (host, port) = text.rsplit_once(':')?;
        let port = port.parse().ok().filter(|port| *port != 0)?;
        let host = host.trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase();
        Some(Self { network, text: text.to_owned(), host, port })
    }

    /// The host and port of a URL; `None` if it has no host, or is a template.
    pub fn of_url(url: &str) -> Option<Self> {
        let (scheme, rest) = url.split_once("://")?;
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
        let has_port = host.rsplit_once(':').is_some_and(|(_, port)| !port.contains(']'));
        let port = if scheme.eq_ignore_ascii_case("https") { 443 } else { 80 };
        let text = if has_port { host.to_owned() } else { format!("{host}:{port}") };
        Self::new(Network::Tcp, &text)
    }

    /// Whether two servers with these addresses cannot run at the same time.
    pub fn collides(&self, other: &Self) -> bool {
        if self.network != other.network || self.port != other.port {
            return false;
        }
        if self.network == Network::Unix {
            return self.host == other.host;
        }
        let (one, another) = (self.ip(), other.ip());
        let covers = |wide: Option<IpAddr>, other: Option<IpAddr>| match wide {
            // A socket of all IPv6 addresses accepts IPv4 as well.
            Some(IpAddr::V6(ip)) => ip.is_unspecified(),
            Some(IpAddr::V4(ip)) => ip.is_unspecified() && !other.is_some_and(|other| other.is_ipv6()),
            None => false,
        };
        self.host == other.host || one.is_some() && one == another || covers(one, another) || covers(another, one)
    }

    /// Whether what is sent to this address arrives at the server of the other one, on this machine.
    pub fn reaches(&self, server: &Self) -> bool {
        let is_local = match self.network {
            Network::Unix => true,
            Network::Tcp | Network::Udp => {
                self.ip().is_some_and(|ip| ip.is_loopback() || ip.is_unspecified()) || self.host == server.host
            }
        };
        is_local && self.collides(server)
    }

    fn ip(&self) -> Option<IpAddr> {
        if self.host == "localhost" {
            return Some(Ipv4Addr::LOCALHOST.into());
        }
        self.host.parse().ok().map(|ip: IpAddr| ip.to_canonical())
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Topics of a broker.
#[derive(Clone, Debug)]
pub struct Topic {
    /// Addresses of the brokers.
    pub servers: Vec<String>,
    /// The name.
    pub name: String,
    /// Whether `*` in the name stands for one token between dots, and a last `>` for the rest, as in NATS.
    pub has_wildcards: bool,
}

impl Topic {
    /// The brokers of a list with commas.
    pub fn servers(text: &str) -> Vec<String> {
        let server = |server: &str| {
            let server = server.trim();
            let server = server.split_once("://").map_or(server, |(_, server)| server);
            server.rsplit_once('@').map_or(server, |(_, server)| server).trim_end_matches('/').to_ascii_lowercase()
        };
        text.split(',').map(server).collect()
    }

    /// Whether messages to `other` arrive here. Brokers are the same if the lists have one in common.
    pub fn has(&self, other: &Self) -> bool {
        self.servers.iter().any(|server| other.servers.contains(server)) && self.has_name(&other.name)
    }

    fn has_name(&self, name: &str) -> bool {
        if !self.has_wildcards {
            return self.name == name;
        }
        let mut tokens = name.split('.');
        for wanted in self.name.split('.') {
            match (wanted, tokens.next()) {
                (">", Some(_)) => return true,
                ("*", Some(_)) => {}
                (wanted, Some(token)) if wanted == token => {}
                _ => return false,
            }
        }
        tokens.next().is_none()
    }
}

/// The path of files, parts of which depend on the events.
#[derive(Clone, Debug)]
pub struct PathPattern {
    /// As written.
    text: String,
    /// Texts that are fixed, and between each two of them one that is not and has no `/`.
    fixed: Vec<String>,
}

/// How sure it is that a source reads the files that a sink writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overlap {
    /// It never does.
    Never,
    /// It does for some values in the path.
    Possible,
    /// It does for any value.
    Certain,
}

/// Values that stand for those of events. No glob has them by chance.
const VALUES: [&str; 3] = ["_", "w7q-0", "20260102"];

impl PathPattern {
    /// Reads the template of a path, with `{{ field }}` and strftime directives.
    pub fn new(template: &str) -> Self {
        let mut fixed = vec![String::new()];
        let mut rest = template;
        while let Some(at) = rest.find("{{").into_iter().chain(rest.find('%')).min() {
            let (before, after) = rest.split_at(at);
            push(&mut fixed, before);
            rest = if after.starts_with("{{") {
                fixed.push(String::new());
                after.find("}}").and_then(|end| after.get(end + 2..)).unwrap_or_default()
            } else {
                if after.starts_with("%%") {
                    push(&mut fixed, "%");
                } else {
                    fixed.push(String::new());
                }
                after.char_indices().nth(2).and_then(|(end, _)| after.get(end..)).unwrap_or_default()
            };
        }
        push(&mut fixed, rest);
        Self { text: template.to_owned(), fixed }
    }

    /// A path that does not depend on events.
    pub fn literal(path: &Path) -> Self {
        let path = path.to_string_lossy().into_owned();
        Self { text: path.clone(), fixed: vec![path] }
    }

    /// The path of a file that was rotated: a text that is not fixed follows the stem of the name.
    #[must_use]
    pub fn rotated(&self) -> Self {
        let mut fixed = self.fixed.clone();
        if let Some(last) = fixed.pop() {
            let name = last.rfind('/').map_or(0, |at| at + 1);
            let stem = last.get(name..).and_then(|name| name.find('.')).map_or(last.len(), |at| name + at);
            let (before, after) = last.split_at(stem);
            fixed.push(format!("{before}-"));
            fixed.push(after.to_owned());
        }
        Self { text: self.text.clone(), fixed }
    }

    /// A glob of these files.
    pub fn glob(&self) -> String {
        self.fixed.join("*")
    }

    /// A glob by which the option `exclude` of a source that reads these files leaves them out.
    pub fn excluding(&self, files: &dyn Selects) -> String {
        let glob = self.glob();
        // The search compares names, so it never finds a path with `..`, nor one through other links.
        let found = names_of(&glob).iter().find_map(|name| files.name_of(name));
        match found.filter(|found| self.fixed.len() == 1 && std::path::absolute(&glob).ok().as_ref() != Some(found)) {
            Some(found) => found.to_string_lossy().into_owned(),
            // A glob without `/` stands for the name in any folder.
            None if !glob.contains('/') => format!("./{glob}"),
            None => glob,
        }
    }

    /// Whether a source reads these files. Follows the links of folders that exist.
    pub fn overlap(&self, files: &dyn Selects) -> Overlap {
        let mut selected = Vec::new();
        let mut excluded = Vec::new();
        for value in VALUES {
            let names = names_of(&self.fixed.join(value));
            selected.push(names.iter().any(|name| files.name_of(name).is_some()));
            excluded.push(names.iter().any(|name| files.excludes(name)));
        }
        if selected.iter().all(|is| *is) {
            return Overlap::Certain;
        }
        if selected.contains(&true) {
            return Overlap::Possible;
        }
        if excluded.contains(&true) || self.fixed.len() == 1 {
            return Overlap::Never;
        }
        let mut own = self.fixed.clone();
        if let Some(first) = own.first_mut()
            && let Ok(path) = std::path::absolute(if first.is_empty() { "./" } else { &*first })
        {
            let slash = if first.is_empty() || first.ends_with('/') { "/" } else { "" };
            *first = format!("{}{slash}", path.to_string_lossy().trim_end_matches('/'));
        }
        let own = Token::of_pattern(&own);
        let is_possible = files.globs().iter().any(|glob| intersect(&own, &Token::of_glob(glob)));
        if is_possible { Overlap::Possible } else { Overlap::Never }
    }
}

impl fmt::Display for PathPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

fn push(fixed: &mut [String], text: &str) {
    if let Some(last) = fixed.last_mut() {
        last.push_str(text);
    }
}

/// The path without `..`, as if no folder were a link.
/// The names of a file without `..`: without links, and as it is written.
fn names_of(path: &str) -> [PathBuf; 2] {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.into());
    [without_parents(&resolved(&path)), without_parents(&path)]
}

fn without_parents(path: &Path) -> PathBuf {
    path.components().fold(PathBuf::new(), |mut names, component| {
        match component {
            Component::ParentDir => _ = names.pop(),
            component => names.push(component),
        }
        names
    })
}

/// The path without links, as far as its folders exist.
fn resolved(path: &Path) -> PathBuf {
    for ancestor in path.ancestors() {
        if let (Ok(real), Ok(rest)) = (ancestor.canonicalize(), path.strip_prefix(ancestor)) {
            return if rest.as_os_str().is_empty() { real } else { real.join(rest) };
        }
    }
    path.to_owned()
}

/// A part of a pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Token {
    Char(char),
    /// Any character but `/`.
    One,
    /// Any text without `/`.
    Text,
    /// Any text.
    Folders,
}

impl Token {
    fn of_pattern(fixed: &[String]) -> Vec<Self> {
        let mut tokens = Vec::new();
        for (index, text) in fixed.iter().enumerate() {
            if index > 0 {
                tokens.push(Self::Text);
            }
            tokens.extend(text.chars().map(Self::Char));
        }
        tokens
    }

    /// Classes and alternatives are taken for more than they match.
    fn of_glob(glob: &str) -> Vec<Self> {
        let (mut tokens, mut chars) = (Vec::new(), glob.chars().peekable());
        while let Some(char) = chars.next() {
            match char {
                '*' if chars.peek() == Some(&'*') => {
                    chars.next();
                    // `a/**/b` matches `a/b`.
                    chars.next_if_eq(&'/');
                    tokens.push(Self::Folders);
                }
                '*' => tokens.push(Self::Text),
                '?' => tokens.push(Self::One),
                '[' => {
                    chars.by_ref().find(|char| *char == ']');
                    tokens.push(Self::One);
                }
                '{' => {
                    chars.by_ref().find(|char| *char == '}');
                    tokens.push(Self::Folders);
                }
                '\\' => tokens.extend(chars.next().map(Self::Char)),
                char => tokens.push(Self::Char(char)),
            }
        }
        tokens
    }

    fn repeats(self) -> bool {
        matches!(self, Self::Text | Self::Folders)
    }

    /// Whether both can be the same character.
    fn meets(self, other: Self) -> bool {
        match (self, other) {
            (Self::Char(one), Self::Char(other)) => one == other,
            (Self::Char(char), Self::One | Self::Text) | (Self::One | Self::Text, Self::Char(char)) => char != '/',
            _ => true,
        }
    }
}

/// Whether a text exists that both patterns match.
fn intersect(one: &[Token], other: &[Token]) -> bool {
    // Whether the rests of both, from these places on, match a common text; from the end to the beginning.
    let width = other.len() + 1;
    let mut later = vec![false; width];
    for i in (0..=one.len()).rev() {
        let mut row = vec![false; width];
        for j in (0..width).rev() {
            let (a, b) = (one.get(i).copied(), other.get(j).copied());
            let at = |row: &[bool], j: usize| row.get(j).copied().unwrap_or_default();
            let holds = match (a, b) {
                (None, None) => true,
                _ => {
                    // Either ends here, or both go on with the same character.
                    a.is_some_and(Token::repeats) && at(&later, j)
                        || b.is_some_and(Token::repeats) && at(&row, j + 1)
                        || a.zip(b).is_some_and(|(a, b)| {
                            a.meets(b)
                                && match (a.repeats(), b.repeats()) {
                                    (true, true) => at(&later, j) || at(&row, j + 1),
                                    (true, false) => at(&row, j + 1),
                                    (false, true) => at(&later, j),
                                    (false, false) => at(&later, j + 1),
                                }
                        })
                }
            };
            if let Some(cell) = row.get_mut(j) {
                *cell = holds;
            }
        }
        later = row;
    }
    later.first().copied().unwrap_or_default()
}

/// The text of an option of an object of options.
pub fn text<'o>(options: &'o Value, option: &str) -> Option<&'o str> {
    options.get(option)?.as_str()
}

/// The address of a server in an option that has a URL.
pub fn sends_to_url(options: &Value, option: &'static str) -> Option<Use> {
    let address = Address::of_url(text(options, option)?)?;
    Some(Use { option, what: Used::Sends(address) })
}

/// The file in an option for rejected events.
pub fn dead_letter(options: &Value) -> Option<Use> {
    let path = text(options, "dead_letter").filter(|path| !path.is_empty())?;
    Some(Use { option: "dead_letter", what: Used::Writes(PathPattern::literal(path.as_ref())) })
}

/// The address of a socket in the options `mode`, and `address` or `path`.
pub fn socket(options: &Value, what: fn(Address) -> Used) -> Option<Use> {
    let (option, network) = match text(options, "mode").unwrap_or("tcp") {
        "udp" => ("address", Network::Udp),
        "tcp" => ("address", Network::Tcp),
        _ => ("path", Network::Unix),
    };
    let address = Address::new(network, text(options, option)?)?;
    Some(Use { option, what: what(address) })
}

#[cfg(test)]
mod tests;
