//! All templates, split and weighted once, when a generator is created.

use crate::failure;
use crate::identity::{IDENTITIES, Identity};
use crate::kinds::{self, Kind};
use crate::template::{Slot, Template};

/// Slots that write a readable `accessKeyId` as a member of the record.
const KEY_SLOTS: &[Slot] = &[Slot::AccessKeyId, Slot::UserAccessKeyId];
/// Slots that write a secret of any kind.
const SECRET_SLOTS: &[Slot] =
    &[Slot::AccessKeyId, Slot::UserAccessKeyId, Slot::AssumedRoleId, Slot::SessionToken, Slot::Payload];

/// An event kind with its templates split.
#[derive(Debug, Clone)]
pub(crate) struct Prepared {
    pub(crate) kind: &'static Kind,
    /// From `eventTime` to `userAgent`.
    pub(crate) start: Template,
    /// Members before `requestParameters`, for records without an error.
    pub(crate) before: Template,
    pub(crate) request: Template,
    pub(crate) response: Template,
    /// From after `responseElements` to `eventCategory`.
    pub(crate) end: Template,
    pub(crate) failures: Vec<Template>,
    /// Whether `request` or `response` contains a secret of any kind.
    pub(crate) holds_secret: bool,
    pub(crate) request_holds_key: bool,
    pub(crate) response_holds_key: bool,
    /// Whether the name starts with `Get`, `List` or `Describe`.
    pub(crate) get_list_describe: bool,
}

/// Templates of list elements; the slots of each element are drawn separately.
#[derive(Debug, Clone)]
pub(crate) struct Elements {
    pub(crate) instance: Template,
    pub(crate) tag: Template,
    pub(crate) statement: Template,
    pub(crate) payload: Template,
    pub(crate) bulk: Template,
}

