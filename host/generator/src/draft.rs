//! Writes one record: chooses its kind, caller and result, and fills the templates.

use std::io::Write;

use jiff::Timestamp;

use crate::caller::{AGENTS, VERSIONS};
use crate::catalog::{Catalog, Prepared};
use crate::options::Rates;
use crate::random::Random;
use crate::scene::{IdentityKey, Scene};
use crate::template::{Segment, Slot, Template};
use crate::truth::Truth;

/// The text that AWS writes instead of a value that it hides.
pub(crate) const HIDDEN: &str = "HIDDEN_DUE_TO_SECURITY_REASONS";
/// The prefix of STS session tokens; the rest is random.
const TOKEN_START: &str = "IQoJb3JpZ2luX2Vj";

/// Shares in parts per million.
const KEY_IN_IDENTITY_TOO: u32 = 700_000;
const EMPTY_KEY: u32 = 300_000;
const HIDDEN_TOKEN: u32 = 30_000;
const READ_ONLY_AS_STRING: u32 = 30_000;

/// A record that is being written.
struct Draft<'a> {
    catalog: &'a Catalog,
    prepared: &'a Prepared,
    scene: Scene<'a>,
    random: &'a mut Random,
    truth: &'a mut Truth,
    out: &'a mut Vec<u8>,
}

/// Appends one record as compact JSON, and adds its contents to the counts in `truth`.
pub(crate) fn write_record<'a>(
    catalog: &'a Catalog,
    mut scene: Scene<'a>,
    rates: &Rates,
    random: &'a mut Random,
    truth: &'a mut Truth,
    out: &'a mut Vec<u8>,
) {
    let carries = random.chance(rates.access_key);
    let fails = random.chance(rates.error);
    let bulky = random.chance(rates.bulk);
    let kinds = if carries { &catalog.any_kind } else { &catalog.kind_without_secret };
    let kind = random.pick(kinds);
    // The tables are never empty, so the `else` branches below never run.
    let Some(prepared) = catalog.kinds.get(kind) else {
        return;
    };
    let elsewhere = prepared.request_holds_key && !bulky || prepared.response_holds_key && !fails;
    let in_identity = carries && (!elsewhere || random.chance(KEY_IN_IDENTITY_TOO));
    let identities = if in_identity { &catalog.identity_with_key } else { &catalog.identity_without_key };
    let identity = random.pick(identities);
    let Some((identity, identity_template)) = catalog.identities.get(identity) else {
        return;
    };
    scene.from_service = identity.service;
    scene.identity_key = if in_identity {
        IdentityKey::Present
    } else if random.chance(EMPTY_KEY) {
        IdentityKey::Empty
    } else {
        IdentityKey::Missing
    };
    if bulky {
        // 4 to 98 KB; small sizes are more frequent.
        let doubled = 4_096_usize << random.below(5);
        let fraction = random.below(4_096) as usize * doubled / 4_096;
        scene.bulk_bytes = (doubled + fraction).min(98_000);
    }

    let keys_before = truth.access_key_ids;
    let mut draft = Draft { catalog, prepared, scene, random, truth, out };
    draft.fill(&catalog.head);
    draft.fill(identity_template);
    draft.fill(&prepared.start);
    if fails {
        let failure = draft.random.below(prepared.failures.len() as u32);
        if let Some(failure) = prepared.failures.get(failure as usize) {
            draft.fill(failure);
        }
        draft.truth.errors += 1;
    } else {
        draft.fill(&prepared.before);
    }
    draft.push("\"requestParameters\":");
    draft.fill(if bulky { &catalog.bulk_request } else { &prepared.request });
    draft.push(",\"responseElements\":");
    if fails {
        draft.push("null");
    } else {
        draft.fill(&prepared.response);
    }
    draft.push(",");
    draft.fill(&prepared.end);
    draft.finish();
    truth.records += 1;
    truth.get_list_describe += u64::from(prepared.get_list_describe);
    truth.records_with_access_key += u64::from(truth.access_key_ids > keys_before);
}

