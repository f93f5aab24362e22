//! Generates logs like those with which the Drain paper measures: messages of a known template, with random values.
//!
//! The templates are the messages of the programs: the file system of Hadoop, the kernel and the control system of a
//! BlueGene/L, OpenSSH, and the error log of Apache. The weights follow the public samples of these logs: a few templates
//! have most of the events.

use fastrand::Rng;

/// A kind of log.
pub(crate) struct Dataset {
    pub(crate) name: &'static str,
    /// The accuracy of Table III of the paper for this log. For a log that the paper does not have, the mean of its
    /// five: 0.99, 0.84, 0.99, 0.99 and 0.86.
    pub(crate) paper: f64,
    /// Weight and text of each template, with names of values in braces.
    pub(crate) templates: &'static [(u32, &'static str)],
}

/// A message.
pub(crate) struct Line {
    /// Index of its template.
    pub(crate) template: usize,
    pub(crate) text: String,
}

/// The kinds of logs.
pub(crate) const DATASETS: [Dataset; 4] = [
    Dataset { name: "HDFS", paper: 0.99, templates: HDFS },
    Dataset { name: "BGL", paper: 0.99, templates: BGL },
    Dataset { name: "OpenSSH", paper: 0.93, templates: OPENSSH },
    Dataset { name: "Apache", paper: 0.93, templates: APACHE },
];

/// Generates this many messages.
pub(crate) fn generate(dataset: &Dataset, seed: u64, lines: usize) -> Vec<Line> {
    let mut random = Rng::with_seed(seed);
    let total: u32 = dataset.templates.iter().map(|(weight, _)| weight).sum();
    (0..lines)
        .map(|_| {
            let mut at = random.u32(..total);
            let mut weights = dataset.templates.iter().map(|(weight, _)| weight);
            let template = weights.position(|weight| at.checked_sub(*weight).map(|rest| at = rest).is_none()).unwrap();
            Line { template, text: fill(dataset.templates[template].1, &mut random) }
        })
        .collect()
}

fn fill(template: &str, random: &mut Rng) -> String {
    let mut text = String::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        let (name, next) = after.split_once('}').unwrap();
        text += before;
        value(name, random, &mut text);
        rest = next;
    }
    text + rest
}

