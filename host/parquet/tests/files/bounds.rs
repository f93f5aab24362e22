//! Row groups, sizes, and what the footer says.

use parquet::basic::{Compression as Codec, ZstdLevel};
use parquet::file::reader::FileReader as _;
use parquet::file::statistics::Statistics;
use wattle_parquet::{Compression, Preset, PushError, Schema, Writer, WriterOptions};

use crate::read::{reader, round_trip, rows, schema};

fn record(number: usize) -> String {
    let mut random = fastrand::Rng::with_seed(number as u64);
    format!(
        r#"{{"eventName":"Get{}","eventID":"{:032x}","requestParameters":{{"key":"{}"}},"userIdentity":{{"accountId":"{}"}}}}"#,
        number % 50,
        random.u128(..),
        std::iter::repeat_with(|| random.alphanumeric()).take(400).collect::<String>(),
        number % 7,
    )
}

fn write(options: WriterOptions, records: usize) -> (wattle_parquet::File, Vec<usize>) {
    let schema = Schema::preset(Preset::Cloudtrail).unwrap();
    let mut writer = Writer::new(&schema, options).unwrap();
    let mut sizes = Vec::new();
    for number in 0..records {
        writer.push(record(number).as_bytes()).unwrap();
        sizes.push(writer.estimated_size());
    }
    (writer.finish().unwrap(), sizes)
}

#[test]
fn row_groups_are_bounded_in_rows_and_bytes() {
    let sizes = |options| -> Vec<_> {
        let (file, _) = write(options, 2_500);
        reader(&file).metadata().row_groups().iter().map(|group| group.num_rows()).collect()
    };
    let default = WriterOptions::default();
    assert_eq!(sizes(default.clone()), [2_500]);
    assert_eq!(sizes(WriterOptions { row_group_rows: 1_000, ..default.clone() }), [1_000, 1_000, 500]);
    let length = record(0).len();
    let groups = sizes(WriterOptions { row_group_bytes: 1_030 * length, ..default });
    assert!(groups.len() == 3 && (1_020..1_040).contains(&groups[0]), "{groups:?}");
}

#[test]
fn the_estimated_size_is_close_for_files_worth_an_object() {
    for compression in [Compression::Zstd, Compression::Snappy, Compression::None] {
        let options = WriterOptions { compression, row_group_rows: 20_000, ..WriterOptions::default() };
        let (file, sizes) = write(options, 30_000);
        let last = *sizes.last().unwrap() as f64 / file.bytes.len() as f64;
        assert!((0.75..1.3).contains(&last), "{compression:?}: {last}, {} bytes", file.bytes.len());
    }
}

#[test]
fn the_footer_has_writer_codec_and_statistics() {
    for (compression, codec) in [
        (Compression::Zstd, Codec::ZSTD(ZstdLevel::default())),
        (Compression::Snappy, Codec::SNAPPY),
        (Compression::None, Codec::UNCOMPRESSED),
    ] {
        let (file, _) = write(WriterOptions { compression, ..WriterOptions::default() }, 100);
        let reader = reader(&file);
        let metadata = reader.metadata();
        let by = concat!("wattle version ", env!("CARGO_PKG_VERSION"));
        assert_eq!(metadata.file_metadata().created_by(), Some(by));
        let group = metadata.row_group(0);
        for column in group.columns() {
            assert_eq!(std::mem::discriminant(&column.compression()), std::mem::discriminant(&codec));
        }
        let column = |name: &str| group.columns().iter().find(|c| c.column_path().string() == name).unwrap();
        let Some(Statistics::ByteArray(names)) = column("eventname").statistics() else { panic!("no statistics") };
        assert_eq!(names.min_opt().map(|v| v.data()), Some(&b"Get0"[..]));
        assert_eq!(names.max_opt().map(|v| v.data()), Some(&b"Get9"[..]));
        assert_eq!(column("errorcode").statistics().and_then(Statistics::null_count_opt), Some(100));
        assert!(column("eventname").dictionary_page_offset().is_some());
        assert!(column("record").dictionary_page_offset().is_none(), "documents do not repeat");
    }
}

