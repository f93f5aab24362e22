use std::fs;
use std::time::UNIX_EPOCH;

use super::mmdb::writer::{Form, write};
use super::*;
use crate::values::{TooLarge, Values, ValuesBuilder, kind};

fn grant(path: &std::path::Path, kind: TableKind, key: Option<&str>) -> TableGrant {
    let metadata = fs::metadata(path).unwrap();
    let time = metadata.modified().unwrap().duration_since(UNIX_EPOCH).unwrap().as_nanos();
    TableGrant { path: path.into(), kind, key: key.map(str::to_owned), stamp: (metadata.len(), time) }
}

fn load(name: &str, text: &[u8], kind: TableKind, key: Option<&str>) -> Result<Table, String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    fs::write(&path, text).unwrap();
    let table = Table::load(&grant(&path, kind, key));
    table.map_err(|error| error.to_string().replace(&folder.path().display().to_string(), ""))
}

fn values(rows: &[&str]) -> Values {
    let mut builder = ValuesBuilder::with_rows(rows.len());
    rows.iter().for_each(|row| builder.push(Some(row.as_bytes()), usize::MAX).unwrap());
    builder.finish()
}

fn cells(found: &Values) -> Vec<Option<&str>> {
    found.iter().map(|cell| cell.map(|cell| std::str::from_utf8(cell).unwrap())).collect()
}

fn found_in(table: Table, column: &str, keys: &[&str]) -> Vec<Option<String>> {
    let open = OpenTable::new(Arc::new(table), &[column.into()]).unwrap();
    let found = open.find(&values(keys), 100).unwrap();
    cells(&found[0]).into_iter().map(|cell| cell.map(str::to_owned)).collect()
}

#[test]
fn csv_is_searched_by_its_first_column_or_the_named_one() {
    let text = b"\xef\xbb\xbfaccount,name,team\n1,\"a, b\",x\n2,c,\n";
    let table = Arc::new(load("t.csv", text, TableKind::Exact, None).unwrap());
    let open = OpenTable::new(table.clone(), &["team".into(), "name".into()]).unwrap();
    let found = open.find(&values(&["2", "1", "3"]), 100).unwrap();
    assert_eq!(cells(&found[0]), [Some(""), Some("x"), None]);
    assert_eq!(cells(&found[1]), [Some("c"), Some("a, b"), None]);
    assert_eq!(open.find(&values(&["1", "1"]), 9), Err(FindError::TooLarge(TooLarge(9))));
    assert_eq!(
        OpenTable::new(table, &["tame".into()]).unwrap_err().to_string(),
        "the table has no column `tame`; use `account`, `name` or `team`"
    );
    let by_name = load("t.csv", text, TableKind::Exact, Some("name")).unwrap();
    assert_eq!(found_in(by_name, "account", &["c"]), [Some("2".to_owned())]);
}

