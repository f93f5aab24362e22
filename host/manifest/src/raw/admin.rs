//! `[admin]` as written.

use std::net::SocketAddr;

use wattle_api::TapPolicy;
use wattle_diagnostics::{Findings, Place, Reader, Table, Text, codes};
use wattle_plan::AdminSettings;

/// Values of `tap`.
const TAP: [(&str, TapPolicy); 3] = [("masked", TapPolicy::Masked), ("all", TapPolicy::All), ("off", TapPolicy::Off)];
/// Maximum price of a GB; more is a mistake.
const MAX_PRICE: f64 = 1e9;
/// Maximum length of a currency in characters.
const MAX_CURRENCY: usize = 16;

/// Sizes of `recent`. A trial may use as many bytes again while it runs.
const RECENT: std::ops::RangeInclusive<u64> = 0..=256 << 20;

/// Reads `[admin]`. Refuses an address beyond loopback without `allow_remote`, since the listener
/// has no authentication.
pub(crate) fn read_admin(table: &Table, place: Place, findings: &mut Findings) -> Option<AdminSettings> {
    let mut reader = Reader::new(table, place, "`[admin]`");
    let listen = reader.string("listen", findings);
    let allow_remote = reader.boolean("allow_remote", findings).unwrap_or(false);
    let allowed_hosts = reader.strings("allowed_hosts", findings).unwrap_or_default();
    let tap = reader.choice("tap", &TAP, findings).unwrap_or_default();
    let recent_bytes = reader.size("recent", RECENT, findings).unwrap_or(0);
    let page = reader.boolean("page", findings).unwrap_or(true);
    let can_try = reader.boolean("try", findings);
    let price_per_gb = reader.fraction("price_per_gb", 0.0..=MAX_PRICE, findings);
    let currency = reader.string("currency", findings).and_then(|text| read_currency(text, findings));
    reader.finish(findings);
    let allowed_hosts = allowed_hosts.into_iter().filter_map(|text| read_host(text, findings)).collect();
    // Last, so that the errors of all other keys are found as well.
    let listen = match listen {
        Some(text) => Some(read_address(&text, allow_remote, findings)?),
        None => None,
    };
    let is_private = listen.is_none_or(is_loopback);
    Some(AdminSettings {
        listen,
        allowed_hosts,
        tap,
        recent_bytes,
        page,
        // Whoever reaches the listener could otherwise use the CPU of the agent.
        can_try: can_try.unwrap_or(is_private),
        price_per_gb,
        currency,
    })
}

fn is_loopback(address: SocketAddr) -> bool {
    address.ip().to_canonical().is_loopback()
}

fn read_address(Text { text, place }: &Text, allow_remote: bool, findings: &mut Findings) -> Option<SocketAddr> {
    let Ok(listen) = text.trim().parse::<SocketAddr>() else {
        let message = format!("bad `listen`: `{text}`; it must be an IP address and a port such as `127.0.0.1:9598`");
        findings.report(codes::BAD_VALUE.at(*place, message));
        return None;
    };
    if !is_loopback(listen) && !allow_remote {
        let message = format!("the admin listener at `{listen}` can be reached from other machines");
        let hint = "listen at `127.0.0.1`; or add `allow_remote = true` if a firewall or a proxy guards it";
        findings.report(codes::REMOTE_ADMIN.at(*place, message).hint(hint));
        return None;
    }
    Some(listen)
}

/// A name without port, in lower case. A wildcard would let the owner of any name below it in.
fn read_host(Text { text, place }: Text, findings: &mut Findings) -> Option<String> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if text.is_empty() || !text.chars().all(is_name) {
        let message =
            format!("bad `allowed_hosts`: `{text}`; it must be a host name without port, such as `edge-7.example.com`");
        findings.report(codes::BAD_VALUE.at(place, message));
        return None;
    }
    Some(text.trim_end_matches('.').to_ascii_lowercase())
}

fn read_currency(Text { text, place }: Text, findings: &mut Findings) -> Option<String> {
    if text.is_empty() || text.chars().count() > MAX_CURRENCY || text.chars().any(char::is_control) {
        let message = format!("bad `currency`: it must be a text of 1 to {MAX_CURRENCY} characters, such as `USD`");
        findings.report(codes::BAD_VALUE.at(place, message));
        return None;
    }
    Some(text)
}
