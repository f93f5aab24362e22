//! The options as they are written. What they mean is in [`crate::plan`].

use serde::Deserialize;

/// Options of the node `mask`.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(not(target_arch = "wasm32"), derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Options {
    /// Fields to mask in. A field must not be inside another. Default: `["body"]`. Example:
    /// `["body", "attributes.message"]`.
    #[serde(default = "body")]
    pub fields: Vec<String>,
    /// What to mask, at least one rule. If several rules find the same place, the first one decides
    /// its replacement. Example: `[{ json_key = "accessKeyId" }, { preset = "email" }]`.
    pub rules: Vec<Rule>,
    /// The replacement for rules without their own. Default: 19 asterisks. Example: `{ fixed =
    /// "[hidden]" }`.
    pub replacement: Option<Replacement>,
    /// Values that stay, because they are already masked. Empty values stay too. Default: the values
    /// that AWS writes, `["HIDDEN_DUE_TO_SECURITY_REASONS", "****", "<sensitiveDataRemoved>", "Value
    /// hidden due to security reasons."]`.
    #[serde(default = "hidden_by_aws")]
    pub skip_values: Vec<String>,
    /// What to do with a row that the node cannot search, because it is not UTF-8 text, looks
    /// compressed, contains base64 of compressed data, or begins in the middle of a JSON text: the
    /// row fails, so the agent keeps it in quarantine (`"quarantine"`); the whole field becomes the
    /// replacement (`"mask"`); or the row leaves with only the values masked that the node found
    /// (`"pass"`). Default: `"quarantine"`.
    #[serde(default)]
    pub on_undecidable: OnUndecidable,
}

/// What to do with a row that the node cannot search.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(not(target_arch = "wasm32"), derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum OnUndecidable {
    /// The row fails, and the agent keeps it in quarantine.
    #[default]
    Quarantine,
    /// The whole field becomes the replacement.
    Mask,
    /// The row leaves with the values masked that the node found.
    Pass,
}

/// What to mask: exactly one of `json_key`, `pattern` and `preset`. An empty list of keys or
/// `enabled = false` disables a rule, so a parameter of a pack can do it.
#[derive(Clone, Debug, Default, Deserialize)]
#[cfg_attr(not(target_arch = "wasm32"), derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Name of the rule in the summary, in metrics and in the status, at most 64 bytes. Rules with
    /// the same name share a count. Default: the first of `json_key`, the preset, or `pattern` and
    /// the number of the rule. Example: `"access-key-ids"`.
    pub name: Option<String>,
    /// Whether the rule is used. Default: `true`. Example: `"${params.mask_emails}"`.
    pub enabled: Option<bool>,
    /// The value of this key (or these keys) at any depth of JSON, at any depth of escaping.
    /// Example: `"accessKeyId"` or `["accessKeyId", "sessionToken"]`.
    pub json_key: Option<Keys>,
    /// Whether `json_key` matches ASCII letters in either case. Default: `false`.
    pub ignore_case: Option<bool>,
    /// Whether `json_key` also matches other spellings: letters in either case, with or without `_`,
    /// `-` and spaces between them. `accessKeyId` then also matches `AccessKeyID`, `access_key_id`
    /// and `ACCESS-KEY-ID`. Default: `false`.
    pub any_spelling: Option<bool>,
    /// A regular expression (syntax of the Rust crate `regex`), matched against the unchanged text,
    /// including escapes. Example: `"password=([^&]*)"`.
    pub pattern: Option<String>,
    /// Number or name of the group of `pattern` to mask; 0 is the whole match. If the group is not
    /// part of a match, the whole match is masked. Default: 1 if the pattern has exactly one group,
    /// else 0. Example: `"secret"`.
    pub group: Option<Group>,
    /// Name of a ready-made rule; the README lists them. Example: `"card-number"`.
    pub preset: Option<String>,
    /// The replacement for values that this rule finds. Default: the node's `replacement`.
    pub replacement: Option<Replacement>,
}

/// One key or several.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(not(target_arch = "wasm32"), derive(schemars::JsonSchema))]
#[serde(untagged, expecting = "expected a key or a list of keys")]
pub enum Keys {
    /// One key.
    One(String),
    /// Several keys.
    Many(Vec<String>),
}

/// A group of a pattern.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(not(target_arch = "wasm32"), derive(schemars::JsonSchema))]
#[serde(untagged, expecting = "expected the number or the name of a group")]
pub enum Group {
    /// By its number, from 1; 0 is the whole match.
    Number(usize),
    /// By its name.
    Name(String),
}

/// The replacement of a masked value: exactly one of these ways, except that `fixed` and `hmac_key`
/// can be set together.
#[derive(Clone, Debug, Default, Deserialize)]
#[cfg_attr(not(target_arch = "wasm32"), derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Replacement {
    /// Always this text. Default: 19 asterisks. Example: `"***"`.
    pub fixed: Option<String>,
    /// The first so many characters stay, the others become `fill`. A shorter value is masked
    /// completely. Example: `4`.
    pub keep_first: Option<usize>,
    /// The last so many characters stay, the others become `fill`. A shorter value is masked
    /// completely. Example: `4`.
    pub keep_last: Option<usize>,
    /// The character that `keep_first` and `keep_last` fill with. Default: `"*"`.
    pub fill: Option<String>,
    /// This character, as often as the value has characters. Example: `"*"`.
    pub same_length: Option<String>,
    /// Whether the value keeps its shape: each letter becomes `x` or `X`, each digit `1`, and
    /// everything else stays. Numbers of JSON stay numbers. Default: `false`. Example: `true`.
    pub same_shape: Option<bool>,
    /// A keyed hash, so equal values stay equal: `hmac-sha256:` and the first 32 hexadecimal digits
    /// (128 bits) of the HMAC-SHA-256 of the value under this key. Use at least 32 random characters
    /// and keep them secret. An empty key selects `fixed`, so a parameter can switch between the
    /// two. Example: `"${MASK_KEY}"`.
    pub hmac_key: Option<String>,
}

fn body() -> Vec<String> {
    vec!["body".into()]
}

fn hidden_by_aws() -> Vec<String> {
    ["HIDDEN_DUE_TO_SECURITY_REASONS", "****", "<sensitiveDataRemoved>", "Value hidden due to security reasons."]
        .map(String::from)
        .into()
}

#[cfg(test)]
mod tests {
    #[test]
    fn schema_file_is_that_of_the_options() {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("options.schema.json");
        wattle_node::testing::check_schema::<super::Options>(&path).unwrap();
    }
}
