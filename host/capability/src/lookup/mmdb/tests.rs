use serde_json::json;

use super::writer::{Form, header, write};
use super::*;
use crate::values::kind;

fn sample() -> Vec<(&'static str, Value)> {
    let sydney = json!({
        "country": {"iso_code": "AU", "names": {"de": "Australien", "en": "Australia"}},
        "location": {"latitude": -33.5, "longitude": 151, "accuracy_radius": 20},
        "subdivisions": [{"iso_code": "NSW"}, {"iso_code": "X"}],
        "traits": {"is_anycast": true},
    });
    let text = "ÄÖ \"quoted\" \\ text of more than twenty-nine bytes";
    vec![
        ("10.0.0.0/8", json!({"country": {"iso_code": "ZZ"}, "big": 5_000_000_000_u64, "minus": -7})),
        ("10.1.2.0/24", sydney.clone()),
        ("10.1.3.7/32", sydney),
        ("2001:db8::/32", json!({"country": "none", "text": text})),
    ]
}

fn database(form: Form) -> Database {
    Database::new(write(form, &sample())).unwrap()
}

fn keys(rows: &[&str]) -> Values {
    let mut builder = ValuesBuilder::with_rows(rows.len());
    rows.iter().for_each(|row| builder.push(Some(row.as_bytes()), usize::MAX).unwrap());
    builder.finish()
}

type Found = Vec<Option<(String, u8)>>;

fn find(database: &Database, column: &str, addresses: &[&str]) -> Found {
    let path = database.column(column).unwrap_or_else(|| panic!("no column {column}"));
    let found = database.find(&[path], &keys(addresses), usize::MAX).unwrap().remove(0);
    let text = |cell: Option<&[u8]>| cell.map(|cell| String::from_utf8(cell.to_vec()).unwrap());
    found.iter().zip(&found.kinds).map(|(cell, kind)| Some((text(cell)?, *kind))).collect()
}

fn one(database: &Database, column: &str, address: &str) -> Option<(String, u8)> {
    find(database, column, &[address]).remove(0)
}

fn some(text: &str, kind: u8) -> Option<(String, u8)> {
    Some((text.to_owned(), kind))
}

#[test]
fn an_address_finds_the_record_of_its_longest_network() {
    for record_size in [24, 28, 32] {
        let database = database(Form { ip_version: 6, record_size });
        for (address, code) in [
            ("10.200.0.1", Some("ZZ")),
            ("10.1.2.255", Some("AU")),
            ("10.1.3.6", Some("ZZ")),
            ("10.1.3.7", Some("AU")),
            ("10.1.3.7:443", Some("AU")),
            ("::ffff:10.1.2.3", Some("AU")),
            ("[::ffff:10.1.2.3]:443", Some("AU")),
            ("11.0.0.1", None),
            ("2001:db9::1", None),
            ("localhost", None),
        ] {
            let expected = code.and_then(|code| some(code, kind::STRING));
            assert_eq!(one(&database, "country.iso_code", address), expected, "{address} {record_size}");
        }
    }
}

#[test]
fn a_file_of_ipv4_has_no_ipv6_addresses() {
    let database = Database::new(write(Form { ip_version: 4, record_size: 24 }, &sample()[..3])).unwrap();
    assert_eq!(one(&database, "country.iso_code", "10.1.2.3"), some("AU", kind::STRING));
    assert_eq!(one(&database, "country.iso_code", "::ffff:10.1.2.3"), some("AU", kind::STRING));
    assert_eq!(one(&database, "country.iso_code", "2001:db8::1"), None);
}

