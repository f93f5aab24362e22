//! Operations that set, move and remove fields.

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::condition::Condition;
use crate::options::declare::operations;
use crate::options::kinds::{Case, EmptyKind, Fact, Field, Fields, OnError, OnMissing, Unit};
use crate::options::read::Named;

operations! {
    /// Sets a field to a value: exactly one of `value`, `template`, `from`, `first_of` and `host`. Objects that lead to the field
    /// are made.
    Set = "set" {
        /// Field to set; with `[*]` in every element of an array. No default. Example: `attributes.env`.
        pub set: Field,
        /// This value, of any JSON type. Default: none. Example: `"prod"`.
        #[serde(default, deserialize_with = "crate::options::read::any_value")]
        pub value: Option<Value>,
        /// A text with fields between `{{` and `}}`. Default: none. Example: `"{{ attributes.user }}@{{ resource.host }}"`.
        #[serde(default)]
        pub template: Option<String>,
        /// The value of this field. Default: none. Example: `attributes.user_name`.
        #[serde(default)]
        pub from: Option<Field>,
        /// The value of the first of these fields that is neither missing nor null. Default: none.
        /// Example: `["attributes.user", "attributes.user_name"]`.
        #[serde(default)]
        pub first_of: Option<Vec<Field>>,
        /// With `from` and `first_of`: the new value for each text that the field can have; numbers and booleans count as
        /// their text. `default` is for all others. Default: none. Example: `{ warn = 4, err = 3 }`.
        #[serde(default)]
        pub map: Option<Map<String, Value>>,
        /// This fact about the machine or the agent: `host.name`, `host.id`, `host.arch`, `os.type`, `os.version`,
        /// `agent.version`. Needs the grant `host`. Default: none. Example: `host.name`.
        #[serde(default)]
        pub host: Option<Fact>,
        /// The value if `from` or a field of `template` is missing or null, all of `first_of` are, `map` lacks the value, or
        /// the machine lacks the fact. Default: none, the step sets nothing. Example: `"-"`.
        #[serde(default, deserialize_with = "crate::options::read::any_value")]
        pub default: Option<Value>,
        /// Whether the step replaces a value; with `false` it sets only a field that is missing or null. Default: `true`.
        #[serde(default)]
        pub overwrite: Option<bool>,
        /// What happens to an event that lacks the value and for which there is no `default`: `keep`, `fail`.
        /// Default: `keep`.
        #[serde(default)]
        pub on_missing: OnMissing,
        /// What happens to an event in which the value has no place, or `severity`, `trace_id`, `span_id` or `scope` does not
        /// take it: `fail`, `keep`. Default: `fail`.
        #[serde(default)]
        pub on_error: OnError,
    }

    /// Copies a value to another field. Null counts as missing.
    Copy = "copy" {
        /// Field to copy. No default. Example: `attributes.client_ip`.
        pub copy: Field,
        /// Field to set. No default. Example: `attributes.source.ip`.
        pub to: Field,
        /// Whether the step replaces a value; with `false` it sets only a field that is missing or null. Default: `true`.
        #[serde(default)]
        pub overwrite: Option<bool>,
        /// What happens to an event that lacks the field: `keep`, `fail`. Default: `keep`.
        #[serde(default)]
        pub on_missing: OnMissing,
        /// What happens to an event in which the value has no place, or `severity`, `trace_id`, `span_id` or `scope` does not
        /// take it: `fail`, `keep`. Default: `fail`.
        #[serde(default)]
        pub on_error: OnError,
    }

    /// Moves a value to another field. Null counts as missing.
    Move = "move" {
        /// Field to move. No default. Example: `attributes.client_ip`.
        #[serde(rename = "move")]
        pub from: Field,
        /// Field to set. No default. Example: `attributes.source.ip`.
        pub to: Field,
        /// Whether the step replaces a value; with `false` nothing moves to a field that is neither missing nor null.
        /// Default: `true`.
        #[serde(default)]
        pub overwrite: Option<bool>,
        /// What happens to an event that lacks the field: `keep`, `fail`. Default: `keep`.
        #[serde(default)]
        pub on_missing: OnMissing,
        /// What happens to an event in which the value has no place, or `severity`, `trace_id`, `span_id` or `scope` does not
        /// take it: `fail`, `keep`. Default: `fail`.
        #[serde(default)]
        pub on_error: OnError,
    }

    /// Adds elements to the end of an array: exactly one of `value` and `from`. The elements of an array are added one by
    /// one. A field that is missing or null becomes an array.
    Append = "append" {
        /// The array. No default. Example: `attributes.tags`.
        pub append: Field,
        /// This value, of any JSON type. Default: none. Example: `"edge"`.
        #[serde(default, deserialize_with = "crate::options::read::any_value")]
        pub value: Option<Value>,
        /// The value of this field. Default: none. Example: `attributes.tag`.
        #[serde(default)]
        pub from: Option<Field>,
        /// What happens to an event that lacks the field in `from`: `keep`, `fail`. Default: `keep`.
        #[serde(default)]
        pub on_missing: OnMissing,
        /// What happens to an event whose field is not an array, or has no place: `fail`, `keep`. Default: `fail`.
        #[serde(default)]
        pub on_error: OnError,
    }

    /// Adds the members of an object to another one. A field that is missing or null becomes an object.
    Merge = "merge" {
        /// The object that gets the members. No default. Example: `attributes`.
        pub merge: Field,
        /// The object that has the members. No default. Example: `body.labels`.
        pub from: Field,
        /// Whether objects with the same key are merged too, instead of replaced. Default: `false`.
        #[serde(default)]
        pub deep: Option<bool>,
        /// Whether a member replaces one with the same key; with `false` it does so only for null. Default: `true`.
        #[serde(default)]
        pub overwrite: Option<bool>,
        /// What happens to an event that lacks the field in `from`: `keep`, `fail`. Default: `keep`.
        #[serde(default)]
        pub on_missing: OnMissing,
        /// What happens to an event in which one of the two is not an object, or the target has no place: `fail`, `keep`.
        /// Default: `fail`.
        #[serde(default)]
        pub on_error: OnError,
    }

    /// Renames keys and keeps their place: one key with `to`, or the keys of an object with `pattern` or `case`. A field that
    /// is null counts as missing.
    Rename = "rename" {
        /// Field to rename; with `pattern` or `case` an object whose keys are renamed. May have `[*]`. No default.
        /// Example: `attributes.usr`.
        pub rename: Field,
        /// The field with its new name, below the same object; with `pattern` what replaces a match, in which `$1` or `$name`
        /// is a group. Default: none. Example: `attributes.user`.
        #[serde(default)]
        pub to: Option<String>,
        /// Regular expression; `to` replaces each match in a key. Default: none. Example: `^x_(.*)$`.
        #[serde(default)]
        pub pattern: Option<String>,
        /// How keys are written: `snake`, `camel`, `lower`, `upper`. Default: none. Example: `snake`.
        #[serde(default)]
        pub case: Option<Case>,
        /// Whether keys of objects below are renamed too. For `pattern` and `case`. Default: `false`.
        #[serde(default)]
        pub recursive: Option<bool>,
        /// Whether the step replaces a value that has the new name; with `false` it replaces only null. Without this
        /// option, `pattern` and `case` append a number to a name that the object has, such as `user_2`. Default: `true`.
        #[serde(default)]
        pub overwrite: Option<bool>,
        /// What happens to an event that lacks the field: `keep`, `fail`. Default: `keep`.
        #[serde(default)]
        pub on_missing: OnMissing,
    }

    /// Removes fields.
    Remove = "remove" {
        /// Fields to remove; `*` in a key stands for any text, `[*]` for every element. No default.
        /// Example: `["attributes.tmp", "attributes.debug_*"]`.
        pub remove: Fields,
        /// What happens to an event that lacks a field: `keep`, `fail`. Default: `keep`.
        #[serde(default)]
        pub on_missing: OnMissing,
    }

    /// Removes everything but these fields from `attributes`, `resource` or a JSON body, whichever the fields are in.
    /// Objects and arrays of which nothing is kept are removed too.
    Keep = "keep" {
        /// Fields to keep; `*` in a key stands for any text, `[*]` for every element. No default.
        /// Example: `["attributes.user", "attributes.http_*"]`.
        pub keep: Fields,
    }

    /// Removes empty values from objects and arrays.
    RemoveEmpty = "remove_empty" {
        /// Objects or arrays whose values are removed. May have `[*]`. No default. Example: `attributes`.
        pub remove_empty: Fields,
        /// What counts as empty: `null`, `string`, `array`, `object`, `dash` (the text `-`).
        /// Default: `["null", "string", "array", "object"]`.
        #[serde(default)]
        pub empty: Option<Vec<EmptyKind>>,
        /// Whether objects and arrays below are searched too; what is empty afterwards is removed. Default: `true`.
        #[serde(default)]
        pub recursive: Option<bool>,
    }

    /// Sets a field to the current time. Needs the grant `clock`.
    Now = "now" {
        /// Field to set; with `[*]` in every element of an array. No default. Example: `attributes.processed_at`.
        pub now: Field,
        /// Makes a whole number of this unit since 1970: `ns`, `us`, `ms` or `s`. Default: a text of RFC 3339 in UTC.
        #[serde(default)]
        pub unit: Option<Unit>,
        /// What happens to an event in which the time has no place: `fail`, `keep`. Default: `fail`.
        #[serde(default)]
        pub on_error: OnError,
    }
}
