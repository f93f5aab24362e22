//! The messages of OTLP and their fields, after `opentelemetry/proto` 1.10.

use prost::encoding::WireType;

use crate::Signal;

/// A message.
#[derive(Debug)]
pub(super) struct Message {
    pub(super) fields: &'static [Field],
}

/// A field of a message.
#[derive(Debug)]
pub(super) struct Field {
    /// The name in JSON.
    pub(super) name: &'static str,
    pub(super) number: u32,
    pub(super) form: Form,
    pub(super) is_repeated: bool,
    /// Whether the number has 64 bits, so that it is a string in JSON.
    pub(super) is_wide: bool,
}

/// What a field holds, on the wire and in JSON.
#[derive(Clone, Copy, Debug)]
pub(super) enum Form {
    Message(&'static Message),
    Text,
    /// Bytes, in JSON as hexadecimal digits.
    Hex,
    /// Bytes, in JSON as base64.
    Base64,
    Bool,
    /// A number of variable length; negative ones have ten bytes.
    Varint,
    /// A number of 32 bits and variable length, whose lowest bit is the sign.
    Zigzag,
    Fixed32,
    Fixed64,
    Signed64,
    Double,
}

impl Field {
    const fn new(name: &'static str, number: u32, form: Form) -> Self {
        Self { name, number, form, is_repeated: false, is_wide: false }
    }

    const fn wide(self) -> Self {
        Self { is_wide: true, ..self }
    }

    const fn repeated(self) -> Self {
        Self { is_repeated: true, ..self }
    }

    /// Whether a member of JSON is this field: readers of protobuf accept `timeUnixNano` and `time_unix_nano`.
    pub(super) fn has_name(&self, key: &str) -> bool {
        if !key.contains('_') {
            return self.name == key;
        }
        let snake: String = self
            .name
            .chars()
            .flat_map(|c| if c.is_ascii_uppercase() { vec!['_', c.to_ascii_lowercase()] } else { vec![c] })
            .collect();
        snake == key
    }

    /// Whether the field is a number, so that a list of it is packed.
    pub(super) const fn is_number(&self) -> bool {
        !matches!(self.form, Form::Message(_) | Form::Text | Form::Hex | Form::Base64)
    }

    /// How one value is written.
    pub(super) const fn wire(&self) -> WireType {
        match self.form {
            Form::Message(_) | Form::Text | Form::Hex | Form::Base64 => WireType::LengthDelimited,
            Form::Bool | Form::Varint | Form::Zigzag => WireType::Varint,
            Form::Fixed32 => WireType::ThirtyTwoBit,
            Form::Fixed64 | Form::Signed64 | Form::Double => WireType::SixtyFourBit,
        }
    }
}

/// The message of a request.
pub(super) const fn message_of(signal: Signal) -> &'static Message {
    match signal {
        Signal::Logs => &LOGS,
        Signal::Metrics => &METRICS,
        Signal::Traces => &TRACES,
    }
}

static ANY_VALUE: Message = Message {
    fields: &[
        Field::new("stringValue", 1, Form::Text),
        Field::new("boolValue", 2, Form::Bool),
        Field::new("intValue", 3, Form::Varint).wide(),
        Field::new("doubleValue", 4, Form::Double),
        Field::new("arrayValue", 5, Form::Message(&ARRAY_VALUE)),
        Field::new("kvlistValue", 6, Form::Message(&KEY_VALUE_LIST)),
        Field::new("bytesValue", 7, Form::Base64),
    ],
};

static ARRAY_VALUE: Message = Message { fields: &[Field::new("values", 1, Form::Message(&ANY_VALUE)).repeated()] };

static KEY_VALUE_LIST: Message = Message { fields: &[Field::new("values", 1, Form::Message(&KEY_VALUE)).repeated()] };

static KEY_VALUE: Message =
    Message { fields: &[Field::new("key", 1, Form::Text), Field::new("value", 2, Form::Message(&ANY_VALUE))] };

static SCOPE: Message = Message {
    fields: &[
        Field::new("name", 1, Form::Text),
        Field::new("version", 2, Form::Text),
        Field::new("attributes", 3, Form::Message(&KEY_VALUE)).repeated(),
        Field::new("droppedAttributesCount", 4, Form::Varint),
    ],
};

static ENTITY_REF: Message = Message {
    fields: &[
        Field::new("schemaUrl", 1, Form::Text),
        Field::new("type", 2, Form::Text),
        Field::new("idKeys", 3, Form::Text).repeated(),
        Field::new("descriptionKeys", 4, Form::Text).repeated(),
    ],
};

static RESOURCE: Message = Message {
    fields: &[
        Field::new("attributes", 1, Form::Message(&KEY_VALUE)).repeated(),
        Field::new("droppedAttributesCount", 2, Form::Varint),
        Field::new("entityRefs", 3, Form::Message(&ENTITY_REF)).repeated(),
    ],
};

static LOGS: Message = Message { fields: &[Field::new("resourceLogs", 1, Form::Message(&RESOURCE_LOGS)).repeated()] };

