//! Reads steps so that every error of every step is found, each with its place.

use serde::de::{DeserializeOwned, Deserializer, Error as _, Visitor, value::Error as PlainError};
use serde::{Deserialize, forward_to_deserialize_any};
use serde_json::{Map, Value};
use wattle_suggest::{closest, list};

use super::steps::Step;

/// Something wrong in a step: the place below the step, such as `to`, and the problem.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StepError {
    pub(crate) path: String,
    pub(crate) message: String,
}

impl StepError {
    fn new(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self { path: path.into(), message: message.into() }
    }
}

/// The parameters of an operation.
pub(crate) trait Named: DeserializeOwned {
    /// The operation, which is also the key of the field that it works on.
    const OPERATION: &'static str;
}

impl Step {
    /// Reads a step.
    pub(crate) fn of(step: &Map<String, Value>) -> Result<Self, Vec<StepError>> {
        let found: Vec<&str> = Self::OPERATIONS.iter().copied().filter(|name| step.contains_key(*name)).collect();
        match found[..] {
            [operation] => Self::read(operation, step.clone()),
            [] => Err(vec![no_operation(step)]),
            [first, second, ..] => Err(vec![StepError::new(
                "",
                format!("a step has one operation; make two steps of `{first}` and `{second}`"),
            )]),
        }
    }
}

fn no_operation(step: &Map<String, Value>) -> StepError {
    let meant = step.keys().find_map(|key| Some((key, closest(key, Step::OPERATIONS.iter().copied())?)));
    match meant {
        Some((key, operation)) => {
            StepError::new(key, format!("unknown operation `{key}`; did you mean `{operation}`?"))
        }
        None => StepError::new("", format!("a step needs an operation: {}", list(Step::OPERATIONS.iter().copied()))),
    }
}

/// Reads the parameters of an operation.
pub(crate) fn read_step<S: Named>(step: Map<String, Value>) -> Result<S, Vec<StepError>> {
    let known = parameters::<S>();
    let mut errors = Vec::new();
    let mut rest = Map::new();
    for (key, value) in step {
        if known.contains(&&*key) {
            rest.insert(key, value);
            continue;
        }
        let hint = match closest(&key, known.iter().copied()) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None => {
                format!("it has {}", list(known.iter().copied().filter(|name| *name != S::OPERATION)))
            }
        };
        errors.push(StepError::new(&*key, format!("`{}` has no parameter `{key}`; {hint}", S::OPERATION)));
    }
    let mut track = serde_path_to_error::Track::new();
    let read = S::deserialize(serde_path_to_error::Deserializer::new(Value::Object(rest), &mut track));
    match read {
        Ok(step) if errors.is_empty() => Ok(step),
        Ok(_) => Err(errors),
        Err(error) => {
            let path = track.path().to_string();
            let message = wattle_node::option_message(&error.to_string());
            errors.push(StepError::new(if path == "." { "" } else { &path }, message));
            Err(errors)
        }
    }
}

/// Reads null as a value rather than as none.
pub(super) fn any_value<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(from).map(Some)
}

/// Reads a small number. The message names the range 0 to `MAX` of the parameter instead of that of the type. A number beyond
/// `MAX` that fits the type is left to the operation, which reports it with the other errors of the step.
pub(super) fn up_to<'de, const MAX: u8, D: Deserializer<'de>>(from: D) -> Result<Option<u8>, D::Error> {
    let Some(number) = Option::<serde_json::Number>::deserialize(from)? else { return Ok(None) };
    match number.as_u64().and_then(|number| u8::try_from(number).ok()) {
        Some(number) => Ok(Some(number)),
        None => Err(D::Error::custom(format!("the number is {number}, expected a whole number from 0 to {MAX}"))),
    }
}

/// The names of the parameters of an operation, from the code that serde derives.
fn parameters<S: Named>() -> &'static [&'static str] {
    struct Names<'a>(&'a mut &'static [&'static str]);

    impl<'de> Deserializer<'de> for Names<'_> {
        type Error = PlainError;

        fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, PlainError> {
            Err(PlainError::custom("not a struct"))
        }

        fn deserialize_struct<V: Visitor<'de>>(
            self,
            _: &'static str,
            fields: &'static [&'static str],
            _: V,
        ) -> Result<V::Value, PlainError> {
            *self.0 = fields;
            Err(PlainError::custom("only the names of the fields are wanted"))
        }

        forward_to_deserialize_any! {
            bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
            newtype_struct seq tuple tuple_struct map enum identifier ignored_any
        }
    }

    let mut names: &'static [&'static str] = &[];
    // The deserializer never makes a value.
    let _ = S::deserialize(Names(&mut names));
    names
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn errors(step: Value) -> Vec<(String, String)> {
        let errors = Step::of(step.as_object().unwrap()).err().unwrap_or_default();
        errors.into_iter().map(|error| (error.path, error.message)).collect()
    }

    #[track_caller]
    fn check(step: Value, expected: &[(&str, &str)]) {
        let errors = errors(step);
        assert_eq!(errors.len(), expected.len(), "{errors:?}");
        for ((path, message), (wanted, part)) in errors.iter().zip(expected) {
            assert!(path == wanted && message.contains(part), "{path}: {message}");
        }
    }

    #[test]
    fn every_error_of_a_step_has_its_place() {
        check(json!({}), &[("", "a step needs an operation: `set`, `copy`")]);
        check(json!({"remov": "a"}), &[("remov", "did you mean `remove`?")]);
        check(json!({"lower": "a", "upper": "b"}), &[("", "make two steps of `lower` and `upper`")]);
        check(
            json!({"convert": "a", "too": "int", "x": 1}),
            &[("too", "did you mean `to`?"), ("x", "it has `to`, `unit`"), ("", "missing field `to`")],
        );
        check(json!({"convert": "a", "to": "integer"}), &[("to", "unknown variant `integer`, expected one of `int`")]);
        check(json!({"lower": 5}), &[("lower", "expected a field or a list of fields")]);
        check(json!({"set": "a", "value": null}), &[]);
    }

    #[test]
    fn no_parameter_has_the_name_of_an_operation() {
        for operation in Step::OPERATIONS {
            let step = json!({ *operation: "attributes.a", "no such parameter": 1 });
            let all = errors(step).into_iter().map(|(_, message)| message).collect::<String>();
            for other in Step::OPERATIONS.iter().filter(|other| *other != operation) {
                assert!(!all.contains(&format!("`{other}`")), "{operation} has {other}");
            }
        }
    }
}
