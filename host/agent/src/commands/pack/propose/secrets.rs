//! Secrets in the sample: how the pack masks them, and values of the same shape for its test.
//!
//! The node `mask` finds them, by the names of fields and by their form. The test gets values in
//! which letters and digits are replaced, so it contains no secret and parses as the sample does.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::exit::Failure;

use super::names::{self, NAMES, is_secret};
use super::trial::Trial;

/// What the command cannot know, for the report.
pub(super) const UNKNOWN: &str = "not recognised: secrets under other names, in prose, encoded or encrypted, and names \
                                  and addresses of people; read the test before you share the pack";

/// Presets of `mask` that are searched for. Addresses are missing: logs without them are of little
/// use, so hiding them is a decision of the author.
const PRESETS: &[&str] = &[
    "aws-access-key-id",
    "aws-secret-access-key",
    "aws-session-token",
    "jwt",
    "bearer-token",
    "basic-auth",
    "private-key",
    "github-token",
    "slack-token",
    "basic-auth-url",
    "email",
    CARD,
];

const CARD: &str = "card-number";

/// Numbers that look like those of cards, whatever their check digit. Every tenth has a right one.
const LIKE_CARD: &str = r"(?:^|[^\w.-])([3-6]\d{3}(?:[ -]?\d){9,15})(?:[^\w.-]|$)";