fn value(name: &str, random: &mut Rng, text: &mut String) {
    const USERS: [&str; 24] = [
        "root",
        "admin",
        "test",
        "oracle",
        "guest",
        "ubuntu",
        "pi",
        "user",
        "ftpuser",
        "nagios",
        "git",
        "postgres",
        "webmaster",
        "support",
        "backup",
        "hadoop",
        "jenkins",
        "deploy",
        "alice",
        "bob",
        "mysql",
        "www-data",
        "info",
        "sales",
    ];
    const WORDS: [&str; 16] = [
        "index",
        "login",
        "images",
        "scripts",
        "home",
        "data",
        "jobs",
        "output",
        "temporary",
        "mnt",
        "user",
        "cache",
        "static",
        "current",
        "tasks",
        "GET",
    ];
    let mut pick = |words: &[&'static str]| words[random.usize(..words.len())];
    match name {
        "user" => text.push_str(pick(&USERS)),
        "word" => text.push_str(pick(&WORDS)),
        "host" => {
            *text += &format!("{}.{}.example.net", pick(&USERS), pick(&WORDS));
        }
        "path" => {
            *text += &format!("{}/{}/{}", pick(&WORDS), pick(&USERS), pick(&WORDS));
        }
        "hexes" => {
            let bytes: Vec<String> = (0..4).map(|_| format!("{:02x}", random.u8(..))).collect();
            *text += &format!("{}{}", random.u32(1000..9999), bytes.concat());
        }
        _ => {
            *text += &match name {
                "ip" => format!("10.{}.{}.{}", random.u8(..), random.u8(..), random.u8(..)),
                "addr" => format!("10.{}.{}.{}:{}", random.u8(..), random.u8(..), random.u8(..), random.u16(1024..)),
                "blk" => format!("blk_{}", random.i64(..)),
                "num" => random.u32(..100_000).to_string(),
                "num5" => format!("{:05}", random.u32(..1000)),
                "digit" => random.u32(..10).to_string(),
                "port" => random.u16(1024..).to_string(),
                "hex" => format!("0x{:08x}", random.u32(..)),
                "hex8" => format!("{:08x}", random.u32(..)),
                _ => unreachable!("{name} is no value"),
            }
        }
    }
}

const HDFS: &[(u32, &str)] = &[
    (2, "{addr} Served block {blk} to /{ip}"),
    (1, "{addr} Starting thread to transfer block {blk} to {addr}"),
    (2, "{addr}:Got exception while serving {blk} to /{ip}:"),
    (2, "BLOCK* ask {addr} to delete  {blk}"),
    (1, "BLOCK* ask {addr} to replicate {blk} to datanode(s) {addr}"),
    (30, "BLOCK* NameSystem.addStoredBlock: blockMap updated: {addr} is added to {blk} size {num}"),
    (12, "BLOCK* NameSystem.allocateBlock: /{path}/part-{num5}. {blk}"),
    (25, "BLOCK* NameSystem.delete: {blk} is added to invalidSet of {addr}"),
    (25, "Deleting block {blk} file /{path}/{blk}"),
    (30, "PacketResponder {digit} for block {blk} terminating"),
    (30, "Received block {blk} of size {num} from /{ip}"),
    (6, "Received block {blk} src: /{addr} dest: /{addr} of size {num}"),
    (30, "Receiving block {blk} src: /{addr} dest: /{addr}"),
    (3, "Verification succeeded for {blk}"),
];

const BGL: &[(u32, &str)] = &[
    (6, "{num} ddr error(s) detected and corrected on rank {digit}, symbol {digit} over {num} seconds"),
    (5, "{num} ddr errors(s) detected and corrected on rank {digit}, symbol {digit}, bit {digit}"),
    (8, "{num} double-hummer alignment exceptions"),
    (8, "{num} floating point alignment exceptions"),
    (5, "{num} L3 EDRAM error(s) (dcr {hex}) detected and corrected"),
    (3, "{num} L3 EDRAM error(s) (dcr {hex}) detected and corrected over {num} seconds"),
    (
        2,
        "{num} microseconds spent in the rbs signal handler during {num} calls. {num} microseconds was the maximum time for a single instance of a correctable ddr.",
    ),
    (4, "{num} torus receiver x+ input pipe error(s) (dcr {hex}) detected and corrected"),
    (3, "{num} tree receiver {digit} in re-synch state event(s) (dcr {hex}) detected"),
    (12, "CE sym {digit}, at {hex}, mask {hex}"),
    (6, "ciod: cpu {digit} at treeaddr {num} sent unrecognized message {hex}"),
    (
        4,
        "ciod: duplicate canonical-rank {num} to logical-rank {num} mapping at line {num} of node map file /{path}/map.txt",
    ),
    (3, "ciod: Error creating node map from file /{path}/map.txt: Bad file descriptor"),
    (3, "ciod: Error creating node map from file /{path}/map.txt: Permission denied"),
    (3, "ciod: Error loading /{path}/a.out: invalid or missing program image, No such file or directory"),
    (4, "ciod: Error reading message prefix on CioStream socket to {addr}, Connection reset by peer"),
    (3, "ciod: Error reading message prefix on CioStream socket to {addr}, Link has been severed"),
    (5, "ciod: failed to read message prefix on control stream (CioStream socket to {addr}"),
    (15, "ciod: generated {num} core files for program /{path}/a.out"),
    (3, "ciod: LOGIN chdir(/{path}) failed: No such file or directory"),
    (2, "ciod: Message code {digit} is not {num} or {num}"),
    (2, "ciod: Z coordinate {num} exceeds physical dimension {num} at line {num} of node map file /{path}/map.txt"),
    (3, "core configuration register: {hex}"),
    (3, "data address: {hex}"),
    (8, "data TLB error interrupt"),
    (6, "data storage interrupt"),
    (4, "exception syndrome register: {hex}"),
    (40, "generating core.{num}"),
    (6, "iar {hex8} dear {hex8}"),
    (4, "icache prefetch depth....................{digit}"),
    (4, "icache prefetch threshold................{digit}"),
    (40, "instruction cache parity error corrected"),
    (3, "instruction address: {hex}"),
    (4, "Kernel detected {num} integer alignment exceptions ({num}) iar {hex}, dear {hex}"),
    (3, "lr:{hex8} cr:{hex8} xer:{hex8} ctr:{hex8}"),
    (3, "Lustre mount FAILED : bglio{num} : block_id : location"),
    (2, "machine check enable..............{digit}"),
    (2, "machine state register: {hex}"),
    (2, "NFS Mount failed on bglio{num}, slept {num} seconds, retrying ({digit})"),
    (2, "Node card is not fully functional"),
    (2, "Node card VPD check: U{num} node in processor card slot J{num} do not match. VPD ecid {hex}, found {hex}"),
    (3, "program interrupt: fp cr field .............{digit}"),
    (3, "program interrupt: illegal instruction......{digit}"),
    (3, "program interrupt: trap instruction.........{digit}"),
    (2, "rts internal error"),
    (2, "rts panic! - stopping execution"),
    (4, "rts: kernel terminated for reason {num}"),
    (3, "rts tree/torus link training failed: wanted: {hexes} got: {hexes}"),
    (2, "shutdown complete"),
    (2, "size of scratchpad portion of L3.........{digit} ({digit}M)"),
    (4, "total of {num} ddr error(s) detected and corrected"),
    (3, "total of {num} ddr error(s) detected and corrected over {num} seconds"),
    (2, "wait state enable.................{digit}"),
];

const OPENSSH: &[(u32, &str)] = &[
    (2, "Accepted password for {user} from {ip} port {port} ssh2"),
    (8, "Connection closed by {ip} [preauth]"),
    (6, "Did not receive identification string from {ip}"),
    (2, "Disconnecting: Too many authentication failures for {user} [preauth]"),
    (4, "error: Received disconnect from {ip}: {digit}: com.jcraft.jsch.JSchException: Auth fail [preauth]"),
    (2, "error: Received disconnect from {ip}: {digit}: No more user authentication methods available. [preauth]"),
    (3, "Failed none for invalid user {user} from {ip} port {port} ssh2"),
    (38, "Failed password for {user} from {ip} port {port} ssh2"),
    (14, "Failed password for invalid user {user} from {ip} port {port} ssh2"),
    (3, "fatal: Write failed: Connection reset by peer [preauth]"),
    (11, "input_userauth_request: invalid user {user} [preauth]"),
    (11, "Invalid user {user} from {ip}"),
    (2, "message repeated {digit} times: [ Failed password for {user} from {ip} port {port}]"),
    (3, "PAM {digit} more authentication failure; logname= uid={digit} euid={digit} tty=ssh ruser= rhost={ip}"),
    (
        4,
        "PAM {digit} more authentication failures; logname= uid={digit} euid={digit} tty=ssh ruser= rhost={ip}  user={user}",
    ),
    (4, "PAM service(sshd) ignoring max retries; {digit} > {digit}"),
    (15, "pam_unix(sshd:auth): authentication failure; logname= uid={digit} euid={digit} tty=ssh ruser= rhost={ip}"),
    (
        12,
        "pam_unix(sshd:auth): authentication failure; logname= uid={digit} euid={digit} tty=ssh ruser= rhost={ip}  user={user}",
    ),
    (11, "pam_unix(sshd:auth): check pass; user unknown"),
    (2, "pam_unix(sshd:session): session closed for user {user}"),
    (2, "pam_unix(sshd:session): session opened for user {user} by (uid={digit})"),
    (20, "Received disconnect from {ip}: {digit}: Bye Bye [preauth]"),
    (2, "Received disconnect from {ip}: {digit}: Closed due to user request. [preauth]"),
    (2, "Received disconnect from {ip}: {digit}: disconnected by user"),
    (6, "reverse mapping checking getaddrinfo for {host} [{ip}] failed - POSSIBLE BREAK-IN ATTEMPT!"),
];

const APACHE: &[(u32, &str)] = &[
    (40, "jk2_init() Found child {num} in scoreboard slot {digit}"),
    (28, "workerEnv.init() ok /etc/httpd/conf/workers2.properties"),
    (27, "mod_jk child workerEnv in error state {digit}"),
    (4, "[client {ip}] Directory index forbidden by rule: /var/www/{path}/"),
    (1, "jk2_init() Can't find child {num} in scoreboard"),
    (1, "mod_jk child init {digit} -{digit}"),
    (4, "[client {ip}] File does not exist: /var/www/{path}/{word}.html"),
    (2, "[client {ip}] script '/var/www/{path}/{word}.php' not found or unable to stat"),
    (1, "caught SIGTERM, shutting down"),
    (1, "Digest: generating secret for digest authentication ..."),
    (1, "Digest: done"),
    (1, "suEXEC mechanism enabled (wrapper: /usr/sbin/suexec)"),
    (2, "[client {ip}] Invalid method in request {word}"),
    (1, "server reached MaxClients setting, consider raising the MaxClients setting"),
];