static RESOURCE_LOGS: Message = Message {
    fields: &[
        Field::new("resource", 1, Form::Message(&RESOURCE)),
        Field::new("scopeLogs", 2, Form::Message(&SCOPE_LOGS)).repeated(),
        Field::new("schemaUrl", 3, Form::Text),
    ],
};

static SCOPE_LOGS: Message = Message {
    fields: &[
        Field::new("scope", 1, Form::Message(&SCOPE)),
        Field::new("logRecords", 2, Form::Message(&LOG_RECORD)).repeated(),
        Field::new("schemaUrl", 3, Form::Text),
    ],
};

static LOG_RECORD: Message = Message {
    fields: &[
        Field::new("timeUnixNano", 1, Form::Fixed64),
        Field::new("observedTimeUnixNano", 11, Form::Fixed64),
        Field::new("severityNumber", 2, Form::Varint),
        Field::new("severityText", 3, Form::Text),
        Field::new("body", 5, Form::Message(&ANY_VALUE)),
        Field::new("attributes", 6, Form::Message(&KEY_VALUE)).repeated(),
        Field::new("droppedAttributesCount", 7, Form::Varint),
        Field::new("flags", 8, Form::Fixed32),
        Field::new("traceId", 9, Form::Hex),
        Field::new("spanId", 10, Form::Hex),
        Field::new("eventName", 12, Form::Text),
    ],
};

static METRICS: Message =
    Message { fields: &[Field::new("resourceMetrics", 1, Form::Message(&RESOURCE_METRICS)).repeated()] };

static RESOURCE_METRICS: Message = Message {
    fields: &[
        Field::new("resource", 1, Form::Message(&RESOURCE)),
        Field::new("scopeMetrics", 2, Form::Message(&SCOPE_METRICS)).repeated(),
        Field::new("schemaUrl", 3, Form::Text),
    ],
};

static SCOPE_METRICS: Message = Message {
    fields: &[
        Field::new("scope", 1, Form::Message(&SCOPE)),
        Field::new("metrics", 2, Form::Message(&METRIC)).repeated(),
        Field::new("schemaUrl", 3, Form::Text),
    ],
};

static METRIC: Message = Message {
    fields: &[
        Field::new("name", 1, Form::Text),
        Field::new("description", 2, Form::Text),
        Field::new("unit", 3, Form::Text),
        Field::new("gauge", 5, Form::Message(&GAUGE)),
        Field::new("sum", 7, Form::Message(&SUM)),
        Field::new("histogram", 9, Form::Message(&HISTOGRAM)),
        Field::new("exponentialHistogram", 10, Form::Message(&EXPONENTIAL_HISTOGRAM)),
        Field::new("summary", 11, Form::Message(&SUMMARY)),
        Field::new("metadata", 12, Form::Message(&KEY_VALUE)).repeated(),
    ],
};

static GAUGE: Message = Message { fields: &[Field::new("dataPoints", 1, Form::Message(&NUMBER_POINT)).repeated()] };

static SUM: Message = Message {
    fields: &[
        Field::new("dataPoints", 1, Form::Message(&NUMBER_POINT)).repeated(),
        Field::new("aggregationTemporality", 2, Form::Varint),
        Field::new("isMonotonic", 3, Form::Bool),
    ],
};

static HISTOGRAM: Message = Message {
    fields: &[
        Field::new("dataPoints", 1, Form::Message(&HISTOGRAM_POINT)).repeated(),
        Field::new("aggregationTemporality", 2, Form::Varint),
    ],
};

static EXPONENTIAL_HISTOGRAM: Message = Message {
    fields: &[
        Field::new("dataPoints", 1, Form::Message(&EXPONENTIAL_POINT)).repeated(),
        Field::new("aggregationTemporality", 2, Form::Varint),
    ],
};

static SUMMARY: Message = Message { fields: &[Field::new("dataPoints", 1, Form::Message(&SUMMARY_POINT)).repeated()] };

static NUMBER_POINT: Message = Message {
    fields: &[
        Field::new("attributes", 7, Form::Message(&KEY_VALUE)).repeated(),
        Field::new("startTimeUnixNano", 2, Form::Fixed64),
        Field::new("timeUnixNano", 3, Form::Fixed64),
        Field::new("asDouble", 4, Form::Double),
        Field::new("asInt", 6, Form::Signed64),
        Field::new("exemplars", 5, Form::Message(&EXEMPLAR)).repeated(),
        Field::new("flags", 8, Form::Varint),
    ],
};

static HISTOGRAM_POINT: Message = Message {
    fields: &[
        Field::new("attributes", 9, Form::Message(&KEY_VALUE)).repeated(),
        Field::new("startTimeUnixNano", 2, Form::Fixed64),
        Field::new("timeUnixNano", 3, Form::Fixed64),
        Field::new("count", 4, Form::Fixed64),
        Field::new("sum", 5, Form::Double),
        Field::new("bucketCounts", 6, Form::Fixed64).repeated(),
        Field::new("explicitBounds", 7, Form::Double).repeated(),
        Field::new("exemplars", 8, Form::Message(&EXEMPLAR)).repeated(),
        Field::new("flags", 10, Form::Varint),
        Field::new("min", 11, Form::Double),
        Field::new("max", 12, Form::Double),
    ],
};

