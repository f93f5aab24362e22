//! The S3 keys under which CloudTrail delivers its documents.

use jiff::Timestamp;

/// Writes
/// `[prefix/]AWSLogs/[O-ORG/]ACCOUNT/CloudTrail/REGION/YYYY/MM/DD/ACCOUNT_CloudTrail_REGION_YYYYMMDDTHHmmZ_UNIQUE.json.gz`.
///
/// `unique` is the 16 characters that distinguish files of the same minute. `delivered` is the time
/// of delivery, some minutes after the events. Slashes at both ends of `prefix` are ignored.
pub fn object_key(
    prefix: &str,
    organization: Option<&str>,
    account: &str,
    region: &str,
    delivered: Timestamp,
    unique: &str,
) -> String {
    let mut key = String::with_capacity(160);
    for folder in [prefix.trim_matches('/'), "AWSLogs", organization.unwrap_or_default(), account, "CloudTrail", region]
    {
        if !folder.is_empty() {
            key.push_str(folder);
            key.push('/');
        }
    }
    let day = delivered.strftime("%Y/%m/%d");
    let minute = delivered.strftime("%Y%m%dT%H%MZ");
    key.push_str(&format!("{day}/{account}_CloudTrail_{region}_{minute}_{unique}.json.gz"));
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(prefix: &str, organization: Option<&str>, expected: &str) {
        let delivered: Timestamp = "2023-10-07T04:50:59Z".parse().unwrap();
        let key = object_key(prefix, organization, "597078901540", "eu-west-1", delivered, "KREKSWgLUgTraBu8");
        assert_eq!(key, expected);
    }

    #[test]
    fn keys_follow_the_layout_of_cloudtrail() {
        let rest = "597078901540/CloudTrail/eu-west-1/2023/10/07/\
                    597078901540_CloudTrail_eu-west-1_20231007T0450Z_KREKSWgLUgTraBu8.json.gz";
        check("", None, &format!("AWSLogs/{rest}"));
        check("logs/aws/", None, &format!("logs/aws/AWSLogs/{rest}"));
        check("", Some("o-exampleorgid"), &format!("AWSLogs/o-exampleorgid/{rest}"));
        check("trail", Some("o-x1"), &format!("trail/AWSLogs/o-x1/{rest}"));
    }
}
