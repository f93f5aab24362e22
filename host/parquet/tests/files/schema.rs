//! Schemas: their errors, and the preset.

use wattle_options::OptionErrors;
use wattle_parquet::{Preset, Schema, SchemaOptions};

use crate::read::{round_trip, schema};

#[track_caller]
fn errors(text: &str, expected: &[&str]) {
    let options: SchemaOptions = toml::from_str(text).unwrap();
    let errors = Schema::new(&options).unwrap_err();
    let errors: Vec<_> = errors.iter().map(ToString::to_string).collect();
    assert_eq!(errors, expected);
}

#[test]
fn all_errors_are_reported_with_their_place() {
    errors("columns = []", &["option `columns`: a schema needs a preset, or at least one column"]);
    errors(
        r#"columns = [
            { name = "a", type = "string", path = "x[0]" },
            { name = "A", type = "string", path = "x." },
            { name = "b.c", type = "timestamp", format = "noon" },
            { name = "", type = "list" },
            { name = "d", type = "int", format = "clf", fields = [{ name = "x", type = "int" }] },
            { name = "e", type = "list", element = { type = "struct", fields = [{ name = "x", type = "map", required = true }] } },
            { name = "f", type = "struct" },
            { name = "g", type = "string", element = { type = "int" } },
        ]"#,
        &[
            "option `columns[0].path`: the path of a column has keys only; a column of type `list` takes a whole array",
            "option `columns[1].name`: there is another column `A`; the case of letters does not count",
            "option `columns[1].path`: path `x.`: expected a key at byte 2",
            "option `columns[2].name`: a name has no dots and no control characters",
            "option `columns[2].format`: `noon` is no format; write `rfc3339`, `iso8601`, `rfc2822`, `clf`, `apache`, \
             `nginx`, `syslog`, `klog`, `kubernetes`, `epoch`, `epoch_s`, `epoch_ms`, `epoch_us`, `epoch_ns`, or directives \
             such as `%Y-%m-%d %H:%M:%S`",
            "option `columns[3].name`: a name has 1 to 255 bytes",
            "option `columns[3].element`: a list needs `element`",
            "option `columns[4].fields`: only structs have `fields`, not `int`",
            "option `columns[4].format`: only `timestamp` and `date` have `format`, not `int`",
            "option `columns[5].element.fields[0].required`: fields of structs cannot be required, only columns",
            "option `columns[5].element.fields[0].element`: a map needs `element`, its values",
            "option `columns[6].fields`: a struct needs fields",
            "option `columns[7].element`: only lists and maps have `element`, not `string`",
        ],
    );
    errors(
        "preset = \"cloudtrail\"\ncolumns = [{ name = \"Record\", type = \"json\" }]",
        &["option `columns[0].name`: there is another column `Record`; the case of letters does not count"],
    );
}

#[test]
fn errors_stand_where_the_options_are() {
    let options: SchemaOptions = toml::from_str("columns = [{ name = \"\", type = \"int\" }]").unwrap();
    let mut errors = OptionErrors::default();
    assert!(Schema::check(&options, "encoding.schema.", &mut errors).is_none());
    let error = errors.finish(Some(())).unwrap_err();
    assert_eq!(error[0].path, "encoding.schema.columns[0].name");
}

#[test]
fn depth_and_width_are_bounded() {
    let deep = format!("columns = [{{ name = \"a\", type = \"list\", element = {} }}]", {
        let open = "{ type = \"list\", element = ".repeat(20);
        format!("{open}{{ type = \"int\" }}{}", "}".repeat(20))
    });
    let options: SchemaOptions = toml::from_str(&deep).unwrap();
    assert!(Schema::new(&options).unwrap_err()[0].to_string().ends_with("can be at most 16 deep"));
    let wide: Vec<_> = (0..2_001).map(|n| format!("{{ name = \"c{n}\", type = \"int\" }}")).collect();
    let options: SchemaOptions = toml::from_str(&format!("columns = [{}]", wide.join(","))).unwrap();
    assert_eq!(
        Schema::new(&options).unwrap_err()[0].to_string(),
        "option `columns`: there may be at most 2000 columns and fields, here are 2001"
    );
}

#[test]
fn unknown_options_are_refused() {
    for text in [
        "colums = []",
        "columns = [{ name = \"a\", type = \"text\" }]",
        "columns = [{ name = \"a\", type = \"int\", x = 1 }]",
    ] {
        assert!(toml::from_str::<SchemaOptions>(text).is_err(), "{text}");
    }
}

#[test]
fn presets_are_valid_and_keep_the_record() {
    for preset in Preset::ALL {
        assert!(Schema::preset(preset).unwrap().keeps_record());
    }
    assert!(!schema("columns = [{ name = \"record\", type = \"string\", path = \"$\" }]").keeps_record());
}

/// The columns of Athena's own statement, in its order.
#[test]
fn the_columns_of_cloudtrail_are_those_of_athena() {
    let athena = "eventversion useridentity eventtime eventsource eventname awsregion sourceipaddress useragent errorcode \
                  errormessage requestparameters responseelements additionaleventdata requestid eventid resources \
                  eventtype apiversion readonly recipientaccountid serviceeventdetails sharedeventid vpcendpointid \
                  vpcendpointaccountid eventcategory addendum sessioncredentialfromconsole edgedevicedetails tlsdetails";
    let schema = Schema::preset(Preset::Cloudtrail).unwrap();
    let columns: Vec<_> = schema.columns().collect();
    let expected: Vec<_> = athena.split_whitespace().chain(["record"]).collect();
    assert_eq!(columns, expected);
    let text = schema.message_type();
    for line in ["OPTIONAL BYTE_ARRAY eventtime (STRING)", "OPTIONAL group resources (LIST)", "record (JSON)"] {
        assert!(text.contains(line), "{line} in {text}");
    }
}

#[test]
fn cloudtrail_reads_objects_booleans_and_keys_of_any_case() {
    let record = r#"{
        "eventTime": "2023-11-08T12:00:00Z", "readOnly": true, "requestParameters": {"a": [1, 2]},
        "userIdentity": {"arn": "first", "ARN": "second", "sessionContext": {"webIdFederationData": {"attributes": {"x": "1"}}}},
        "resources": [{"ARN": "arn:1", "accountId": "1"}, {"arn": "arn:2", "type": "t"}, null, "odd"]
    }"#;
    let (rows, file) = round_trip(&Schema::preset(Preset::Cloudtrail).unwrap(), &[record]);
    let row = &rows[0];
    assert_eq!(row["eventtime"], "2023-11-08T12:00:00Z");
    assert_eq!(row["readonly"], "true");
    assert_eq!(row["requestparameters"], r#"{"a": [1, 2]}"#);
    assert_eq!(row["useridentity"]["arn"], "first");
    assert_eq!(row["useridentity"]["onbehalfof"], serde_json::Value::Null);
    assert_eq!(row["useridentity"]["sessioncontext"]["webidfederationdata"]["attributes"]["x"], "1");
    assert_eq!(row["resources"][0]["arn"], "arn:1");
    assert_eq!(row["resources"][1]["arn"], "arn:2");
    assert_eq!(row["resources"].as_array().unwrap().len(), 4);
    assert_eq!(row["record"], record);
    assert_eq!(file.misfits[0].column, "resources.element");
    assert_eq!(file.misfits[0].values, 1);
}
