//! The commands of docs/AWS.md, run by the command line of AWS: they set up what the configuration of the page reads.

use std::io::{Read as _, Write as _};
use std::path::PathBuf;
use std::process::Command;

use serde_json::{Value, json};
use wattle_tests::{Folder, workspace};

use super::moto::Moto;

const KEY: &str = "AWSLogs/123456789012/CloudTrail/eu-west-1/2026/01/31/";

/// Records in one log file.
const RECORDS: usize = 20;

/// Before each script. Version 1 of the command line, which PyPI has, ignores `AWS_ENDPOINT_URL` for SQS.
const PREAMBLE: &str = "set -euo pipefail\naws() { command aws --endpoint-url \"$AWS_ENDPOINT_URL\" \"$@\"; }\n";

/// The blocks of a section in this language.
fn blocks(section: &str, language: &str) -> Vec<String> {
    let page = std::fs::read_to_string(workspace().join("docs/AWS.md")).unwrap();
    let text = page.split("\n## ").find(|text| text.starts_with(&format!("{section}\n")));
    let text = text.unwrap_or_else(|| panic!("the page has no section `{section}`"));
    let begin = format!("```{language}\n");
    let blocks = text.split(begin.as_str()).skip(1);
    blocks.map(|rest| rest.split("```").next().unwrap().to_owned()).collect()
}

/// Runs a program with the server instead of AWS.
fn run(moto: &Moto, folder: &Folder, mut command: Command) -> String {
    let tools = std::env::var_os("WATTLE_MOTO").map(PathBuf::from).unwrap_or_default();
    let path = std::env::join_paths(
        [tools].into_iter().chain(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default())),
    );
    command
        .current_dir(folder.path(""))
        .env("PATH", path.unwrap())
        .env("AWS_ENDPOINT_URL", moto.address())
        .env("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
        .env("AWS_SECRET_ACCESS_KEY", "secret-of-test")
        .env("AWS_DEFAULT_REGION", "eu-west-1")
        .env("AWS_PAGER", "");
    let output = command.output().unwrap();
    let [stdout, stderr] = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned());
    assert!(
        output.status.success(),
        "{command:?}: {}\n{stdout}{stderr}\nThe commands need `aws` (PyPI: `awscli`) and `jq`; `cargo xtask test` installs both.",
        output.status
    );
    stdout
}

fn shell(moto: &Moto, folder: &Folder, script: &str) -> String {
    let mut bash = Command::new("bash");
    bash.args(["-c", &format!("{PREAMBLE}{script}")]);
    run(moto, folder, bash)
}

/// Writes a log file with records of these numbers.
fn put_records(moto: &Moto, step: usize) {
    let record = |number: usize| {
        json!({ "eventVersion": "1.11", "eventID": format!("{step:03}-{number:03}"), "eventTime": "2026-01-31T23:59:59Z",
            "eventSource": "s3.amazonaws.com", "eventName": "PutObject", "awsRegion": "eu-west-1",
            "eventType": "AwsApiCall", "recipientAccountId": "123456789012" })
    };
    let records: Vec<Value> = (0..RECORDS).map(record).collect();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(json!({ "Records": records }).to_string().as_bytes()).unwrap();
    moto.put(
        &format!("{KEY}123456789012_CloudTrail_eu-west-1_20260131T2359Z_{step:016}.json.gz"),
        &gzip.finish().unwrap(),
    );
}

/// Number of records in the files of the sink `records`.
fn records(folder: &Folder) -> usize {
    let Ok(files) = std::fs::read_dir(folder.path("out/records")) else { return 0 };
    let mut text = String::new();
    for file in files {
        let file = std::fs::File::open(file.unwrap().path()).unwrap();
        flate2::read::MultiGzDecoder::new(file).read_to_string(&mut text).unwrap();
    }
    text.lines().count()
}

#[test]
fn the_page_leads_from_nothing_to_records_whoever_announces_the_objects() {
    let (moto, folder) = (Moto::start(), Folder::new());
    let config = blocks("Start", "toml").remove(0);
    let queue = "https://sqs.eu-west-1.amazonaws.com";
    assert!(config.contains(queue));
    folder.write("agent.toml", config.replace(queue, moto.address()));
    let commands = blocks("Start", "sh").remove(0);
    assert!(commands.starts_with("wattle validate agent.toml\nwattle run agent.toml\n"), "{commands}");
    let agent = |arguments: &[&str]| {
        let mut command = Command::new(folder.wattle().get_program());
        command.args(arguments);
        run(&moto, &folder, command)
    };
    agent(&["validate", "agent.toml"]);

    // The commands after the first block use its variables.
    let [queue, topic, rule] = <[String; 3]>::try_from(blocks("Queue and notifications", "sh")).unwrap();
    // The bucket of the tests is in another region.
    shell(&moto, &folder, "aws s3 rb s3://trail --region us-east-1 && aws s3 mb s3://trail --region eu-west-1");
    let variables = queue.lines().take(2).collect::<Vec<_>>().join("\n");
    for (step, script) in [queue, format!("{variables}\n{topic}"), format!("{variables}\n{rule}")].iter().enumerate() {
        shell(&moto, &folder, script);
        put_records(&moto, step);
        agent(&["run", "--once", "agent.toml"]);
        assert_eq!(records(&folder), (step + 1) * RECORDS, "after the block {}", step + 1);
    }
    assert_eq!(folder.read("out/fails.ndjson"), b"");

    // Messages that cannot be processed have their queue.
    let attributes = "aws sqs get-queue-attributes --region eu-west-1 --attribute-names All --query Attributes.RedrivePolicy \
                      --queue-url $(aws sqs get-queue-url --region eu-west-1 --queue-name cloudtrail --query QueueUrl --output text)";
    assert!(shell(&moto, &folder, attributes).contains("cloudtrail-dead"));
}

#[test]
fn the_roles_of_the_page_can_be_made() {
    let (moto, folder) = (Moto::start(), Folder::new());
    let policy = blocks("Permissions", "json").remove(0);
    folder.write("policy.json", &policy);
    let [ec2, eks] = <[String; 2]>::try_from(blocks("EC2, EKS and ECS", "sh")).unwrap();
    let instance =
        "INSTANCE=$(aws ec2 run-instances --image-id ami-12c6146b --query 'Instances[0].InstanceId' --output text)";
    shell(&moto, &folder, &format!("{instance}\n{ec2}"));
    // moto has no associations of Pod Identity, so the last command is not run.
    let (trust, _) = eks.split_once("aws eks create-pod-identity-association").unwrap();
    shell(&moto, &folder, trust);
    let irsa = blocks("EC2, EKS and ECS", "json").remove(0);
    folder.write("trust.json", &irsa);
    shell(&moto, &folder, "aws iam update-assume-role-policy --role-name wattle --policy-document file://trust.json");
    let found = shell(
        &moto,
        &folder,
        "aws iam get-role-policy --role-name wattle --policy-name wattle --query PolicyDocument --output json",
    );
    assert_eq!(serde_json::from_str::<Value>(&found).unwrap(), serde_json::from_str::<Value>(&policy).unwrap());
}