#[test]
fn values_keep_their_kinds() {
    let database = database(Form::default());
    let at = |column, address| one(&database, column, address);
    assert_eq!(at("location.latitude", "10.1.2.3"), some("-33.5", kind::NUMBER));
    assert_eq!(at("location.longitude", "10.1.2.3"), some("151", kind::NUMBER));
    assert_eq!(at("minus", "10.0.0.1"), some("-7", kind::NUMBER));
    assert_eq!(at("big", "10.0.0.1"), some("5000000000", kind::NUMBER));
    assert_eq!(at("traits.is_anycast", "10.1.2.3"), some("true", kind::BOOLEAN));
    assert_eq!(at("subdivisions.1.iso_code", "10.1.2.3"), some("X", kind::STRING));
    assert_eq!(at("subdivisions", "10.1.2.3"), some(r#"[{"iso_code":"NSW"},{"iso_code":"X"}]"#, kind::ARRAY));
    let names = r#"{"de":"Australien","en":"Australia"}"#;
    assert_eq!(at("country.names", "10.1.2.3"), some(names, kind::OBJECT));
    assert_eq!(at("traits", "2001:db8::1"), None);
    assert_eq!(at("country.iso_code", "2001:db8::1"), None, "the country of this record is a text");
    let record = at(".", "2001:db8::1").unwrap();
    assert_eq!(record.1, kind::OBJECT);
    assert_eq!(serde_json::from_str::<Value>(&record.0).unwrap(), sample()[3].1);
    assert_eq!(at("text", "2001:db8::1"), some(sample()[3].1["text"].as_str().unwrap(), kind::STRING));
}

#[test]
fn rare_types_are_written_as_json() {
    let mut file = write(Form { ip_version: 4, record_size: 24 }, &[("0.0.0.0/1", json!({"k": "VALUE"}))]);
    let mut try_replace = |with: &[u8]| {
        let start = file.windows(6).position(|part| part == b"\x45VALUE").unwrap();
        // The metadata marker is found from the end, so the data section may grow.
        let tail = file.split_off(start);
        let mut made = file.clone();
        made.extend(with);
        made.extend(&tail[6..]);
        file.extend(tail);
        Database::new(made)
    };
    let mut replace = |with: &[u8]| try_replace(with).unwrap();
    let float = [&[0x04, 8][..], &0.1_f32.to_be_bytes()].concat();
    assert_eq!(one(&replace(&float), "k", "1.1.1.1"), some("0.1", kind::NUMBER));
    let not_a_number = [&[0x68][..], &f64::NAN.to_be_bytes()].concat();
    assert_eq!(one(&replace(&not_a_number), "k", "1.1.1.1"), None);
    assert_eq!(one(&replace(&not_a_number), ".", "1.1.1.1"), some(r#"{"k":null}"#, kind::OBJECT));
    let large = [&[0x10, 3][..], &u128::MAX.to_be_bytes()].concat();
    assert_eq!(one(&replace(&large), "k", "1.1.1.1"), some(&u128::MAX.to_string(), kind::NUMBER));
    let bytes = [&[0x83][..], &[0, 0xab, 0xff]].concat();
    assert_eq!(one(&replace(&bytes), "k", "1.1.1.1"), some("00abff", kind::STRING));
    assert_eq!(one(&replace(&bytes), ".", "1.1.1.1"), some(r#"{"k":"00abff"}"#, kind::OBJECT));
    let nested = |depth| {
        let mut nested = Vec::new();
        (0..depth).for_each(|_| header(11, 1, &mut nested));
        header(11, 0, &mut nested);
        nested
    };
    let depth = 31;
    let brackets = ["[".repeat(depth + 1), "]".repeat(depth + 1)].concat();
    assert_eq!(one(&replace(&nested(depth)), "k", "1.1.1.1"), some(&brackets, kind::ARRAY));
    let error = try_replace(&nested(depth + 1)).unwrap_err();
    assert!(error.to_string().contains("nested too deep"), "{error}");
}

#[test]
fn a_column_that_no_record_has_is_unknown_and_the_others_are_listed() {
    let database = database(Form::default());
    assert!(database.column("country.isocode").is_none());
    assert!(database.column("country.isocode").is_none(), "also from the memory");
    assert!(database.column("subdivisions.2").is_none());
    assert!(database.column("big").is_some(), "one record is enough");
    let expected = [
        "country.iso_code",
        "big",
        "minus",
        "country.names.en",
        "location.latitude",
        "location.longitude",
        "location.accuracy_radius",
        "subdivisions.0.iso_code",
        "traits.is_anycast",
        "country",
        "text",
    ];
    let mut columns = database.columns();
    columns.sort_unstable();
    let mut expected = expected.map(str::to_owned).to_vec();
    expected.sort_unstable();
    assert_eq!(columns, expected);
}

#[test]
fn the_list_of_columns_names_each_once_and_has_a_limit() {
    let scalars = write(Form::default(), &[("10.0.0.0/8", json!(1)), ("11.0.0.0/8", json!(2))]);
    assert_eq!(Database::new(scalars).unwrap().columns(), ["."]);
    let many: serde_json::Map<String, Value> = (0..100).map(|number| (format!("k{number}"), json!(number))).collect();
    let wide = write(Form::default(), &[("10.0.0.0/8", Value::Object(many))]);
    assert_eq!(Database::new(wide).unwrap().columns().len(), MAX_LISTED);
}

#[test]
fn what_is_found_has_a_limit() {
    let database = database(Form::default());
    let path = || database.column("country.names.en").unwrap();
    let addresses = keys(&["10.1.2.3"; 4]);
    assert_eq!(database.find(&[path()], &addresses, 36).unwrap()[0].bytes.len(), 36);
    assert_eq!(database.find(&[path()], &addresses, 35), Err(FindError::TooLarge(TooLarge(35))));
    assert_eq!(database.find(&[path(), path()], &addresses, 71), Err(FindError::TooLarge(TooLarge(71))));
}

/// Numbers that look random, the same in every run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % limit
    }
}

/// Uses everything of a file that was accepted.
fn use_all(file: Vec<u8>) -> bool {
    let Ok(database) = Database::new(file) else { return false };
    let columns = database.columns();
    let addresses = keys(&["10.1.2.3", "10.200.0.1", "2001:db8::1", "::", "255.255.255.255", "10.1.3.7"]);
    for name in columns.iter().map(String::as_str).chain([".", "country", "a.b", "0", ""]) {
        if let Some(path) = database.column(name) {
            // A file that was accepted has no record that cannot be read.
            let found = database.find(&[path], &addresses, 1 << 20);
            assert!(matches!(found, Ok(_) | Err(FindError::TooLarge(_))), "{name}: {found:?}");
        }
    }
    true
}

#[test]
fn a_truncated_file_is_refused() {
    for record_size in [24, 28, 32] {
        let file = write(Form { ip_version: 6, record_size }, &sample());
        assert!(use_all(file.clone()));
        for length in 0..file.len() {
            assert!(!use_all(file[..length].to_vec()), "{length} bytes");
        }
        for start in 1..file.len() {
            use_all(file[start..].to_vec());
        }
    }
}

#[test]
fn flipped_bytes_never_panic() {
    let mut numbers = Numbers(1);
    let mut accepted = 0;
    for record_size in [24, 28, 32] {
        let file = write(Form { ip_version: 6, record_size }, &sample());
        for place in 0..file.len() {
            for _ in 0..8 {
                let mut broken = file.clone();
                broken[place] ^= 1 << numbers.below(8);
                accepted += usize::from(use_all(broken));
            }
        }
        for _ in 0..20_000 {
            let mut broken = file.clone();
            for _ in 0..=numbers.below(6) {
                let place = numbers.below(broken.len());
                broken[place] = u8::try_from(numbers.below(256)).unwrap();
            }
            accepted += usize::from(use_all(broken));
        }
    }
    assert!(accepted > 0, "some changes are harmless, as of a letter in a text");
}

#[test]
fn files_of_another_writer_are_read() {
    let open = |name: &str| {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/tables").join(name);
        Database::load(&path).unwrap()
    };
    let geo = open("geo.mmdb");
    assert_eq!(one(&geo, "city.names.en", "203.0.113.7"), some("Sydney", kind::STRING));
    assert_eq!(one(&geo, "location.latitude", "203.0.113.7"), some("-33.8591", kind::NUMBER));
    assert_eq!(one(&geo, "subdivisions.0.names.de", "203.0.113.7"), some("Neusüdwales", kind::STRING));
    assert_eq!(one(&geo, "country.is_in_european_union", "::ffff:198.51.100.1"), some("true", kind::BOOLEAN));
    assert_eq!(one(&geo, "country.iso_code", "2001:db8:2::1"), some("US", kind::STRING));
    assert_eq!(one(&geo, "city.names.en", "2001:db8:2::1"), None);
    let asn = open("asn.mmdb");
    assert_eq!(one(&asn, "autonomous_system_number", "198.51.100.200"), some("64501", kind::NUMBER));
}

#[test]
fn a_file_that_is_something_else_is_refused_with_the_reason() {
    for file in [&b""[..], b"a,b\n1,2\n", b"\xab\xcd\xefMaxMind.com", b"\xab\xcd\xefMaxMind.com\xe0"] {
        assert!(Database::new(file.to_vec()).is_err());
    }
    let error = Database::new(b"a,b\n1,2\n".to_vec()).unwrap_err();
    assert_eq!(error.to_string(), "invalid database: could not find MaxMind DB metadata in file");
}
