//! Random messages: of syslog, nearly of syslog, and none at all.

use fastrand::Rng;

/// Beginnings of real messages.
const REAL: [&str; 8] = [
    "<34>1 2026-10-11T22:14:15.003Z mymachine.example.com su - ID47 - 'su root' failed for lonvick on /dev/pts/8",
    "<165>1 2026-08-24T05:14:15.000003-07:00 192.0.2.1 myproc 8710 - - %% It's time to make the do-nuts.",
    "<165>1 2026-10-11T22:14:15.003Z h evntslog - ID47 [exampleSDID@32473 iut=\"3\" eventSource=\"App\"] entry",
    "<13>Oct 11 22:14:15 web1 sshd[4711]: Failed password for root from 192.0.2.7 port 4242 ssh2",
    "<189>45: Nov 30 08:00:00.123: %SYS-5-CONFIG_I: Configured from console by vty0",
    "<30>Nov 30 08:00:00 fw1 dhcpd: DHCPACK on 10.0.0.7 to 00:11:22:33:44:55 via eth1",
    "<134>Nov 30 08:00:00 10.0.0.1 date=2026-11-30 time=08:00:00 devname=\"FG100\" type=\"traffic\"",
    "<0>kernel: BUG: unable to handle page fault for address: ffffffff",
];

/// A stream of random messages.
pub(crate) struct Messages {
    pub(crate) random: Rng,
}

impl Messages {
    pub(crate) fn new(seed: u64) -> Self {
        Self { random: Rng::with_seed(seed) }
    }

    /// The next message. Only a `whole` one, as a datagram is, may have a line feed or zero byte, or begin with a digit.
    pub(crate) fn next(&mut self, whole: bool) -> Vec<u8> {
        loop {
            let mut message = self.random.choice(REAL).unwrap().as_bytes().to_vec();
            match self.random.u8(0..5) {
                0 | 1 => {}
                2 => self.damage(&mut message),
                3 => {
                    let length = self.random.usize(0..2000);
                    message.extend((0..length).map(|_| self.random.u8(..)));
                }
                _ => {
                    let length = self.random.usize(1..300);
                    message = (0..length).map(|_| self.random.u8(..)).collect();
                }
            }
            if !whole {
                message.retain(|byte| !matches!(byte, b'\n' | 0));
            }
            let begins_well = whole || message.first().is_some_and(|byte| !byte.is_ascii_digit());
            // The source removes the end of a line.
            let ends_well = message.last().is_some_and(|byte| !matches!(byte, b'\n' | b'\r' | 0));
            if begins_well && ends_well {
                return message;
            }
        }
    }

    /// Changes, removes and repeats bytes.
    fn damage(&mut self, message: &mut Vec<u8>) {
        for _ in 0..self.random.u8(1..6) {
            let at = self.random.usize(0..message.len());
            match self.random.u8(0..4) {
                0 => message[at] = self.random.u8(..),
                1 if message.len() > 1 => drop(message.remove(at)),
                2 => message.truncate(at.max(1)),
                _ => message.insert(at, *self.random.choice(b"<>[]\"\\ 0123456789:-").unwrap()),
            }
        }
    }
}

/// A message with its length before it.
pub(crate) fn counted(message: &[u8]) -> Vec<u8> {
    [format!("{} ", message.len()).as_bytes(), message].concat()
}
