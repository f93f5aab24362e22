//! Options of the format `xml`. They have the names of Vector's `parse_xml` where it has them.

use std::collections::BTreeMap;

use serde::Deserialize;

/// How elements, attributes and texts become members of objects.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[cfg_attr(not(target_arch = "wasm32"), derive(schemars::JsonSchema))]
pub struct Xml {
    /// Whether attributes become members. Default: `true`.
    pub include_attr: bool,
    /// Text before the name of an attribute. Default: `@`. Example: `_`.
    pub attr_prefix: String,
    /// Key of the text of an element that has attributes or child elements. Default: `text`.
    pub text_key: String,
    /// Whether each text has a key, so that `<a>1</a>` becomes `{"a":{"text":"1"}}`. Default: `false`, and it becomes
    /// `{"a":"1"}`.
    pub always_use_text_key: bool,
    /// Whether the texts `true` and `false` of elements become booleans. Default: `false`.
    pub parse_bool: bool,
    /// Whether texts of elements that are numbers in JSON, of at most 18 characters, become numbers. Default: `false`.
    pub parse_number: bool,
    /// Whether empty elements and the text `null` become null. Default: `false`.
    pub parse_null: bool,
    /// Whether texts of white space only are left out. Default: `true`.
    pub trim: bool,
    /// What to do with the prefix of a namespace, such as `soap:` in `soap:Body`. Default: `keep`.
    pub namespaces: Namespaces,
    /// Elements whose key is the value of an attribute, which is left out then: the name of the element, and that of the
    /// attribute. Default: none. Example: `{ Data = "Name" }`.
    pub keys_from: BTreeMap<String, String>,
    /// Keys whose values are arrays even if an element occurs once. Default: `[]`. Example: `["item"]`.
    pub arrays: Vec<String>,
    /// Maximum depth of elements, at most 128; deeper events fail. Default: `64`.
    pub max_depth: usize,
    /// Maximum number of elements, attributes and texts; larger events fail. Default: `10000`.
    pub max_elements: usize,
}

impl Default for Xml {
    fn default() -> Self {
        Self {
            include_attr: true,
            attr_prefix: "@".into(),
            text_key: "text".into(),
            always_use_text_key: false,
            parse_bool: false,
            parse_number: false,
            parse_null: false,
            trim: true,
            namespaces: Namespaces::default(),
            keys_from: BTreeMap::new(),
            arrays: Vec::new(),
            max_depth: 64,
            max_elements: 10_000,
        }
    }
}

/// What to do with the prefix of a namespace.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(not(target_arch = "wasm32"), derive(schemars::JsonSchema))]
pub enum Namespaces {
    /// Keys are names as they are written.
    #[default]
    Keep,
    /// Keys have no prefix, and the attributes `xmlns` are left out.
    Drop,
}
