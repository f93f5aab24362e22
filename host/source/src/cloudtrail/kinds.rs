//! The kinds of events that are generated: service, name, weight, and the templates of what differs between them.

mod access;
mod compute;
mod storage;

/// One kind of event. The text fields are templates (see `template.rs`).
#[derive(Debug, Clone, Copy)]
pub(super) struct Kind {
    /// The service: `eventSource` without `.amazonaws.com`.
    pub(super) service: &'static str,
    /// The `eventName`.
    pub(super) name: &'static str,
    /// How often it occurs, relative to the others.
    pub(super) weight: u32,
    /// The value of `readOnly`.
    pub(super) read_only: bool,
    /// Whether it is a data event rather than a management event.
    pub(super) data: bool,
    /// The value of `eventType`.
    pub(super) event_type: &'static str,
    /// Members before `requestParameters`, each with a comma after it.
    pub(super) before: &'static str,
    /// The value of `requestParameters`.
    pub(super) request: &'static str,
    /// The value of `responseElements`, where there is no error.
    pub(super) response: &'static str,
    /// Members after `responseElements`, each with a comma after it.
    pub(super) after: &'static str,
    /// The elements of `resources`; without any there is no such member.
    pub(super) resources: &'static str,
}

/// Lists every kind.
pub(super) fn all() -> impl Iterator<Item = &'static Kind> {
    access::KINDS.iter().chain(compute::KINDS).chain(storage::KINDS)
}

/// A management event that changes something.
const fn write(service: &'static str, name: &'static str, weight: u32) -> Kind {
    Kind {
        service,
        name,
        weight,
        read_only: false,
        data: false,
        event_type: "AwsApiCall",
        before: "",
        request: "null",
        response: "null",
        after: "",
        resources: "",
    }
}

/// A management event that only reads.
const fn read(service: &'static str, name: &'static str, weight: u32) -> Kind {
    Kind { read_only: true, ..write(service, name, weight) }
}