#[test]
fn json_has_cells_of_any_kind_and_missing_ones() {
    let text = br#"[{"key": "a", "n": 1}, {"key": "b", "tags": ["x"], "n": null}]"#;
    let table = Arc::new(load("t.json", text, TableKind::Exact, None).unwrap());
    let open = OpenTable::new(table, &["n".into(), "tags".into()]).unwrap();
    let found = open.find(&values(&["a", "b"]), 100).unwrap();
    assert_eq!(cells(&found[0]), [Some("1"), None]);
    assert_eq!(cells(&found[1]), [None, Some(r#"["x"]"#)]);
    assert_eq!((&found[0].kinds[..], &found[1].kinds[..]), (&[kind::NUMBER, 0][..], &[0, kind::ARRAY][..]));
}

#[test]
fn numbers_of_json_keep_their_digits() {
    let text = br#"[
        {"key": 12345678901234567890123, "n": 1.10},
        {"key": 12345678901234567890124, "n": 1e400},
        {"key": "0.1", "n": [9007199254740993, {"x" : 1.0}]}
    ]"#;
    let keys = ["12345678901234567890123", "12345678901234567890124", "0.1", "12345678901234567890125"];
    let found = found_in(load("t.json", text, TableKind::Exact, None).unwrap(), "n", &keys);
    let found: Vec<_> = found.iter().map(Option::as_deref).collect();
    assert_eq!(found, [Some("1.10"), Some("1e400"), Some(r#"[9007199254740993,{"x":1.0}]"#), None]);
}

#[test]
fn json_lines_are_rows() {
    let text = b"{\"key\": \"a\", \"n\": 1}\n\n{\"key\": \"b\", \"ok\": true}\n";
    for name in ["t.ndjson", "t.jsonl", "t.NDJSON"] {
        let table = load(name, text, TableKind::Exact, None).unwrap();
        assert_eq!(found_in(table, "ok", &["a", "b", "c"]), [None, Some("true".to_owned()), None]);
    }
}

#[test]
fn a_byte_order_mark_is_no_part_of_json() {
    for (name, text) in
        [("t.json", "\u{feff}[{\"key\": \"a\", \"n\": 1}]"), ("t.ndjson", "\u{feff}{\"key\": \"a\", \"n\": 1}\n")]
    {
        let table = load(name, text.as_bytes(), TableKind::Exact, None).unwrap();
        assert_eq!(found_in(table, "n", &["a"]), [Some("1".to_owned())]);
    }
}

#[test]
fn a_table_in_place_of_a_maxmind_db_has_paths_as_columns() {
    let rows = br#"[{"network": "10.0.0.0/8", "country": {"iso_code": "AU", "codes": [1, 2]}}]"#;
    let table = || Table::from_json(rows, TableKind::Mmdb, Some("network")).unwrap();
    let some = |text: &str| [Some(text.to_owned())];
    assert_eq!(found_in(table(), "country.iso_code", &["10.1.1.1:80"]), some("AU"));
    assert_eq!(found_in(table(), "country.codes.1", &["10.1.1.1"]), some("2"));
    assert_eq!(found_in(table(), "country.codes", &["10.1.1.1"]), some("[1,2]"));
}

#[test]
fn a_maxmind_db_is_a_table() {
    let file = write(Form::default(), &[("10.0.0.0/8", serde_json::json!({"as": {"number": 64500}}))]);
    let table = load("t.mmdb", &file, TableKind::Mmdb, None).unwrap();
    assert!(table.memory_bytes() >= file.len());
    assert_eq!(found_in(table, "as.number", &["10.1.1.1", "11.1.1.1"]), [Some("64500".to_owned()), None]);
    let table = Arc::new(load("t.mmdb", &file, TableKind::Mmdb, None).unwrap());
    assert_eq!(
        OpenTable::new(table, &["as.organization".into()]).unwrap_err().to_string(),
        "the table has no column `as.organization`; use `as.number`"
    );
    assert_eq!(
        load("t.mmdb", b"a,b\n", TableKind::Mmdb, None).unwrap_err(),
        "`/t.mmdb`: it is not a usable MaxMind DB: invalid database: could not find MaxMind DB metadata in file; \
         download it again"
    );
}

#[test]
fn an_address_finds_the_longest_prefix() {
    let text =
        b"network,name\n10.0.0.0/8,ten\n10.1.0.0/16,office\n10.1.2.3,printer\n2001:db8::/32,doc\n0.0.0.0/0,all\n";
    let table = Arc::new(load("t.csv", text, TableKind::Cidr, None).unwrap());
    let open = OpenTable::new(table, &["name".into()]).unwrap();
    for (address, name) in [
        ("10.2.0.1", Some("ten")),
        ("10.1.9.9", Some("office")),
        ("10.1.2.3", Some("printer")),
        ("::ffff:10.1.2.3", Some("printer")),
        ("10.1.2.3:443", Some("printer")),
        ("[2001:db8:1::1]:443", Some("doc")),
        ("8.8.8.8", Some("all")),
        ("2001:db8:1::1", Some("doc")),
        ("2001:db9::1", None),
        ("nobody", None),
    ] {
        let found = open.find(&values(&[address]), 100).unwrap();
        assert_eq!(cells(&found[0]), [name], "{address}");
    }
}

#[test]
fn a_quote_of_csv_that_is_not_closed_is_refused_with_its_line() {
    let open = |line| {
        format!(
            "the quote that opens a cell in line {line} is not closed; close it, and double quotes inside of a cell"
        )
    };
    let after = |opened, line| {
        format!(
            "the cell whose quote opens in line {opened} has text after its closing quote in line {line}; close the \
             quote, and double quotes inside of a cell"
        )
    };
    let long = format!("a,b\n{}x,\"y\n{}", "1,2\n".repeat(3), "3,4\n".repeat(100_000));
    for (text, error) in [
        // The last cell holds all that follows, so the number of cells is right.
        ("a,b\n1,2\n3,\"4\n5,6\n", open(3)),
        ("a,b\n1,2\n\"3,4\n5,6\n", open(3)),
        ("\"a,b\n1,2\n", open(1)),
        ("\u{feff}\"a,b\n1,2\n", open(1)),
        ("a,b\r\n1,\"2\r\n", open(2)),
        ("a,b\n1,\"2\"\"\n", open(2)),
        ("a,b\n1,\"", open(2)),
        (&*long, open(5)),
        // Another quote ends the cell.
        ("a,b\n1,\"2\n3,\"4\"\n", after(2, 3)),
        ("a,b\n1,\"2\"x\n", after(2, 2)),
        ("a,b\n1,\"2\" \n", after(2, 2)),
    ] {
        let refused = load("t.csv", text.as_bytes(), TableKind::Exact, None).unwrap_err();
        assert_eq!(refused, format!("`/t.csv`: {error}"), "{:.40}", text);
    }
    let text = b"\xef\xbb\xbf\"a\",b\n1,\"2\n\"\"x\"\",\"\r\n\"\",5\"\r\n3,\"\"";
    let table = load("t.csv", text, TableKind::Exact, None).unwrap();
    assert_eq!(
        found_in(table, "b", &["1", "", "3"]),
        [Some("2\n\"x\",".to_owned()), Some("5\"".to_owned()), Some(String::new())]
    );
}

#[test]
fn an_invalid_table_is_refused_with_the_reason_and_the_place() {
    let exact = |name: &str, text: &[u8]| load(name, text, TableKind::Exact, None).unwrap_err();
    for (name, text, error) in [
        ("t.csv", &b"a,b\n1,2\n3\n"[..], "line 3 has 1 cells and the header has 2; quote cells that contain a comma"),
        ("t.csv", b"a,b\n1,2\n1,3\n", "rows 1 and 2 have the same key `1`; remove one of them"),
        ("t.csv", b"a,a\n", "two columns have the name `a`; rename one of them"),
        ("t.csv", b"", "it has no header; write the names of the columns in the first row"),
        ("t.csv", b"a,b\n1,\xff\n", "line 2 is not UTF-8; save the file as UTF-8"),
        ("t.csv", b"a,b\xff\n1,2\n", "line 1 is not UTF-8; save the file as UTF-8"),
        ("t.csv", b"\xff\xfea\0,\0b\0\n\0", "line 1 has a zero byte; save the file as UTF-8"),
        ("t.csv", b"a,b\n1,x\0\n", "line 2 has a zero byte; save the file as UTF-8"),
        ("t.csv", b"a,b\n1,2,3\n", "line 2 has 3 cells and the header has 2; quote cells that contain a comma"),
        ("t.csv", b"a,b,\n1,2\n", "line 2 has 2 cells and the header has 3; quote cells that contain a comma"),
        ("t.csv", b"\xef\xbb\xbfa,b,a\n", "two columns have the name `a`; rename one of them"),
        ("t.json", b"{}", "it is not a JSON array of objects: line 1, column 1"),
        ("t.json", b"[{\"a\": 1},\n  2]", "it is not a JSON array of objects: line 2, column 3"),
        ("t.json", b"[{\"a\": 1}", "its JSON ends too early; the file may be incomplete"),
        ("t.json", b"[{\"a\": 1}\n}", "it is not valid JSON: line 2, column 1: expected `,` or `]`"),
        (
            "t.json",
            b"[{\"a\": \"\\ud800\"}]",
            "it is not valid JSON: line 1, column 9: surrogate without its other half",
        ),
        (
            "t.json",
            b"[\n{\"a\": 1,\n\"\\u0061\": 2}]",
            "a row has two values for the column `a`, in lines 2 and 3; remove one of them",
        ),
        ("t.ndjson", b"{\"a\": 1}\n{\"a\": 01}\n", "it is not valid JSON: line 2, column 8: invalid number"),
        ("t.json", b"[{\"key\": \"a\"}, {\"b\": 1}]", "row 2 has no key"),
        (
            "t.ndjson",
            b"{\"a\": 1}\n[]\n",
            "line 2 is not a JSON object; write one object per line, or name a file with an array `.json`",
        ),
        ("t.ndjson", b"{\"a\": 1}\n{\"a\"", "its JSON ends too early; the file may be incomplete"),
    ] {
        assert_eq!(exact(name, text), format!("`/{name}`: {error}"));
    }
    let cidr = |network: &str| load("t.csv", format!("n\n{network}\n").as_bytes(), TableKind::Cidr, None).unwrap_err();
    assert!(cidr("::ffff:10.0.0.0/8").contains("an IPv4-mapped network, whose prefix has 96 to 128 bits"));
    assert_eq!(cidr("10.0.0.1/8"), "`/t.csv`: row 1: `10.0.0.1/8` has bits outside of its prefix");
    assert_eq!(cidr("10.0.0.0/33"), "`/t.csv`: row 1: `10.0.0.0/33` is not a network such as `10.0.0.0/8`");
    assert_eq!(
        cidr("10.0.0.0/8\n10.0.0.0/8"),
        "`/t.csv`: row 2: `10.0.0.0/8` is also the network of row 1; remove one of them"
    );
    assert_eq!(
        load("t.csv", b"a\n1\n", TableKind::Exact, Some("b")).unwrap_err(),
        "`/t.csv`: it has no column `b`; set `key` to `a`"
    );
}

#[test]
fn a_table_is_loaded_once_and_again_when_its_file_changes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.csv");
    fs::write(&path, "k,v\na,1\n").unwrap();
    let (tables, columns) = (Tables::default(), ["v".to_owned()]);
    let first = tables.open(&grant(&path, TableKind::Exact, None), &columns).unwrap();
    let second = tables.open(&grant(&path, TableKind::Exact, None), &columns).unwrap();
    assert!(Arc::ptr_eq(&first.table, &second.table));
    fs::write(&path, "k,v\na,two\n").unwrap();
    let third = tables.open(&grant(&path, TableKind::Exact, None), &columns).unwrap();
    let value = |open: &OpenTable| open.find(&values(&["a"]), 10).unwrap()[0].bytes.clone();
    assert_eq!((&value(&first)[..], &value(&third)[..]), (&b"1"[..], &b"two"[..]), "who has it open keeps it");
    fs::write(&path, "k,v\nbroken\n").unwrap();
    assert!(tables.open(&grant(&path, TableKind::Exact, None), &columns).is_err());
}
