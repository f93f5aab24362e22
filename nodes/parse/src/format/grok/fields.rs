//! The fields of a pattern, and the object that they become.

use std::collections::BTreeMap;

use wattle_convert::{Type, write_value};
use wattle_matcher::Group;

use crate::format::{Fault, wrong_type};
use crate::object::write_string;

/// A member of an object.
#[derive(Debug)]
pub(super) struct Member {
    key: String,
    /// The key with its quotes and the colon.
    json: Vec<u8>,
    value: Value,
}

#[derive(Debug)]
enum Value {
    /// The text of the first of these groups that is part of the match and not empty.
    Text {
        field: String,
        groups: Vec<usize>,
        wanted: Option<Type>,
    },
    Object(Vec<Member>),
}

/// Types by the names that the second colon of a reference may have. `None` is a string.
const TYPES: [(&str, Option<Type>); 12] = [
    ("int", Some(Type::Integer)),
    ("integer", Some(Type::Integer)),
    ("long", Some(Type::Integer)),
    ("float", Some(Type::Number)),
    ("double", Some(Type::Number)),
    ("number", Some(Type::Number)),
    ("bool", Some(Type::Boolean)),
    ("boolean", Some(Type::Boolean)),
    ("duration", Some(Type::Duration)),
    ("bytes", Some(Type::Bytes)),
    ("string", None),
    ("text", None),
];

/// Puts the fields of a pattern into objects. `types` are those of the options.
pub(super) fn members(groups: &[Group], types: &BTreeMap<String, Type>) -> Result<Vec<Member>, String> {
    let mut members = Vec::new();
    for (number, group) in groups.iter().enumerate() {
        let Group::Field { name, type_name } = group else { continue };
        let wanted = match (types.get(name), type_name) {
            (Some(wanted), _) => Some(*wanted),
            (None, None) => None,
            (None, Some(type_name)) => {
                let known = TYPES.iter().find(|(known, _)| known == type_name).map(|(_, wanted)| *wanted);
                known.ok_or_else(|| {
                    let names: Vec<String> = TYPES.iter().map(|(name, _)| format!("`{name}`")).collect();
                    format!("the field `{name}` has the unknown type `{type_name}`; types are {}", names.join(", "))
                })?
            }
        };
        add(&mut members, &path(name)?, Leaf { field: name, group: number + 1, wanted })?;
    }
    Ok(members)
}

/// The keys of a field: `[a][b]` are two, and everything else is one.
fn path(name: &str) -> Result<Vec<&str>, String> {
    let wrong = || format!("`{name}` is not a field; write `name`, or `[outer][inner]` for a field in an object");
    if !name.starts_with('[') {
        return if name.is_empty() || name.contains(['[', ']', '{']) { Err(wrong()) } else { Ok(vec![name]) };
    }
    let inside = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).ok_or_else(wrong)?;
    let keys: Vec<&str> = inside.split("][").collect();
    if keys.iter().any(|key| key.is_empty() || key.contains(['[', ']'])) { Err(wrong()) } else { Ok(keys) }
}

struct Leaf<'a> {
    field: &'a str,
    group: usize,
    wanted: Option<Type>,
}

fn add(members: &mut Vec<Member>, path: &[&str], leaf: Leaf<'_>) -> Result<(), String> {
    let Some((key, inner)) = path.split_first() else { return Ok(()) };
    let place = match members.iter().position(|member| member.key == *key) {
        Some(place) => place,
        None => {
            let mut json = Vec::new();
            write_string(key.as_bytes(), &mut json);
            json.push(b':');
            let value = match inner {
                [] => Value::Text { field: leaf.field.to_owned(), groups: Vec::new(), wanted: leaf.wanted },
                _ => Value::Object(Vec::new()),
            };
            members.push(Member { key: (*key).to_owned(), json, value });
            members.len() - 1
        }
    };
    let Some(member) = members.get_mut(place) else { return Ok(()) };
    match (&mut member.value, inner) {
        (Value::Text { groups, wanted, field }, []) => {
            if let (Some(a), Some(b)) = (*wanted, leaf.wanted)
                && a != b
            {
                return Err(format!("the field `{field}` has two types, `{}` and `{}`", a.name(), b.name()));
            }
            *wanted = wanted.or(leaf.wanted);
            groups.push(leaf.group);
            Ok(())
        }
        (Value::Object(members), [_, ..]) => add(members, inner, leaf),
        _ => Err(format!("the field `{}` is both a value and an object; rename one of the two", leaf.field)),
    }
}

/// Appends the members that have a value, each with a comma behind it.
pub(super) fn write<'t>(
    members: &[Member],
    text: &mut impl FnMut(usize) -> Option<&'t [u8]>,
    out: &mut Vec<u8>,
) -> Result<(), Fault> {
    for Member { json, value, .. } in members {
        match value {
            Value::Text { field, groups, wanted } => {
                let found = groups.iter().find_map(|group| text(*group).filter(|text| !text.is_empty()));
                let Some(found) = found else { continue };
                out.extend_from_slice(json);
                write_text(found, *wanted, out).map_err(|wrong| wrong_type(field, wrong))?;
            }
            Value::Object(members) => {
                let start = out.len();
                out.extend_from_slice(json);
                out.push(b'{');
                let inside = out.len();
                write(members, text, out)?;
                if out.len() == inside {
                    out.truncate(start);
                    continue;
                }
                crate::object::close(b'}', out);
            }
        }
        out.push(b',');
    }
    Ok(())
}

fn write_text(text: &[u8], wanted: Option<Type>, out: &mut Vec<u8>) -> Result<(), wattle_convert::WrongType> {
    let digits = text.strip_prefix(b"+").unwrap_or(text);
    let (sign, digits) = digits.strip_prefix(b"-").map_or((&b""[..], digits), |digits| (&b"-"[..], digits));
    if wanted == Some(Type::Number) && digits.first() == Some(&b'.') {
        // `NUMBER` matches `.5`, which JSON does not have.
        return write_value(&[sign, b"0", digits].concat(), wanted, out);
    }
    write_value(text, wanted, out)
}
