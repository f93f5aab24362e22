//! The parameters of a request.

use std::str::FromStr;

use super::super::response::Refusal;

/// Maximum number of parameters.
const MAX_PARAMETERS: usize = 256;

/// The decoded parameters, in their order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Query(Vec<(String, String)>);

impl Query {
    pub(crate) fn parse(query: Option<&str>) -> Self {
        let pairs = form_urlencoded::parse(query.unwrap_or_default().as_bytes()).take(MAX_PARAMETERS);
        Self(pairs.map(|(key, value)| (key.into_owned(), value.into_owned())).collect())
    }

    /// All values of a parameter.
    pub(crate) fn all<'a>(&'a self, key: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(name, _)| name == key).map(|(_, value)| value.as_str())
    }

    /// The last value of a parameter.
    pub(crate) fn get<'a>(&'a self, key: &'a str) -> Option<&'a str> {
        self.all(key).last()
    }

    /// The last value of a parameter, parsed.
    ///
    /// # Errors
    ///
    /// It does not parse; `rule` says what it must be.
    pub(crate) fn parsed<T: FromStr>(&self, key: &str, rule: &str) -> Result<Option<T>, Refusal> {
        let Some(text) = self.get(key) else { return Ok(None) };
        let value =
            text.parse().map_err(|_| Refusal::bad_request(format!("bad `{key}`: {text:?}; it must be {rule}")))?;
        Ok(Some(value))
    }

    /// Refuses parameters that a request does not know.
    ///
    /// # Errors
    ///
    /// Names the first one, and those that exist.
    pub(crate) fn only(&self, known: &[&str]) -> Result<(), Refusal> {
        match self.0.iter().find(|(name, _)| !known.contains(&name.as_str())) {
            None => Ok(()),
            Some((name, _)) if known.is_empty() => {
                Err(Refusal::bad_request(format!("unknown parameter {name:?}; this request has none")))
            }
            Some((name, _)) => {
                let known = known.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
                Err(Refusal::bad_request(format!("unknown parameter {name:?}; this request has {known}")))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_decoded_and_can_be_repeated() {
        let query = Query::parse(Some("point=main%2Finput&point=a.b&rate=5&filter=x%3Dy+z"));
        assert_eq!(query.all("point").collect::<Vec<_>>(), ["main/input", "a.b"]);
        assert_eq!(query.get("filter"), Some("x=y z"));
        assert_eq!(query.parsed::<u32>("rate", "a number").unwrap(), Some(5));
        assert_eq!(query.parsed::<u32>("limit", "a number").unwrap(), None);
        let refusal = query.parsed::<u32>("filter", "a number").unwrap_err();
        assert_eq!(refusal.problem.error, "bad `filter`: \"x=y z\"; it must be a number");
        let refusal = query.only(&["point", "rate"]).unwrap_err();
        assert_eq!(refusal.problem.error, "unknown parameter \"filter\"; this request has `point`, `rate`");
        assert!(query.only(&["point", "rate", "filter"]).is_ok());
    }
}