#[test]
fn a_file_without_rows_is_valid() {
    let schema = Schema::preset(Preset::Cloudtrail).unwrap();
    let writer = Writer::new(&schema, WriterOptions::default()).unwrap();
    assert_eq!(rows(&writer.finish().unwrap()).len(), 0);
}

#[test]
fn a_record_without_a_required_column_fails_and_leaves_no_trace() {
    let columns = r#"columns = [
        { name = "id", type = "bigint", required = true },
        { name = "tags", type = "list", required = true, element = { type = "string" } },
        { name = "m", type = "map", element = { type = "int" } },
    ]"#;
    let schema = schema(columns);
    let mut writer = Writer::new(&schema, WriterOptions::default()).unwrap();
    let mut missing = |record: &str| match writer.push(record.as_bytes()) {
        Err(PushError::Missing { column }) => Some(column),
        Err(error) => panic!("{error}"),
        Ok(_) => None,
    };
    assert_eq!(missing(r#"{"m":{"a":1,"b":"x"},"id":1}"#).as_deref(), Some("tags"));
    assert_eq!(missing(r#"{"m":{"a":1},"tags":["a","b"]}"#).as_deref(), Some("id"));
    assert_eq!(missing(r#"{"id":null,"tags":["a"]}"#).as_deref(), Some("id"));
    assert_eq!(missing(r#"{"id":1.5,"tags":["a"]}"#).as_deref(), Some("id"));
    assert_eq!(missing(r#"{"id":7,"tags":[],"m":{"a":"x"}}"#), None);
    let file = writer.finish().unwrap();
    assert_eq!(rows(&file), [serde_json::json!({ "id": 7, "tags": [], "m": { "a": null } })]);
    let misfits: Vec<_> = file.misfits.iter().map(|m| (m.column.as_str(), m.values)).collect();
    assert_eq!(misfits, [("m.value", 1)], "misfits of failed records do not count");
}

#[test]
fn epochs_and_formats_become_times() {
    let columns = r#"columns = [
        { name = "any", type = "timestamp", path = "t" },
        { name = "ms", type = "timestamp", path = "t", format = "epoch_ms" },
        { name = "clf", type = "timestamp", format = "clf" },
        { name = "day", type = "date", path = "clf", format = "clf" },
    ]"#;
    let (rows, _) = round_trip(
        &schema(columns),
        &[r#"{"t":1699444800000,"clf":"08/Nov/2023:12:00:00 +0000"}"#, r#"{"t":1699444800}"#, r#"{"t":-1}"#],
    );
    assert_eq!(rows[0]["any"], 1_699_444_800_000_000_i64);
    assert_eq!(rows[0]["ms"], 1_699_444_800_000_000_i64);
    assert_eq!(rows[0]["clf"], 1_699_444_800_000_000_i64);
    assert_eq!(rows[0]["day"], 19_669);
    assert_eq!(rows[1]["any"], 1_699_444_800_000_000_i64);
    assert_eq!(rows[2]["ms"], -1_000);
}

#[test]
fn dates_alone_are_dates_and_midnights() {
    let columns = r#"columns = [
        { name = "day", type = "date", path = "d" },
        { name = "time", type = "timestamp", path = "d" },
    ]"#;
    let records =
        ["2026-01-01", "1969-12-31", "9999-12-31", "0001-01-01", "2026-01-01T23:59:59Z", "2026-02-30", "2026-1-1"];
    let records: Vec<String> = records.map(|date| serde_json::json!({ "d": date }).to_string()).into();
    let (rows, file) = round_trip(&schema(columns), &records.iter().map(String::as_str).collect::<Vec<_>>());
    let days: Vec<Option<i64>> = rows.iter().map(|row| row["day"].as_i64()).collect();
    assert_eq!(days, [Some(20_454), Some(-1), Some(2_932_896), Some(-719_162), Some(20_454), None, None]);
    let times: Vec<Option<i64>> = rows.iter().map(|row| row["time"].as_i64()).collect();
    assert_eq!(
        times,
        [Some(1_767_225_600_000_000), Some(-86_400_000_000), None, None, Some(1_767_311_999_000_000), None, None]
    );
    assert_eq!(file.misfits.iter().map(|misfit| misfit.values).sum::<u64>(), 6);
}
