//! The parameters of a request.

use std::str::FromStr;

use super::super::response::Refusal;

/// Maximum number of parameters.
const MAX_PARAMETERS: usize = 256;
/// Parameters that can be repeated.
const REPEATABLE: [&str; 2] = ["point", "filter"];

/// The decoded parameters, in their order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Query(Vec<(String, String)>);

impl Query {
    pub(crate) fn parse(query: Option<&str>) -> Self {
        let pairs = form_urlencoded::parse(query.unwrap_or_default().as_bytes()).take(MAX_PARAMETERS + 1);
        Self(pairs.map(|(key, value)| (key.into_owned(), value.into_owned())).collect())
    }

    /// All values of a parameter.
    pub(crate) fn all<'a>(&'a self, key: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(name, _)| name == key).map(|(_, value)| value.as_str())
    }

    /// The value of a parameter that [`Self::only`] allows once.
    pub(crate) fn get<'a>(&'a self, key: &'a str) -> Option<&'a str> {
        self.all(key).next()
    }

    /// The value of a parameter, parsed.
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

    /// Refuses parameters that a request does not know, and a second value where there can be only one.
    ///
    /// # Errors
    ///
    /// Names the first one, and those that exist.
    pub(crate) fn only(&self, known: &[&str]) -> Result<(), Refusal> {
        if self.0.len() > MAX_PARAMETERS {
            return Err(Refusal::bad_request(format!("the request has more than {MAX_PARAMETERS} parameters")));
        }
        let is_second = |(index, (name, _)): &(usize, &(String, String))| {
            !REPEATABLE.contains(&name.as_str()) && self.0.iter().take(*index).any(|(before, _)| before == name)
        };
        if let Some((_, (name, _))) = self.0.iter().enumerate().find(is_second) {
            return Err(Refusal::bad_request(format!("the parameter {name:?} is given more than once")));
        }
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

    #[test]
    fn a_second_value_is_refused_where_there_can_be_only_one() {
        let error = |query: &str| Query::parse(Some(query)).only(&["pack", "point"]).unwrap_err().problem.error;
        assert_eq!(error("pack=a&point=b&pack=c"), "the parameter \"pack\" is given more than once");
        assert_eq!(error("pack=a&%70ack=a"), "the parameter \"pack\" is given more than once");
        assert_eq!(error(&"point=b&".repeat(257)), "the request has more than 256 parameters");
        assert!(Query::parse(Some("point=a&point=b&pack=c")).only(&["pack", "point"]).is_ok());
    }
}
