//! Templates: compact JSON with `$(slot)` for each value that differs between records.
//!
//! A generator splits each template once. Filling a template copies literals and matches on slots.

use crate::layout;

/// A value that differs between records. Each comment describes or shows the text that the slot
/// writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Slot {
    /// `123456789012`: the account of the document.
    Account,
    /// Another account.
    OtherAccount,
    /// `eu-west-1`: the region of the document.
    Region,
    /// `jane.doe`
    User,
    /// `AIDA...`: the ID of `User`.
    UserId,
    /// `deploy-role`
    Role,
    /// `AROA...`: the ID of `Role`.
    RoleId,
    /// `botocore-session-1735689600`: a session of `Role`.
    Session,
    /// `acme-logs-prod-1a2b3c4d`
    Bucket,
    /// `raw/2025/part-<Entity>.parquet`: a key in `Bucket`, as JSON string text.
    Object,
    /// The ID of a KMS key.
    KmsKey,
    /// `order-events-prod`: the name of a function, table, queue, log group ...
    Resource,
    /// 17 hex digits that are the same everywhere in one record.
    Entity,
    /// 17 fresh hex digits.
    Hex,
    /// A fresh UUID.
    Uuid,
    /// A fresh request ID as S3 writes it.
    RequestId,
    /// 76 fresh base64 characters.
    Id2,
    /// 400 to 800 fresh characters of base64 for URLs.
    Encoded,
    /// A number up to 99,999.
    Number,
    /// A number from 1 to 20.
    Small,
    /// `t3.large`
    Machine,
    /// A public IPv4 address.
    Ip,
    /// A private IPv4 address.
    PrivateIp,
    /// `2025-01-01T00:00:00Z`: the time of the event.
    Time,
    /// Up to 12 hours before `Time`, the same everywhere in one record.
    Created,
    /// `Jan 1, 2025, 1:00:00 AM`: an hour after `Time`.
    Expiration,
    /// `1.11`: the version of the record format.
    Version,
    /// `cloudtrail.amazonaws.com`: the AWS service that calls.
    Service,
    /// The value of `sourceIPAddress`.
    Address,
    /// The value of `userAgent`, as JSON string text.
    Agent,
    /// `"false"`, `"true"`, `false` or `true`.
    Mfa,
    /// `s3:GetObject`: the action of the call.
    Action,
    /// `true` or `false`, rarely as a string.
    ReadOnly,
    /// `s3.eu-west-1.amazonaws.com`: the host name of the endpoint.
    Host,
    /// `"accessKeyId":"ASIA...",` or the same with an empty value, or nothing.
    SessionKey,
    /// As `SessionKey`, with `AKIA...`.
    UserKey,
    /// `ASIA...` as the value of an `accessKeyId`.
    AccessKeyId,
    /// `AKIA...` as the value of an `accessKeyId`.
    UserAccessKeyId,
    /// `AROA...:session` as the value of an `assumedRoleId`.
    AssumedRoleId,
    /// Base64 as the value of a `sessionToken`.
    SessionToken,
    /// `ASIA...` as the value of an `accessKeyId` within a string.
    EscapedAccessKeyId,
    /// Base64 as the value of a `sessionToken` within a string.
    EscapedSessionToken,
    /// A list of `{"instanceId":...}`.
    Instances,
    /// A list of `{"key":...,"value":...}`.
    Tags,
    /// The statements of a policy, within a string.
    Statements,
    /// The input of a state machine with credentials, within a string.
    Payload,
    /// Free-form elements until the size drawn for the record is reached.
    Bulk,
}