impl<'a> Draft<'a> {
    /// Writes the last members and the closing brace.
    fn finish(&mut self) {
        let catalog = self.catalog;
        if self.scene.from_service {
            return self.fill(&catalog.service_tail);
        }
        let tail = self.random.below(catalog.tails.len() as u32);
        if let Some(tail) = catalog.tails.get(tail as usize) {
            self.fill(tail);
        }
    }

    fn push(&mut self, text: &str) {
        self.out.extend_from_slice(text.as_bytes());
    }

    /// Appends `template` with all slots filled.
    fn fill(&mut self, template: &Template) {
        for segment in template.segments() {
            match segment {
                Segment::Text(text) => self.out.extend_from_slice(text),
                Segment::Slot(slot) => self.write(*slot),
            }
        }
    }

    fn write(&mut self, slot: Slot) {
        let catalog = self.catalog;
        match slot {
            Slot::Account => self.push(self.scene.account),
            Slot::OtherAccount => self.push(self.scene.other_account),
            Slot::Region => self.push(self.scene.region),
            Slot::User => self.push(self.scene.user),
            Slot::UserId => self.push(self.scene.user_id),
            Slot::Role => self.push(self.scene.role),
            Slot::RoleId => self.push(self.scene.role_id),
            Slot::Session => self.push(self.scene.session),
            Slot::Bucket => self.push(self.scene.bucket),
            Slot::KmsKey => self.push(self.scene.kms_key),
            Slot::Resource => self.push(self.scene.resource),
            Slot::Machine => self.push(self.scene.machine),
            Slot::Service => self.push(self.scene.service),
            Slot::Entity => self.out.extend_from_slice(self.scene.entity.as_bytes()),
            Slot::Object => {
                let (before, after) = self.scene.object;
                self.push(before);
                self.write(Slot::Entity);
                self.push(after);
            }
            Slot::Action => {
                self.push(self.prepared.kind.service);
                self.push(":");
                self.push(self.prepared.kind.name);
            }
            Slot::Host => {
                self.push(self.prepared.kind.service);
                self.push(".");
                self.push(self.scene.region);
                self.push(".amazonaws.com");
            }
            Slot::Hex => self.random.hex(17, self.out),
            Slot::Uuid => self.random.uuid(self.out),
            Slot::RequestId => self.random.request_id(self.out),
            Slot::Id2 => self.random.base64(76, self.out),
            Slot::Encoded => {
                let length = self.random.between(400, 800) as usize;
                self.random.url64(length, self.out);
            }
            Slot::Number => self.number(0, 99_999),
            Slot::Small => self.number(1, 20),
            Slot::Ip => self.ipv4(),
            Slot::PrivateIp => {
                self.push("10.");
                self.octets(3);
            }
            Slot::Time => self.time(self.scene.time),
            Slot::Created => self.time(self.scene.created),
            Slot::Expiration => self.expiration(),
            Slot::Version => self.one_of(&VERSIONS),
            Slot::Address => self.address(),
            Slot::Agent => {
                if self.scene.from_service {
                    self.push(self.scene.service);
                } else {
                    self.one_of(&AGENTS);
                }
            }
            Slot::Mfa => self.one_of(&["\"false\"", "\"false\"", "\"false\"", "\"true\"", "false", "true"]),
            Slot::ReadOnly => self.read_only(),
            Slot::SessionKey => self.identity_key("ASIA"),
            Slot::UserKey => self.identity_key("AKIA"),
            Slot::AccessKeyId => self.access_key_id("ASIA"),
            Slot::UserAccessKeyId => self.access_key_id("AKIA"),
            Slot::AssumedRoleId => {
                self.write(Slot::RoleId);
                self.push(":");
                self.write(Slot::Session);
                self.truth.assumed_role_ids += 1;
            }
            Slot::SessionToken => {
                if self.random.chance(HIDDEN_TOKEN) {
                    self.push(HIDDEN);
                    self.truth.hidden_session_tokens += 1;
                } else {
                    self.token();
                    self.truth.session_tokens += 1;
                }
            }
            Slot::EscapedAccessKeyId => {
                self.push("ASIA");
                self.random.base32(16, self.out);
                self.truth.escaped_secrets += 1;
            }
            Slot::EscapedSessionToken => {
                self.token();
                self.truth.escaped_secrets += 1;
            }
            Slot::Instances => self.list(8, &catalog.elements.instance),
            Slot::Tags => self.list(5, &catalog.elements.tag),
            Slot::Statements => self.list(6, &catalog.elements.statement),
            Slot::Payload => self.fill(&catalog.elements.payload),
            Slot::Bulk => {
                let end = self.out.len() + self.scene.bulk_bytes;
                self.fill(&catalog.elements.bulk);
                while self.out.len() < end {
                    self.push(",");
                    self.fill(&catalog.elements.bulk);
                }
            }
        }
    }

