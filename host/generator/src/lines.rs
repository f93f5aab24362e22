//! Log lines for the packs beside `cloudtrail`: web servers, load balancers, syslog, flow logs and
//! containers. About one line in a hundred is broken on purpose.

mod containers;
mod flows;
mod syslog;
mod web;

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use crate::random::Random;

/// What writes the lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LineKind {
    /// Access and error logs of nginx, for the pack `nginx`.
    Nginx,
    /// Messages of sshd, sudo, su and other programs, for the pack `syslog-auth`.
    SyslogAuth,
    /// Flow logs of AWS VPC of version 2 with a header, for the pack `vpc-flow`.
    VpcFlow,
    /// Access logs of AWS Application Load Balancers, for the pack `alb`.
    Alb,
    /// Logs of containers in the format of CRI, for the pack `kubernetes-containers`.
    KubernetesContainers,
}

/// A generator of lines. The same kind and seed give the same lines on every platform.
#[derive(Debug)]
pub struct Lines {
    kind: LineKind,
    random: Random,
    time: Timestamp,
    outputs: BTreeMap<&'static str, u64>,
}

impl Lines {
    /// A generator whose first line is at the start of 2026.
    pub fn new(kind: LineKind, seed: u64) -> Self {
        // Seconds of 2026-01-01T00:00:00Z.
        let time = Timestamp::constant(1_767_225_600, 0);
        Self { kind, random: Random::new(seed, 0), time, outputs: BTreeMap::new() }
    }

    /// Appends the next line, with its line feed.
    pub fn next_line(&mut self, out: &mut Vec<u8>) {
        let milliseconds = i64::from(self.random.between(1, 400));
        self.time = self.time.saturating_add(SignedDuration::from_millis(milliseconds)).unwrap_or(self.time);
        let (random, time) = (&mut self.random, self.time);
        let output = match self.kind {
            // A file of flow logs begins with the names of its fields.
            LineKind::VpcFlow if self.outputs.is_empty() => flows::header(out),
            _ if random.chance(10_000) => broken(random, out),
            LineKind::Nginx => web::nginx(random, time, out),
            LineKind::SyslogAuth => syslog::line(random, time, out),
            LineKind::VpcFlow => flows::line(random, time, out),
            LineKind::Alb => web::alb(random, time, out),
            LineKind::KubernetesContainers => containers::line(random, time, out),
        };
        out.push(b'\n');
        *self.outputs.entry(output).or_default() += 1;
    }

    /// Number of lines so far by the output of the pack that they leave on; `header` counts lines
    /// that the pack drops.
    pub const fn outputs(&self) -> &BTreeMap<&'static str, u64> {
        &self.outputs
    }
}

/// A line that no format accepts.
fn broken(random: &mut Random, out: &mut Vec<u8>) -> &'static str {
    let text = random.pick(&["?", "-", "[truncated", "\u{fffd}\u{fffd} 0x", "Traceback (most recent call last):"]);
    out.extend_from_slice(text.as_bytes());
    "fails"
}

/// Appends formatted text.
fn push(out: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    // Writing to memory does not fail.
    let _ = std::io::Write::write_fmt(out, text);
}

/// An address of a client: mostly IPv4 of the documentation networks, sometimes IPv6.
fn client(random: &mut Random) -> String {
    match random.below(10) {
        0 => format!("2001:db8:{:x}::{:x}", random.below(0xffff), random.between(1, 0xffff)),
        1..=4 => format!("198.51.100.{}", random.between(1, 254)),
        _ => format!("203.0.113.{}", random.between(1, 254)),
    }
}
