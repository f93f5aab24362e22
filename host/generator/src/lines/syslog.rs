//! Messages of syslog, as `/var/log/auth.log` has them.

use jiff::Timestamp;

use super::{client, push};
use crate::random::Random;

const USERS: &[&str] = &["ann", "bob", "root", "deploy", "admin"];

pub(super) fn line(random: &mut Random, time: Timestamp, out: &mut Vec<u8>) -> &'static str {
    let (host, process) = (random.pick(&["web1", "web2", "db1"]), random.between(300, 99_999));
    let (user, client, port) = (random.pick(USERS), client(random), random.between(1024, 65_535));
    push(out, format_args!("{} {host} ", time.strftime("%b %e %H:%M:%S")));
    match random.below(12) {
        0 | 1 => {
            push(
                out,
                format_args!(
                    "sshd[{process}]: Accepted publickey for {user} from {client} port {port} ssh2: ED25519 SHA256:"
                ),
            );
            random.url64(43, out);
            "auth"
        }
        2 | 3 => {
            push(out, format_args!("sshd[{process}]: Failed password for {user} from {client} port {port} ssh2"));
            "failures"
        }
        4 => {
            push(
                out,
                format_args!("sshd[{process}]: Failed password for invalid user oracle from {client} port {port} ssh2"),
            );
            "failures"
        }
        5 => {
            push(
                out,
                format_args!(
                    "sshd[{process}]: pam_unix(sshd:session): session opened for user {user}(uid=1000) by (uid=0)"
                ),
            );
            "auth"
        }
        6 => {
            push(
                out,
                format_args!(
                    "sudo:      {user} : TTY=pts/0 ; PWD=/home/{user} ; USER=root ; COMMAND=/usr/bin/apt update"
                ),
            );
            "auth"
        }
        7 => {
            push(
                out,
                format_args!(
                    "sudo:      {user} : user NOT in sudoers ; TTY=pts/1 ; PWD=/home/{user} ; USER=root ; COMMAND=/bin/bash"
                ),
            );
            "failures"
        }
        8 => {
            push(out, format_args!("su[{process}]: FAILED SU (to root) {user} on pts/1"));
            "failures"
        }
        9 => {
            push(out, format_args!("systemd-logind[500]: New session {} of user {user}.", random.between(1, 999)));
            "auth"
        }
        10 => {
            push(
                out,
                format_args!("kernel: [{}.{:06}] eth0: link up", random.between(1, 99_999), random.below(1_000_000)),
            );
            "other"
        }
        _ => {
            push(out, format_args!("systemd[1]: Started session-{}.scope.", random.between(1, 999)));
            "other"
        }
    }
}