    fn one_of(&mut self, texts: &[&str]) {
        let text = self.random.pick(texts);
        self.push(text);
    }

    /// Writes 1 to `max` elements.
    fn list(&mut self, max: u32, element: &Template) {
        self.fill(element);
        for _ in 0..self.random.below(max) {
            self.push(",");
            self.fill(element);
        }
    }

    fn identity_key(&mut self, prefix: &str) {
        match self.scene.identity_key {
            IdentityKey::Present => {
                self.push("\"accessKeyId\":\"");
                self.access_key_id(prefix);
                self.push("\",");
            }
            IdentityKey::Empty => {
                self.push("\"accessKeyId\":\"\",");
                self.truth.empty_access_key_ids += 1;
            }
            IdentityKey::Missing => {}
        }
    }

    fn access_key_id(&mut self, prefix: &str) {
        self.push(prefix);
        self.random.base32(16, self.out);
        self.truth.access_key_ids += 1;
    }

    /// Writes a session token of 300 to 800 characters.
    fn token(&mut self) {
        let length = self.random.between(300, 800) as usize;
        self.push(TOKEN_START);
        self.random.base64(length - TOKEN_START.len(), self.out);
    }

    fn read_only(&mut self) {
        let quote = if self.random.chance(READ_ONLY_AS_STRING) { "\"" } else { "" };
        self.push(quote);
        self.push(if self.prepared.kind.read_only { "true" } else { "false" });
        self.push(quote);
    }

    /// Writes the source address: the name of a service, `AWS Internal`, or an IP address.
    fn address(&mut self) {
        if self.scene.from_service {
            return self.push(self.scene.service);
        }
        match self.random.below(20) {
            0..8 => self.push("AWS Internal"),
            8..12 => self.write(Slot::Service),
            12..19 => self.ipv4(),
            _ => {
                self.push("2600:1f18:");
                self.random.hex(4, self.out);
                self.push("::");
                self.random.hex(4, self.out);
            }
        }
    }

    fn ipv4(&mut self) {
        self.number(11, 223);
        self.push(".");
        self.octets(3);
    }

    /// Writes `count` numbers below 255, separated by dots.
    fn octets(&mut self, count: u32) {
        for index in 0..count {
            if index > 0 {
                self.push(".");
            }
            self.number(0, 254);
        }
    }

    fn number(&mut self, low: u32, high: u32) {
        let number = self.random.between(low, high);
        self.display(number);
    }

    fn time(&mut self, seconds: i64) {
        self.display(timestamp(seconds));
    }

    fn expiration(&mut self) {
        let end = timestamp(self.scene.time + 3600);
        self.display(end.strftime("%b %-d, %Y, %-I:%M:%S %p"));
    }

    fn display(&mut self, value: impl std::fmt::Display) {
        // Writing to a vector and formatting a number or a time never fail.
        let _ = write!(self.out, "{value}");
    }
}

/// Returns the time at `seconds` since the epoch, limited to the range of [`Timestamp`].
pub(crate) fn timestamp(seconds: i64) -> Timestamp {
    let (first, last) = (Timestamp::MIN.as_second(), Timestamp::MAX.as_second());
    Timestamp::from_second(seconds.clamp(first, last)).unwrap_or(Timestamp::UNIX_EPOCH)
}