/// The names of the slots in template text.
const SLOTS: [(&str, Slot); 47] = [
    ("account", Slot::Account),
    ("other-account", Slot::OtherAccount),
    ("region", Slot::Region),
    ("user", Slot::User),
    ("user-id", Slot::UserId),
    ("role", Slot::Role),
    ("role-id", Slot::RoleId),
    ("session", Slot::Session),
    ("bucket", Slot::Bucket),
    ("object", Slot::Object),
    ("kms-key", Slot::KmsKey),
    ("resource", Slot::Resource),
    ("entity", Slot::Entity),
    ("hex", Slot::Hex),
    ("uuid", Slot::Uuid),
    ("request-id", Slot::RequestId),
    ("id-2", Slot::Id2),
    ("encoded", Slot::Encoded),
    ("number", Slot::Number),
    ("small", Slot::Small),
    ("machine", Slot::Machine),
    ("ip", Slot::Ip),
    ("private-ip", Slot::PrivateIp),
    ("time", Slot::Time),
    ("created", Slot::Created),
    ("expiration", Slot::Expiration),
    ("version", Slot::Version),
    ("service", Slot::Service),
    ("address", Slot::Address),
    ("agent", Slot::Agent),
    ("mfa", Slot::Mfa),
    ("action", Slot::Action),
    ("read-only", Slot::ReadOnly),
    ("host", Slot::Host),
    ("session-key", Slot::SessionKey),
    ("user-key", Slot::UserKey),
    ("access-key-id", Slot::AccessKeyId),
    ("user-access-key-id", Slot::UserAccessKeyId),
    ("assumed-role-id", Slot::AssumedRoleId),
    ("session-token", Slot::SessionToken),
    ("escaped-access-key-id", Slot::EscapedAccessKeyId),
    ("escaped-session-token", Slot::EscapedSessionToken),
    ("instances", Slot::Instances),
    ("tags", Slot::Tags),
    ("statements", Slot::Statements),
    ("payload", Slot::Payload),
    ("bulk", Slot::Bulk),
];

/// A piece of a template.
#[derive(Debug, Clone)]
pub(crate) enum Segment {
    /// Written unchanged.
    Text(Vec<u8>),
    /// Replaced by a drawn value.
    Slot(Slot),
}

/// A text split at its slots.
#[derive(Debug, Clone, Default)]
pub(crate) struct Template {
    segments: Vec<Segment>,
}

impl Template {
    /// Splits `text`. Line feeds and the indentation after them are removed, so that long templates
    /// can be wrapped. An unknown slot stays literal text; a test checks that no template has one.
    pub(crate) fn parse(text: &str) -> Self {
        let joined: String = text.lines().map(str::trim_start).collect();
        let mut pieces = joined.split("$(");
        let mut template = Self::default();
        template.push_text(pieces.next().unwrap_or_default());
        for piece in pieces {
            let slot = piece.split_once(')').and_then(|(name, rest)| {
                let (_, slot) = SLOTS.iter().find(|(known, _)| *known == name)?;
                Some((*slot, rest))
            });
            match slot {
                Some((slot, rest)) => {
                    template.segments.push(Segment::Slot(slot));
                    template.push_text(rest);
                }
                None => template.push_text(&format!("$({piece}")),
            }
        }
        template
    }

    /// Splits `text` and escapes its literals for the inside of a JSON string.
    pub(crate) fn parse_escaped(text: &str) -> Self {
        let mut template = Self::parse(text);
        for segment in &mut template.segments {
            if let Segment::Text(text) = segment {
                let mut escaped = Vec::new();
                layout::escape(text, &mut escaped);
                *text = escaped;
            }
        }
        template
    }

    /// Returns the pieces in order.
    pub(crate) fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// Returns whether the template contains one of `slots`.
    pub(crate) fn has(&self, slots: &[Slot]) -> bool {
        self.segments.iter().any(|segment| matches!(segment, Segment::Slot(slot) if slots.contains(slot)))
    }

    fn push_text(&mut self, text: &str) {
        if !text.is_empty() {
            self.segments.push(Segment::Text(text.into()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn show(template: &Template) -> String {
        template
            .segments()
            .iter()
            .map(|segment| match segment {
                Segment::Text(text) => String::from_utf8(text.clone()).unwrap(),
                Segment::Slot(slot) => format!("<{slot:?}>"),
            })
            .collect()
    }

    #[test]
    fn splits_at_slots_and_joins_lines() {
        let template = Template::parse("{\"a\":\"$(account)-$(hex)\",\n    \"b\":$(unknown) $(");
        assert_eq!(show(&template), "{\"a\":\"<Account>-<Hex>\",\"b\":$(unknown) $(");
        assert!(template.has(&[Slot::Hex]) && !template.has(&[Slot::Uuid]));
    }

    #[test]
    fn escapes_only_literals() {
        let template = Template::parse_escaped(r#"{"k":"$(uuid)"}"#);
        assert_eq!(show(&template), r#"{\"k\":\"<Uuid>\"}"#);
    }

    #[test]
    fn slot_names_are_unique() {
        for (index, (name, slot)) in SLOTS.iter().enumerate() {
            for (other_name, other) in SLOTS.iter().skip(index + 1) {
                assert!(name != other_name && slot != other, "`{name}` occurs twice");
            }
        }
    }
}