/// All templates, and lists of indices that contain each index as often as its weight.
#[derive(Debug, Clone)]
pub(crate) struct Catalog {
    pub(crate) kinds: Vec<Prepared>,
    /// Indices of all kinds.
    pub(crate) any_kind: Vec<usize>,
    /// Indices of kinds without a secret.
    pub(crate) kind_without_secret: Vec<usize>,
    pub(crate) identities: Vec<(&'static Identity, Template)>,
    /// Indices of identities for records whose identity has an access key.
    pub(crate) identity_with_key: Vec<usize>,
    /// Indices of the other identities.
    pub(crate) identity_without_key: Vec<usize>,
    /// The start of every record.
    pub(crate) head: Template,
    /// Free-form `requestParameters`.
    pub(crate) bulk_request: Template,
    /// Ends of records whose caller is a person.
    pub(crate) tails: Vec<Template>,
    /// The end of records whose caller is a service.
    pub(crate) service_tail: Template,
    pub(crate) elements: Elements,
}

impl Catalog {
    /// Splits all templates.
    pub(crate) fn new() -> Self {
        let kinds: Vec<Prepared> = kinds::all().map(Prepared::new).collect();
        let any_kind = tickets(kinds.iter().map(|kind| kind.kind.weight));
        let kind_without_secret =
            tickets(kinds.iter().map(|kind| if kind.holds_secret { 0 } else { kind.kind.weight }));
        Self {
            kinds,
            any_kind,
            kind_without_secret,
            identities: IDENTITIES.iter().map(|identity| (identity, Template::parse(identity.template))).collect(),
            identity_with_key: tickets(IDENTITIES.iter().map(|one| one.weight_with_key)),
            identity_without_key: tickets(IDENTITIES.iter().map(|one| one.weight_without_key)),
            head: Template::parse(r#"{"eventVersion":"$(version)","#),
            bulk_request: bulk_request(),
            tails: TAILS.iter().map(|tail| Template::parse(tail)).collect(),
            service_tail: Template::parse(r#","sharedEventID":"$(uuid)"}"#),
            elements: Elements {
                instance: Template::parse(r#"{"instanceId":"i-$(hex)"}"#),
                tag: Template::parse(r#"{"key":"team-$(small)","value":"$(resource)"}"#),
                statement: Template::parse_escaped(STATEMENT),
                payload: Template::parse_escaped(PAYLOAD),
                bulk: Template::parse(BULK),
            },
        }
    }
}

impl Prepared {
    fn new(kind: &'static Kind) -> Self {
        let Kind { service, name, .. } = kind;
        let start = format!(
            r#""eventTime":"$(time)","eventSource":"{service}.amazonaws.com","eventName":"{name}","awsRegion":"$(region)","sourceIPAddress":"$(address)","userAgent":"$(agent)","#
        );
        let resources = match kind.resources {
            "" => String::new(),
            some => format!(r#""resources":[{some}],"#),
        };
        let (management, category) = if kind.data { (false, "Data") } else { (true, "Management") };
        let (after, event_type) = (kind.after, kind.event_type);
        let end = format!(
            r#"{after}"requestID":"$(uuid)","eventID":"$(uuid)","readOnly":$(read-only),{resources}"eventType":"{event_type}","managementEvent":{management},"recipientAccountId":"$(account)","eventCategory":"{category}""#
        );
        let request = Template::parse(kind.request);
        let response = Template::parse(kind.response);
        Self {
            kind,
            start: Template::parse(&start),
            before: Template::parse(kind.before),
            end: Template::parse(&end),
            failures: failure::of_service(service)
                .iter()
                .map(|(code, message)| Template::parse(&format!(r#""errorCode":"{code}","errorMessage":"{message}","#)))
                .collect(),
            holds_secret: request.has(SECRET_SLOTS) || response.has(SECRET_SLOTS),
            request_holds_key: request.has(KEY_SLOTS),
            response_holds_key: response.has(KEY_SLOTS),
            get_list_describe: ["Get", "List", "Describe"].iter().any(|verb| name.starts_with(verb)),
            request,
            response,
        }
    }
}

/// Ends of records, equally likely.
const TAILS: [&str; 5] = [
    r#","tlsDetails":{"tlsVersion":"TLSv1.3","cipherSuite":"TLS_AES_128_GCM_SHA256","clientProvidedHostHeader":"$(host)"}}"#,
    r#","tlsDetails":{"tlsVersion":"TLSv1.2","cipherSuite":"ECDHE-RSA-AES128-GCM-SHA256","clientProvidedHostHeader":"$(host)"}}"#,
    r#","vpcEndpointId":"vpce-$(hex)","vpcEndpointAccountId":"$(account)","tlsDetails":{"tlsVersion":"TLSv1.3","cipherSuite":"TLS_AES_128_GCM_SHA256","clientProvidedHostHeader":"$(host)"}}"#,
    r#","tlsDetails":{"tlsVersion":"TLSv1.3","cipherSuite":"TLS_AES_128_GCM_SHA256","clientProvidedHostHeader":"$(host)"},"sessionCredentialFromConsole":"true"}"#,
    "}",
];

const STATEMENT: &str = r#"{"Sid":"Allow$(small)","Effect":"Allow","Action":["s3:GetObject","s3:PutObject"],"Resource":["arn:aws:s3:::$(bucket)/*"],"Condition":{"StringEquals":{"aws:PrincipalTag/team":"$(resource)"}}}"#;

const PAYLOAD: &str = r#"{"job":"$(uuid)","region":"$(region)","credentials":{"accessKeyId":"$(escaped-access-key-id)","secretAccessKey":"****","sessionToken":"$(escaped-session-token)"},"retries":$(small)}"#;

/// 240 to 280 bytes with its slots filled.
const BULK: &str = r#"{"id":"$(uuid)","path":"s3://$(bucket)/part-$(hex).json","enabled":true,"weights":[$(small),$(small),-0.5,1e3],"note":null,"label":"\"$(resource)\" \u00fc","owner":{"account":"$(account)","settings":{}}}"#;

/// Maximum nesting of the free-form parameters.
const BULK_DEPTH: usize = 24;

fn bulk_request() -> Template {
    let open = r#"{"next":"#.repeat(BULK_DEPTH);
    let close = "}".repeat(BULK_DEPTH);
    Template::parse(&format!(
        r#"{{"tree":{open}null{close},"definition":{{"name":"$(resource)","items":[$(bulk)]}},"document":"{{\"Version\":\"2012-10-17\",\"Statement\":[$(statements)]}}"}}"#
    ))
}

/// Repeats each index as often as its weight.
fn tickets(weights: impl Iterator<Item = u32>) -> Vec<usize> {
    weights.enumerate().flat_map(|(index, weight)| std::iter::repeat_n(index, weight as usize)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::template::Segment;

    #[test]
    fn no_template_has_an_unknown_slot() {
        let catalog = Catalog::new();
        let elements = &catalog.elements;
        let mut all = vec![&catalog.head, &catalog.bulk_request, &catalog.service_tail];
        all.extend([&elements.instance, &elements.tag, &elements.statement]);
        all.extend([&elements.payload, &elements.bulk]);
        all.extend(&catalog.tails);
        all.extend(catalog.identities.iter().map(|(_, template)| template));
        for kind in &catalog.kinds {
            all.extend([&kind.start, &kind.before, &kind.request, &kind.response, &kind.end]);
            all.extend(&kind.failures);
        }
        for segment in all.iter().flat_map(|template| template.segments()) {
            if let Segment::Text(text) = segment {
                let text = String::from_utf8_lossy(text);
                assert!(!text.contains("$("), "unknown slot in `{text}`");
            }
        }
    }

    #[test]
    fn the_catalog_has_enough_kinds_and_variants() {
        let mut services: Vec<_> = kinds::all().map(|kind| kind.service).collect();
        let mut names: Vec<_> = kinds::all().map(|kind| kind.name).collect();
        for list in [&mut services, &mut names] {
            list.sort_unstable();
            list.dedup();
        }
        assert!(services.len() >= 15, "{} services", services.len());
        assert!(names.len() >= 40, "{} names", names.len());
    }
}
