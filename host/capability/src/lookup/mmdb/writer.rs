//! Writes MaxMind DB files for tests: the search tree, the records, and the metadata.

use std::collections::HashMap;
use std::net::IpAddr;

use serde_json::{Value, json};

/// How a file is written.
#[derive(Clone, Copy)]
pub(in crate::lookup) struct Form {
    /// 4 or 6.
    pub(in crate::lookup) ip_version: u16,
    /// Bits of a pointer of the tree: 24, 28 or 32.
    pub(in crate::lookup) record_size: u16,
}

impl Default for Form {
    fn default() -> Self {
        Self { ip_version: 6, record_size: 24 }
    }
}

#[derive(Clone, Copy)]
enum Child {
    Nothing,
    Node(usize),
    Record(usize),
}

/// The bytes of a file with a record for each network, such as `10.0.0.0/8`. Longer prefixes come
/// after shorter ones.
pub(in crate::lookup) fn write(form: Form, networks: &[(&str, Value)]) -> Vec<u8> {
    let mut tree = vec![[Child::Nothing; 2]];
    let mut data = Vec::new();
    let mut known: HashMap<String, usize> = HashMap::new();
    for (network, value) in networks {
        let (address, length) = network.split_once('/').unwrap();
        let mut length: u32 = length.parse().unwrap();
        let bits = match address.parse().unwrap() {
            IpAddr::V4(address) if form.ip_version == 6 => {
                length += 96;
                u128::from(u32::from(address))
            }
            IpAddr::V4(address) => u128::from(u32::from(address)) << 96,
            IpAddr::V6(address) => u128::from(address),
        };
        let offset = *known.entry(value.to_string()).or_insert_with(|| {
            let offset = data.len();
            encode(value, &mut data);
            offset
        });
        insert(&mut tree, bits, length, offset);
    }
    let count = tree.len();
    let number = |child| match child {
        Child::Nothing => count,
        Child::Node(node) => node,
        Child::Record(offset) => count + 16 + offset,
    };
    let mut file = Vec::new();
    for [left, right] in tree {
        let (left, right) = (u32::try_from(number(left)).unwrap(), u32::try_from(number(right)).unwrap());
        let (l, r) = (left.to_be_bytes(), right.to_be_bytes());
        match form.record_size {
            24 => file.extend([l[1], l[2], l[3], r[1], r[2], r[3]]),
            28 => file.extend([l[1], l[2], l[3], l[0] << 4 | r[0], r[1], r[2], r[3]]),
            _ => file.extend(l.into_iter().chain(r)),
        }
    }
    file.extend([0; 16]);
    file.append(&mut data);
    file.extend(b"\xab\xcd\xefMaxMind.com");
    let texts = json!({"database_type": "Test", "description": {"en": "for tests"}, "languages": ["en"]});
    let members = texts.as_object().unwrap();
    header(7, members.len() + 6, &mut file);
    for (name, value) in members {
        encode(&Value::from(name.as_str()), &mut file);
        encode(value, &mut file);
    }
    // Numbers of the metadata have fixed types.
    let count = u32::try_from(count).unwrap();
    for (name, kind, bytes) in [
        ("binary_format_major_version", 5, &2_u16.to_be_bytes()[..]),
        ("binary_format_minor_version", 5, &0_u16.to_be_bytes()),
        ("build_epoch", 9, &1_700_000_000_u64.to_be_bytes()),
        ("ip_version", 5, &form.ip_version.to_be_bytes()),
        ("node_count", 6, &count.to_be_bytes()),
        ("record_size", 5, &form.record_size.to_be_bytes()),
    ] {
        encode(&Value::from(name), &mut file);
        sized(kind, bytes, &mut file);
    }
    file
}

fn insert(tree: &mut Vec<[Child; 2]>, bits: u128, length: u32, offset: usize) {
    let mut node = 0;
    for depth in 0..length {
        let side = usize::from(bits >> (127 - depth) & 1 == 1);
        if depth + 1 == length {
            tree[node][side] = Child::Record(offset);
            return;
        }
        let next = match tree[node][side] {
            Child::Node(next) => next,
            held => {
                tree.push([held; 2]);
                tree[node][side] = Child::Node(tree.len() - 1);
                tree.len() - 1
            }
        };
        node = next;
    }
}

fn encode(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Null => panic!("the format has no null"),
        Value::Bool(value) => header(14, usize::from(*value), out),
        Value::Number(number) => match (number.as_u64(), number.as_i64()) {
            (Some(number), _) if number > u64::from(u32::MAX) => sized(9, &number.to_be_bytes(), out),
            (Some(number), _) => sized(6, &u32::try_from(number).unwrap().to_be_bytes(), out),
            (None, Some(number)) => sized(8, &i32::try_from(number).unwrap().to_be_bytes(), out),
            (None, None) => sized(3, &number.as_f64().unwrap().to_be_bytes(), out),
        },
        Value::String(text) => sized(2, text.as_bytes(), out),
        Value::Array(elements) => {
            header(11, elements.len(), out);
            elements.iter().for_each(|element| encode(element, out));
        }
        Value::Object(members) => {
            header(7, members.len(), out);
            for (name, value) in members {
                encode(&Value::from(name.as_str()), out);
                encode(value, out);
            }
        }
    }
}

fn sized(kind: u8, bytes: &[u8], out: &mut Vec<u8>) {
    header(kind, bytes.len(), out);
    out.extend(bytes);
}

/// The header of a value below 65,821 bytes or elements.
pub(in crate::lookup) fn header(kind: u8, size: usize, out: &mut Vec<u8>) {
    let (short, more) = match size {
        0..29 => (size, vec![]),
        29..285 => (29, vec![u8::try_from(size - 29).unwrap()]),
        _ => (30, u16::try_from(size - 285).unwrap().to_be_bytes().to_vec()),
    };
    let short = u8::try_from(short).unwrap();
    if kind > 7 {
        out.extend([short, kind - 7]);
    } else {
        out.push(kind << 5 | short);
    }
    out.extend(more);
}
