//! The options as they are written. What they mean is in [`crate::plan`].

use serde::Deserialize;

/// Options of the node `mask`.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(not(target_arch = "wasm32"), derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Options {
    /// Fields to mask in. None may lie within another. Default: `["body"]`. Example: `["body", "attributes.message"]`.
    #[serde(default = "body")]
    pub fields: Vec<String>,
    /// What to mask, at least one rule. Where rules find the same place, the first one decides what it becomes.
    /// Example: `[{ json_key = "accessKeyId" }, { preset = "email" }]`.
    pub rules: Vec<Rule>,
    /// What takes the place of what is masked, for rules without a replacement of their own. Default: 19 asterisks.
    /// Example: `{ fixed = "[hidden]" }`.
    pub replacement: Option<Replacement>,
    /// Values that stay as they are, because they hide something already. Empty values stay too.
    /// Default: what AWS writes, `["HIDDEN_DUE_TO_SECURITY_REASONS", "****", "<sensitiveDataRemoved>",
    /// "Value hidden due to security reasons."]`.
    #[serde(default = "hidden_by_aws")]
    pub skip_values: Vec<String>,
    /// What happens to a row that the node cannot decide about, because it is not UTF-8 text, looks compressed, holds base64
    /// of compressed data, or begins in the middle of a JSON text: it fails, so that the agent keeps it in quarantine
    /// (`"quarantine"`), the whole field becomes the replacement (`"mask"`), or it leaves with only those values masked
    /// that were found (`"pass"`). Default: `"quarantine"`.
    #[serde(default)]
    pub on_undecidable: OnUndecidable,
}

/// What happens to a row that cannot be decided about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(not(target_arch = "wasm32"), derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum OnUndecidable {
    /// It fails, and the agent keeps it in quarantine.
    #[default]
    Quarantine,
    /// The whole field becomes the replacement.
    Mask,
    /// It leaves with the values masked that were found.
    Pass,
}

/// What to mask: exactly one of `json_key`, `pattern` and `preset`. An empty list of keys and `enabled = false` switch a
/// rule off, so that a parameter of a pack can.
#[derive(Clone, Debug, Default, Deserialize)]
#[cfg_attr(not(target_arch = "wasm32"), derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Name of the rule in the summary, in metrics and in the status, at most 64 bytes. Rules of one name are counted
    /// together. Default: the first of `json_key`, the preset, or `pattern` and the number of the rule.
    /// Example: `"access-key-ids"`.
    pub name: Option<String>,
    /// Whether the rule is used. Default: `true`. Example: `"${params.mask_emails}"`.
    pub enabled: Option<bool>,
    /// The value of this key (or these keys) at any depth of JSON, at any depth of escaping.
    /// Example: `"accessKeyId"` or `["accessKeyId", "sessionToken"]`.
    pub json_key: Option<Keys>,
    /// Whether `json_key` means its ASCII letters in either case. Default: `false`.
    pub ignore_case: Option<bool>,
    /// Whether `json_key` also means the key in other spellings: letters in either case, with or without `_`, `-` and
    /// spaces between them. `accessKeyId` is then `AccessKeyID`, `access_key_id`, `ACCESS-KEY-ID` as well. Default: `false`.
    pub any_spelling: Option<bool>,
    /// A regular expression (syntax of the Rust crate `regex`), matched against the text as it stands, escapes included.
    /// Example: `"password=([^&]*)"`.
    pub pattern: Option<String>,
    /// Number or name of the group of `pattern` that is masked; 0 is the whole match.
    /// A match in which the group took no part is masked whole. Default: 1 where the pattern has exactly one group, else 0.
    /// Example: `"secret"`.
    pub group: Option<Group>,
    /// Name of a ready-made rule; the README lists them. Example: `"card-number"`.
    pub preset: Option<String>,
    /// What takes the place of what this rule finds. Default: the node's `replacement`.
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

/// What takes the place of a masked value: exactly one of the ways below, except that `fixed` may stand beside `hmac_key`.
#[derive(Clone, Debug, Default, Deserialize)]
#[cfg_attr(not(target_arch = "wasm32"), derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Replacement {
    /// Always this text. Default: 19 asterisks. Example: `"***"`.
    pub fixed: Option<String>,
    /// The first so many characters stay, the others become `fill`. A shorter value is filled entirely. Example: `4`.
    pub keep_first: Option<usize>,
    /// The last so many characters stay, the others become `fill`. A shorter value is filled entirely. Example: `4`.
    pub keep_last: Option<usize>,
    /// The character that `keep_first` and `keep_last` fill with. Default: `"*"`.
    pub fill: Option<String>,
    /// This character, as often as the value has characters. Example: `"*"`.
    pub same_length: Option<String>,
    /// A keyed hash, so that equal values still look equal: `hmac-sha256:` and the first 32 hexadecimal digits
    /// (128 bits) of the HMAC-SHA-256 of the value under this key. Use at least 32 random characters and keep them secret.
    /// An empty key means `fixed`, so that a parameter can switch between the two. Example: `"${MASK_KEY}"`.
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