/// Patterns for what has no preset, by the name of the rule. Sources: the documentation of each
/// service, and the rules of gitleaks.
const PATTERNS: &[(&str, &str)] = &[
    (
        "service-token",
        r"\b(glpat-[\w-]{20,}|[sr]k_(?:live|test)_\w{10,}|AIza[\w-]{35}|npm_\w{36}|pypi-[\w-]{16,}|sk-[\w-]{20,}|SG\.[\w-]{16,}\.[\w-]{16,}|hv[sb]\.[\w-]{24,}|do[opr]_v1_[0-9a-f]{64}|hf_[A-Za-z]{30,}|shp(?:at|ca|pa|ss)_[0-9a-fA-F]{32}|SK[0-9a-f]{32}|hooks\.slack\.com/services/[\w/]+)",
    ),
    (
        "name-and-value",
        r#"(?i)"(?:name|key|header)"\s*:\s*"[\w.-]*(?:passw|passphrase|secret|token|api[_-]?key|authorization|cookie|credential)[\w.-]*"\s*,\s*"value"\s*:\s*"((?:[^"\\]|\\.)*)""#,
    ),
    // Options of commands: `curl -u name:password`, `docker login -p ...`, `mysql -p...`.
    (
        "user-option",
        r#"(?:^|[\s\["',])(?:-u|-U|--user|--proxy-user)(?:[ =]|["'], ?["'])?\\*["']?[^\s:'"\\=/]+:([^\s'"\\]+)"#,
    ),
    ("user-option-in-quotes", r#"(?:^|\s)(?:-u|-U|--user|--proxy-user)[ =]?\\*["'][^:'"\\\n]+:([^'"\\\n]+)"#),
    ("login-option", r#"\blogin\b[^\n|;&]*?\s-p[ =]?\\*["']?([^\s'"\\]+)"#),
    ("password-option", r#"\b(?:mysql\w*|mariadb[\w-]*)\s(?:[^\n|;&]*?\s)?-p\\*["']?([^\s'"\\]+)"#),
    (
        "password-argument",
        r#"\b(?:sshpass\s(?:[^\n|;&]*?\s)?-p|redis-cli\s(?:[^\n|;&]*?\s)?-a)[ =]?\\*["']?([^\s'"\\]+)"#,
    ),
    ("cookie-option", r#"\bcurl\s(?:[^\n]*?\s)?-b[ =]?\\*["']?([^\s"'\\;]*=[^\s"'\\;]*(?:; ?[^\s"'\\;]+)*)"#),
    // `machine host login name password ...` of netrc, on one line or several.
    ("netrc", r"(?m)(?:^|\s(?:login|account)\s+\S+\s+)\s*password\s+([^\s:=]+)\s*(?:$|macdef|account|machine)"),
    ("registry-auth", r#""auth"\s*:\s*"([A-Za-z0-9+/]{8,}={0,2})""#),
    ("oracle-url", r#"(?i)jdbc:oracle:\w+:[^/\s@"']+/([^@\s"']+)@"#),
    ("sql-password", r"(?i)\b(?:identified\s+by(?:\s+password)?|password)\s+\\*'((?:[^'\\]|'')+)"),
    ("password-hash", r#"(\$(?:apr1|1|2[abxy]|5|6|y|argon2\w*)\$[^\s:"',;]{8,})"#),
];

/// Values that `mask` leaves by default.
const SKIPPED: &[&str] =
    &["HIDDEN_DUE_TO_SECURITY_REASONS", "****", "<sensitiveDataRemoved>", "Value hidden due to security reasons."];

/// Maximum number of lines of a private key.
const MAX_KEY_LINES: usize = 200;

/// Something that was found.
struct Finding {
    label: String,
    count: u64,
    /// Why the pack does not mask it.
    unmasked: Option<&'static str>,
}

/// A rule that finds secrets.
struct Rule {
    label: String,
    rule: Value,
}

/// The secrets of a sample.
pub(super) struct Secrets {
    rules: Vec<Rule>,
    /// Values that no rule masks, such as the names of columns.
    skipped: Vec<String>,
    found: Vec<Finding>,
    /// Lines inside of private keys.
    key_lines: BTreeSet<usize>,
}

impl Secrets {
    /// Searches lines. `header` are the names of columns and the delimiter between them.
    pub(super) fn find(
        trial: &mut Trial,
        lines: &[String],
        header: Option<(char, Vec<String>)>,
    ) -> Result<Self, Failure> {
        let mut secrets =
            Self { rules: Vec::new(), skipped: Vec::new(), found: Vec::new(), key_lines: key_lines(lines) };
        let mut rules = rules(lines);
        if let Some((delimiter, names)) = header {
            for (index, name) in names.iter().enumerate().filter(|(_, name)| is_column(name)) {
                rules.push(Rule { label: format!("column `{name}`"), rule: column(delimiter, index) });
                secrets.skipped.extend([name.clone(), format!("\"{name}\"")]);
            }
        }
        for (rule, count) in secrets.with_finds(trial, lines, rules)? {
            let mut unmasked = None;
            if rule.label == CARD {
                let like = json!({ "pattern": LIKE_CARD, "name": "like" });
                let all = mask(trial, lines, &secrets.options(vec![like], "pass"))?.1;
                // Of numbers that are no cards, every tenth has a right check digit.
                if all.get("like").is_some_and(|all| *all > 2 * count) {
                    unmasked = Some("the pack does not mask them: most such numbers of the sample are not of cards");
                }
            }
            secrets.found.push(Finding { label: rule.label.clone(), count, unmasked });
            secrets.rules.push(rule);
        }
        if !secrets.key_lines.is_empty() {
            secrets.found.push(Finding {
                label: "private key over several lines".to_owned(),
                count: secrets.key_lines.len() as u64,
                unmasked: Some(
                    "the pack cannot mask them while each line is an event: join them with `multiline` of the source",
                ),
            });
        }
        Ok(secrets)
    }

    /// The rules that find something, with how much, in their order.
    ///
    /// Places that overlap count for the first rule only, as in `Authorization: Basic ... X-Api-Key:
    /// ...`, where the value of the first header extends to the end of the line. So the rules that
    /// found nothing search again without the others, until none of them finds anything.
    fn with_finds(&self, trial: &mut Trial, lines: &[String], rules: Vec<Rule>) -> Result<Vec<(Rule, u64)>, Failure> {
        let mut all = vec![0; rules.len()];
        loop {
            let left = rules.iter().enumerate().filter(|(index, _)| all.get(*index) == Some(&0));
            let named: Vec<Value> =
                left.map(|(index, rule)| with(&rule.rule, "name", index.to_string().into())).collect();
            if named.is_empty() {
                break;
            }
            let mut is_new = false;
            for (name, count) in mask(trial, lines, &self.options(named, "pass"))?.1 {
                if let Some(own) = name.parse().ok().and_then(|index: usize| all.get_mut(index)) {
                    is_new |= count > 0;
                    *own = count;
                }
            }
            if !is_new {
                break;
            }
        }
        Ok(rules.into_iter().zip(all).filter(|(_, count)| *count > 0).collect())
    }

    /// The lines with values of the same shape instead of the secrets.
    pub(super) fn replaced(&self, trial: &mut Trial, lines: &[String]) -> Result<Vec<String>, Failure> {
        let mut options = self.options(self.rules.iter().map(|rule| rule.rule.clone()).collect(), "mask");
        set(&mut options, "replacement", json!({ "same_shape": true }));
        let mut lines = if self.rules.is_empty() { lines.to_vec() } else { mask(trial, lines, &options)?.0 };
        let inside: Vec<String> = self.key_lines.iter().filter_map(|line| lines.get(*line).cloned()).collect();
        let whole = json!({ "rules": [{ "pattern": "(?s)^.+$" }], "replacement": { "same_shape": true }, "on_undecidable": "mask" });
        for (line, text) in self.key_lines.iter().zip(mask(trial, &inside, &whole)?.0) {
            lines.get_mut(*line).into_iter().for_each(|line| line.clone_from(&text));
        }
        Ok(lines)
    }

    /// The lines as the pack masks them. Private keys over several lines are replaced too, because
    /// the report shows lines.
    pub(super) fn masked(
        &self,
        trial: &mut Trial,
        lines: &[String],
        replaced: &[String],
    ) -> Result<Vec<String>, Failure> {
        let mut masked = match self.options_of_pack() {
            None => lines.to_vec(),
            Some(mut options) => {
                set(&mut options, "on_undecidable", "pass".into());
                mask(trial, lines, &options)?.0
            }
        };
        for line in &self.key_lines {
            if let (Some(masked), Some(replaced)) = (masked.get_mut(*line), replaced.get(*line)) {
                masked.clone_from(replaced);
            }
        }
        Ok(masked)
    }

    /// Replaces the values of parsed fields with names of secrets, which no rule found in the lines.
    pub(super) fn replace_fields(
        &mut self,
        trial: &mut Trial,
        events: &[Value],
        lines: &mut Vec<String>,
    ) -> Result<(), Failure> {
        let mut values: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for attributes in events.iter().filter_map(|event| event.get("attributes")) {
            named_values(attributes, &mut values);
        }
        let rules: Vec<Value> = values
            .iter()
            .flat_map(|(name, values)| values.iter().map(move |value| (name, value)))
            .map(|(name, value)| {
                json!({ "name": name, "pattern": format!(r"(?:^|\W)({})(?:\W|$)", regex_syntax::escape(value)) })
            })
            .collect();
        if rules.is_empty() {
            return Ok(());
        }
        let options = json!({ "rules": rules, "replacement": { "same_shape": true }, "on_undecidable": "mask" });
        let (replaced, counts) = mask(trial, lines, &options)?;
        *lines = replaced;
        let unmasked = Some("the pack does not mask this field: add a node `mask` after the node `parse`");
        let found = counts.into_iter().filter(|(_, count)| *count > 0);
        self.found.extend(found.map(|(name, count)| Finding { label: format!("field `{name}`"), count, unmasked }));
        Ok(())
    }

    /// The options of the node `mask` of the pack, if it needs one.
    pub(super) fn options_of_pack(&self) -> Option<Value> {
        let is_masked =
            |rule: &&Rule| self.found.iter().any(|found| found.label == rule.label && found.unmasked.is_none());
        let (mut spellings, mut exact, mut others) = (Vec::new(), Vec::new(), Vec::new());
        for rule in self.rules.iter().filter(is_masked) {
            match (rule.rule.get("json_key"), rule.rule.get("any_spelling")) {
                (Some(key), Some(_)) => spellings.push(key.clone()),
                (Some(key), None) => exact.push(key.clone()),
                (None, _) => others.push(rule.rule.clone()),
            }
        }
        let mut rules = Vec::new();
        if !spellings.is_empty() {
            rules.push(json!({ "json_key": spellings, "any_spelling": true }));
        }
        if !exact.is_empty() {
            rules.push(json!({ "json_key": exact }));
        }
        rules.append(&mut others);
        if rules.is_empty() {
            return None;
        }
        let mut options = json!({ "rules": rules });
        if !self.skipped.is_empty() {
            set(&mut options, "skip_values", self.skip_values());
        }
        Some(options)
    }

    /// What the pack masks, in words.
    pub(super) fn masked_labels(&self) -> Vec<&str> {
        self.found.iter().filter(|found| found.unmasked.is_none()).map(|found| found.label.as_str()).collect()
    }

    /// The lines of the report.
    pub(super) fn report(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for Finding { label, count, unmasked } in &self.found {
            let values = if *count == 1 { "value" } else { "values" };
            lines.push(format!("mask     {label}: {count} {values}, others of the same shape in the test"));
            lines.extend(unmasked.map(|why| format!("         {why}")));
        }
        if lines.is_empty() {
            lines.push("mask     no secret found by name or form".to_owned());
        }
        lines.push(format!("         {UNKNOWN}"));
        lines
    }

    fn options(&self, rules: Vec<Value>, on_undecidable: &str) -> Value {
        let mut options = json!({ "rules": rules, "on_undecidable": on_undecidable });
        if !self.skipped.is_empty() {
            set(&mut options, "skip_values", self.skip_values());
        }
        options
    }

    fn skip_values(&self) -> Value {
        SKIPPED.iter().map(|value| Value::from(*value)).chain(self.skipped.iter().map(|v| v.as_str().into())).collect()
    }
}

/// The rules to search with. Names come first, so that a value counts under its name.
fn rules(lines: &[String]) -> Vec<Rule> {
    let key = |name: &str| format!("`{name}`");
    let known =
        NAMES.iter().map(|name| Rule { label: key(name), rule: json!({ "json_key": name, "any_spelling": true }) });
    let found = names::in_texts(lines.iter().map(String::as_str)).into_iter().map(|name| Rule {
        label: key(&name.text),
        rule: match name.is_exact {
            true => json!({ "json_key": name.text }),
            false => json!({ "json_key": name.text, "any_spelling": true }),
        },
    });
    let presets = PRESETS.iter().map(|preset| Rule { label: (*preset).to_owned(), rule: json!({ "preset": preset }) });
    let patterns = PATTERNS
        .iter()
        .map(|(name, pattern)| Rule { label: (*name).to_owned(), rule: json!({ "pattern": pattern, "name": name }) });
    known.chain(found).chain(presets).chain(patterns).collect()
}

/// Whether a header names a column of secrets.
fn is_column(name: &str) -> bool {
    let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | ' ');
    is_secret(name) && name.chars().all(is_name)
}

/// The rule for a column.
fn column(delimiter: char, index: usize) -> Value {
    let delimiter = regex_syntax::escape(&delimiter.to_string());
    let value = format!("\"(?:[^\"]|\"\")*\"|[^{delimiter}]*");
    json!({ "pattern": format!("^(?:(?:{value}){delimiter}){{{index}}}({value})") })
}

/// The lines inside of private keys that extend over several lines.
fn key_lines(lines: &[String]) -> BTreeSet<usize> {
    let mut all = BTreeSet::new();
    for (number, line) in lines.iter().enumerate() {
        if !line.contains("-----BEGIN ") || !line.contains("PRIVATE KEY-----") || line.contains("-----END") {
            continue;
        }
        let rest = lines.iter().enumerate().skip(number + 1).take(MAX_KEY_LINES);
        let end = rest.clone().find(|(_, line)| line.contains("-----END")).map(|(number, _)| number);
        // Without an end, the key was cut where a line no longer looks like base64.
        let is_base64 = |line: &str| {
            let line = line.trim();
            line.len() >= 16 && line.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b'='))
        };
        let inside = rest.take_while(|(number, line)| end.map_or_else(|| is_base64(line), |end| *number < end));
        all.extend(inside.map(|(number, _)| number));
    }
    all
}

/// Collects the unmasked values of fields with names of secrets.
fn named_values(value: &Value, all: &mut BTreeMap<String, BTreeSet<String>>) {
    let Value::Object(members) = value else { return };
    for (name, value) in members {
        let text = match value {
            Value::String(text) => text.clone(),
            Value::Number(number) => number.to_string(),
            value => {
                named_values(value, all);
                continue;
            }
        };
        if is_secret(name) && !text.is_empty() && !text.contains("****") && !SKIPPED.contains(&text.as_str()) {
            all.entry(name.clone()).or_default().insert(text);
        }
    }
}

/// The lines that `mask` makes, and its counts by rule.
fn mask(trial: &mut Trial, lines: &[String], options: &Value) -> Result<(Vec<String>, BTreeMap<String, u64>), Failure> {
    if lines.is_empty() {
        return Ok((Vec::new(), BTreeMap::new()));
    }
    let events: Vec<Value> = lines.iter().map(|line| json!({ "body": line })).collect();
    // A pack without masks would show the secrets of the sample in its test.
    let ran = trial.run("mask", options, &events)?;
    let ran = ran.ok_or_else(|| Failure::new("the node `mask` could not process the sample"))?;
    let bodies = ran.bodies("out");
    if bodies.len() != lines.len() {
        return Err(Failure::new("the node `mask` could not process a line of the sample"));
    }
    Ok((bodies, ran.counts))
}

fn with(rule: &Value, key: &str, value: Value) -> Value {
    let mut rule = rule.clone();
    set(&mut rule, key, value);
    rule
}

fn set(object: &mut Value, key: &str, value: Value) {
    if let Some(object) = object.as_object_mut() {
        object.insert(key.to_owned(), value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_inside_of_a_private_key_are_known_also_without_its_end() {
        let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
        let whole = "a\nx -----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4\n\nMIIEpA\n-----END RSA PRIVATE KEY-----\nb";
        assert_eq!(key_lines(&lines(whole)), BTreeSet::from([2, 3, 4]));
        let cut = "-----BEGIN PRIVATE KEY-----\nMIIEpAIBAAKCAQEA3v\nMIIEpAIBAAKCAQEA3w==\nnext line of the log";
        assert_eq!(key_lines(&lines(cut)), BTreeSet::from([1, 2]));
        assert_eq!(key_lines(&lines("-----BEGIN CERTIFICATE-----\nMIIEpAIBAAKCAQEA3v")), BTreeSet::new());
    }

    #[test]
    fn fields_with_names_of_secrets_give_their_values() {
        let mut all = BTreeMap::new();
        named_values(&json!({"a": {"password": "x y"}, "pin": 12, "token": "****", "user": "u", "card": ""}), &mut all);
        let expected = [("password", "x y"), ("pin", "12")];
        assert_eq!(all, expected.map(|(name, value)| (name.to_owned(), BTreeSet::from([value.to_owned()]))).into());
    }
}
