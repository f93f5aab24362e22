//! The description of one kind of event, and constructors with the common defaults.

/// One kind of event. The text fields are templates (see `template.rs`).
#[derive(Debug, Clone, Copy)]
pub(crate) struct Kind {
    /// The service: `eventSource` without `.amazonaws.com`.
    pub(crate) service: &'static str,
    /// The `eventName`.
    pub(crate) name: &'static str,
    /// Relative frequency.
    pub(crate) weight: u32,
    /// The value of `readOnly`.
    pub(crate) read_only: bool,
    /// Whether it is a data event rather than a management event.
    pub(crate) data: bool,
    /// The value of `eventType`.
    pub(crate) event_type: &'static str,
    /// Members before `requestParameters`, each with a comma after it.
    pub(crate) before: &'static str,
    /// The value of `requestParameters`.
    pub(crate) request: &'static str,
    /// The value of `responseElements` in records without an error.
    pub(crate) response: &'static str,
    /// Members after `responseElements`, each with a comma after it.
    pub(crate) after: &'static str,
    /// The elements of `resources`; if empty, the member is absent.
    pub(crate) resources: &'static str,
}

/// A management event that writes.
pub(crate) const fn write(service: &'static str, name: &'static str, weight: u32) -> Kind {
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
pub(crate) const fn read(service: &'static str, name: &'static str, weight: u32) -> Kind {
    Kind { read_only: true, ..write(service, name, weight) }
}