static EXPONENTIAL_POINT: Message = Message {
    fields: &[
        Field::new("attributes", 1, Form::Message(&KEY_VALUE)).repeated(),
        Field::new("startTimeUnixNano", 2, Form::Fixed64),
        Field::new("timeUnixNano", 3, Form::Fixed64),
        Field::new("count", 4, Form::Fixed64),
        Field::new("sum", 5, Form::Double),
        Field::new("scale", 6, Form::Zigzag),
        Field::new("zeroCount", 7, Form::Fixed64),
        Field::new("positive", 8, Form::Message(&BUCKETS)),
        Field::new("negative", 9, Form::Message(&BUCKETS)),
        Field::new("flags", 10, Form::Varint),
        Field::new("exemplars", 11, Form::Message(&EXEMPLAR)).repeated(),
        Field::new("min", 12, Form::Double),
        Field::new("max", 13, Form::Double),
        Field::new("zeroThreshold", 14, Form::Double),
    ],
};

static BUCKETS: Message = Message {
    fields: &[Field::new("offset", 1, Form::Zigzag), Field::new("bucketCounts", 2, Form::Varint).wide().repeated()],
};

static SUMMARY_POINT: Message = Message {
    fields: &[
        Field::new("attributes", 7, Form::Message(&KEY_VALUE)).repeated(),
        Field::new("startTimeUnixNano", 2, Form::Fixed64),
        Field::new("timeUnixNano", 3, Form::Fixed64),
        Field::new("count", 4, Form::Fixed64),
        Field::new("sum", 5, Form::Double),
        Field::new("quantileValues", 6, Form::Message(&QUANTILE)).repeated(),
        Field::new("flags", 8, Form::Varint),
    ],
};

static QUANTILE: Message =
    Message { fields: &[Field::new("quantile", 1, Form::Double), Field::new("value", 2, Form::Double)] };

static EXEMPLAR: Message = Message {
    fields: &[
        Field::new("filteredAttributes", 7, Form::Message(&KEY_VALUE)).repeated(),
        Field::new("timeUnixNano", 2, Form::Fixed64),
        Field::new("asDouble", 3, Form::Double),
        Field::new("asInt", 6, Form::Signed64),
        Field::new("spanId", 4, Form::Hex),
        Field::new("traceId", 5, Form::Hex),
    ],
};

static TRACES: Message =
    Message { fields: &[Field::new("resourceSpans", 1, Form::Message(&RESOURCE_SPANS)).repeated()] };

static RESOURCE_SPANS: Message = Message {
    fields: &[
        Field::new("resource", 1, Form::Message(&RESOURCE)),
        Field::new("scopeSpans", 2, Form::Message(&SCOPE_SPANS)).repeated(),
        Field::new("schemaUrl", 3, Form::Text),
    ],
};

static SCOPE_SPANS: Message = Message {
    fields: &[
        Field::new("scope", 1, Form::Message(&SCOPE)),
        Field::new("spans", 2, Form::Message(&SPAN)).repeated(),
        Field::new("schemaUrl", 3, Form::Text),
    ],
};

static SPAN: Message = Message {
    fields: &[
        Field::new("traceId", 1, Form::Hex),
        Field::new("spanId", 2, Form::Hex),
        Field::new("traceState", 3, Form::Text),
        Field::new("parentSpanId", 4, Form::Hex),
        Field::new("flags", 16, Form::Fixed32),
        Field::new("name", 5, Form::Text),
        Field::new("kind", 6, Form::Varint),
        Field::new("startTimeUnixNano", 7, Form::Fixed64),
        Field::new("endTimeUnixNano", 8, Form::Fixed64),
        Field::new("attributes", 9, Form::Message(&KEY_VALUE)).repeated(),
        Field::new("droppedAttributesCount", 10, Form::Varint),
        Field::new("events", 11, Form::Message(&SPAN_EVENT)).repeated(),
        Field::new("droppedEventsCount", 12, Form::Varint),
        Field::new("links", 13, Form::Message(&LINK)).repeated(),
        Field::new("droppedLinksCount", 14, Form::Varint),
        Field::new("status", 15, Form::Message(&STATUS)),
    ],
};

static SPAN_EVENT: Message = Message {
    fields: &[
        Field::new("timeUnixNano", 1, Form::Fixed64),
        Field::new("name", 2, Form::Text),
        Field::new("attributes", 3, Form::Message(&KEY_VALUE)).repeated(),
        Field::new("droppedAttributesCount", 4, Form::Varint),
    ],
};

static LINK: Message = Message {
    fields: &[
        Field::new("traceId", 1, Form::Hex),
        Field::new("spanId", 2, Form::Hex),
        Field::new("traceState", 3, Form::Text),
        Field::new("attributes", 4, Form::Message(&KEY_VALUE)).repeated(),
        Field::new("droppedAttributesCount", 5, Form::Varint),
        Field::new("flags", 6, Form::Fixed32),
    ],
};

static STATUS: Message =
    Message { fields: &[Field::new("message", 2, Form::Text), Field::new("code", 3, Form::Varint)] };
