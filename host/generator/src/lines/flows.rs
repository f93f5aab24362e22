//! Flow logs of AWS VPC, version 2.

use jiff::Timestamp;

use super::push;
use crate::random::Random;

pub(super) fn header(out: &mut Vec<u8>) -> &'static str {
    out.extend_from_slice(
        b"version account-id interface-id srcaddr dstaddr srcport dstport protocol packets bytes start end action log-status",
    );
    "header"
}

pub(super) fn line(random: &mut Random, time: Timestamp, out: &mut Vec<u8>) -> &'static str {
    out.extend_from_slice(b"2 123456789012 eni-");
    random.hex(17, out);
    let end = time.as_second();
    let start = end - i64::from(random.between(1, 60));
    if random.below(20) == 0 {
        push(out, format_args!(" - - - - - - - {start} {end} - {}", random.pick(&["NODATA", "SKIPDATA"])));
        return "no_data";
    }
    let protocol = random.pick(&[6, 6, 6, 17, 1]);
    let (source, target) = (random.between(1, 254), random.between(1, 254));
    let (from, to) = match protocol {
        1 => (0, 0),
        _ => (random.between(1024, 65_535), random.pick(&[22, 53, 80, 443, 3389, 5432])),
    };
    let packets = random.between(1, 200);
    let bytes = packets * random.between(40, 1500);
    let is_accepted = random.below(8) > 0;
    let action = if is_accepted { "ACCEPT" } else { "REJECT" };
    push(
        out,
        format_args!(
            " 172.31.16.{source} 172.31.9.{target} {from} {to} {protocol} {packets} {bytes} {start} {end} {action} OK"
        ),
    );
    if is_accepted { "accepted" } else { "rejected" }
}
