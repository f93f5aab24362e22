//! Lines of nginx and of AWS Application Load Balancers.

use jiff::{SignedDuration, Timestamp};

use super::{client, push};
use crate::random::Random;

const PATHS: &[&str] = &[
    "/",
    "/index.html",
    "/api/orders",
    "/api/orders/4711",
    "/api/users?limit=20&page=2",
    "/static/app.js",
    "/search?q=a%20b",
    "/login",
    "/favicon.ico",
];
const AGENTS: &[&str] = &[
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Safari/537.36",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.1 Safari/605.1.15",
    "curl/8.5.0",
    "kube-probe/1.31",
    "-",
];

/// A status: mostly of success, one in fifty of the server's errors.
fn status(random: &mut Random) -> u16 {
    match random.below(100) {
        0 | 1 => random.pick(&[500, 502, 503, 504]),
        2..=9 => random.pick(&[400, 401, 403, 404, 404, 404, 429]),
        10..=19 => random.pick(&[301, 302, 304, 304]),
        _ => random.pick(&[200, 200, 200, 201, 204]),
    }
}

fn output(status: u16) -> &'static str {
    if status >= 500 { "errors" } else { "requests" }
}

pub(super) fn nginx(random: &mut Random, time: Timestamp, out: &mut Vec<u8>) -> &'static str {
    if random.below(20) == 0 {
        return nginx_error(random, time, out);
    }
    let (client, status) = (client(random), status(random));
    let user = random.pick(&["-", "-", "-", "ann"]);
    let (method, path) = (random.pick(&["GET", "GET", "GET", "POST", "PUT", "DELETE"]), random.pick(PATHS));
    let size = if matches!(status, 204 | 304) { 0 } else { random.between(20, 40_000) };
    let time = time.strftime("%d/%b/%Y:%H:%M:%S +0000");
    push(out, format_args!("{client} - {user} [{time}] \"{method} {path} HTTP/1.1\" {status} {size} "));
    let agent = random.pick(AGENTS);
    push(out, format_args!("\"{}\" \"{agent}\"", random.pick(&["-", "https://shop.example.com/"])));
    output(status)
}

fn nginx_error(random: &mut Random, time: Timestamp, out: &mut Vec<u8>) -> &'static str {
    let time = time.strftime("%Y/%m/%d %H:%M:%S");
    let (process, connection) = (random.between(20, 60), random.between(1, 99_999));
    if random.below(3) == 0 {
        push(out, format_args!("{time} [notice] {process}#{process}: signal process started"));
        return "requests";
    }
    let (client, path) = (client(random), random.pick(PATHS));
    push(
        out,
        format_args!(
            "{time} [error] {process}#{process}: *{connection} connect() failed (111: Connection refused) while connecting to \
         upstream, client: {client}, server: shop.example.com, request: \"GET {path} HTTP/1.1\", \
         upstream: \"http://10.1.0.5:8080{path}\", host: \"shop.example.com\""
        ),
    );
    "errors"
}

pub(super) fn alb(random: &mut Random, time: Timestamp, out: &mut Vec<u8>) -> &'static str {
    let (client, port, status) = (client(random), random.between(1024, 65_535), status(random));
    // An address of version 6 has no brackets before the port.
    let kind = random.pick(&["https", "https", "h2", "http"]);
    let target = format!("10.0.{}.{}:8080", random.below(4), random.between(1, 254));
    let answered = status < 500 || random.below(2) == 0;
    let is_slow = answered && random.below(50) == 0;
    let milliseconds = if is_slow { random.between(5_000, 29_999) } else { random.between(1, 4_999) };
    let begun = time.saturating_sub(SignedDuration::from_millis(i64::from(milliseconds))).unwrap_or(time);
    push(
        out,
        format_args!("{kind} {} app/shop/50dc6c495c0c9188 {client}:{port} ", time.strftime("%Y-%m-%dT%H:%M:%S%.6fZ")),
    );
    match answered {
        true => push(
            out,
            format_args!("{target} 0.001 {}.{:03} 0.000 {status} {status} ", milliseconds / 1000, milliseconds % 1000),
        ),
        false => push(out, format_args!("- -1 -1 -1 {status} - ")),
    }
    let (received, sent) = (random.between(34, 2_000), random.between(0, 90_000));
    let (method, path) = (random.pick(&["GET", "GET", "POST"]), random.pick(PATHS));
    push(out, format_args!("{received} {sent} \"{method} https://shop.example.com:443{path} HTTP/1.1\" "));
    push(out, format_args!("\"{}\" ECDHE-RSA-AES128-GCM-SHA256 TLSv1.2 ", random.pick(AGENTS)));
    out.extend_from_slice(
        b"arn:aws:elasticloadbalancing:eu-central-1:123456789012:targetgroup/shop/73e2d6bc24d8a067 \"Root=1-",
    );
    random.hex(8, out);
    out.push(b'-');
    random.hex(24, out);
    push(
        out,
        format_args!(
            "\" \"shop.example.com\" \"arn:aws:acm:eu-central-1:123456789012:certificate/12345678-1234-1234-1234-123456789012\" \
         1 {} \"forward\" \"-\" \"-\" ",
            begun.strftime("%Y-%m-%dT%H:%M:%S%.6fZ")
        ),
    );
    match answered {
        true => push(out, format_args!("\"{target}\" \"{status}\" \"-\" \"-\" TID_")),
        false => out.extend_from_slice(b"\"-\" \"-\" \"-\" \"-\" TID_"),
    }
    random.hex(32, out);
    match output(status) {
        "requests" if is_slow => "slow",
        output => output,
    }
}
