//! Kinds about storage and messaging: s3, dynamodb, rds, ecr, sns, sqs.

use super::kind::{Kind, read, write};

const TRANSFER: &str = r#""additionalEventData":{"SignatureVersion":"SigV4",
    "CipherSuite":"TLS_AES_128_GCM_SHA256","bytesTransferredIn":$(number),"SSEApplied":"SSE_S3",
    "AuthenticationMethod":"AuthHeader","x-amz-id-2":"$(id-2)","bytesTransferredOut":$(number)},"#;
const OBJECT: &str = r#"{"type":"AWS::S3::Object","ARN":"arn:aws:s3:::$(bucket)/$(object)"},
    {"accountId":"$(account)","type":"AWS::S3::Bucket","ARN":"arn:aws:s3:::$(bucket)"}"#;
const BUCKET: &str = r#"{"accountId":"$(account)","type":"AWS::S3::Bucket","ARN":"arn:aws:s3:::$(bucket)"}"#;
const TABLE: &str = r#"{"accountId":"$(account)","type":"AWS::DynamoDB::Table","ARN":"arn:aws:dynamodb:$(region):$(account):table/$(resource)"}"#;

/// An S3 event about one object.
const fn object(kind: Kind) -> Kind {
    Kind {
        request: r#"{"bucketName":"$(bucket)","Host":"$(bucket).s3.$(region).amazonaws.com","key":"$(object)"}"#,
        after: TRANSFER,
        resources: OBJECT,
        data: true,
        ..kind
    }
}

/// An S3 event about one bucket.
const fn bucket(kind: Kind) -> Kind {
    Kind { after: TRANSFER, resources: BUCKET, ..kind }
}

pub(crate) const KINDS: &[Kind] = &[
    object(read("s3", "GetObject", 68)),
    object(read("s3", "HeadObject", 52)),
    object(write("s3", "DeleteObject", 8)),
    Kind {
        request: r#"{"bucketName":"$(bucket)","Host":"$(bucket).s3.$(region).amazonaws.com","key":"$(object)",
            "x-amz-acl":"bucket-owner-full-control","x-amz-server-side-encryption":"aws:kms",
            "x-amz-server-side-encryption-aws-kms-key-id":"arn:aws:kms:$(region):$(account):key/$(kms-key)"}"#,
        response: r#"{"x-amz-server-side-encryption":"aws:kms","x-amz-version-id":"$(request-id)$(request-id)"}"#,
        ..object(write("s3", "PutObject", 80))
    },
    bucket(Kind {
        request: r#"{"list-type":"2","bucketName":"$(bucket)","encoding-type":"url","prefix":"raw/",
            "delimiter":"/","Host":"$(bucket).s3.$(region).amazonaws.com"}"#,
        data: true,
        ..read("s3", "ListObjects", 14)
    }),
    bucket(Kind {
        request: r#"{"bucketName":"$(bucket)","Host":"$(bucket).s3.$(region).amazonaws.com","acl":""}"#,
        ..read("s3", "GetBucketAcl", 18)
    }),
    bucket(Kind {
        request: r#"{"bucketName":"$(bucket)","Host":"s3.$(region).amazonaws.com","location":""}"#,
        ..read("s3", "GetBucketLocation", 6)
    }),
    Kind { request: r#"{"Host":"s3.$(region).amazonaws.com"}"#, after: TRANSFER, ..read("s3", "ListBuckets", 8) },
    bucket(Kind {
        request: r#"{"bucketName":"$(bucket)","Host":"$(bucket).s3.$(region).amazonaws.com","policy":"",
            "bucketPolicy":{"Version":"2012-10-17","Id":null,"Statement":[{"Sid":"AllowPartner",
            "Effect":"Allow","Principal":{"AWS":["arn:aws:iam::$(other-account):root"]},
            "Action":["s3:GetObject","s3:ListBucket"],"Resource":["arn:aws:s3:::$(bucket)",
            "arn:aws:s3:::$(bucket)/*"],"Condition":{"Bool":{"aws:SecureTransport":"true"},
            "IpAddress":{"aws:SourceIp":["$(ip)/24","$(ip)/32"]}}}]}}"#,
        ..write("s3", "PutBucketPolicy", 4)
    }),
    Kind { request: r#"{"tableName":"$(resource)"}"#, resources: TABLE, ..read("dynamodb", "DescribeTable", 14) },
    Kind {
        request: r#"{"tableName":"$(resource)","key":{"pk":"HIDDEN_DUE_TO_SECURITY_REASONS"},
            "items":["pk","sk"],"returnConsumedCapacity":"NONE"}"#,
        resources: TABLE,
        data: true,
        ..write("dynamodb", "PutItem", 32)
    },
    Kind {
        request: r#"{"tableName":"$(resource)","key":{"pk":"HIDDEN_DUE_TO_SECURITY_REASONS"},
            "consistentRead":false}"#,
        resources: TABLE,
        data: true,
        ..read("dynamodb", "GetItem", 18)
    },
    Kind {
        request: r#"{"dBInstanceIdentifier":"$(resource)","filters":[],"maxRecords":100}"#,
        ..read("rds", "DescribeDBInstances", 14)
    },
    Kind {
        request: r#"{"registryId":"$(account)","repositoryName":"$(resource)","imageIds":[{"imageTag":"latest"}],
            "acceptedMediaTypes":["application/vnd.docker.distribution.manifest.v2+json",
            "application/vnd.oci.image.manifest.v1+json"]}"#,
        resources: r#"{"accountId":"$(account)","ARN":"arn:aws:ecr:$(region):$(account):repository/$(resource)"}"#,
        ..read("ecr", "BatchGetImage", 8)
    },
    read("ecr", "GetAuthorizationToken", 8),
    Kind {
        request: r#"{"topicArn":"arn:aws:sns:$(region):$(account):$(resource)",
            "message":"HIDDEN_DUE_TO_SECURITY_REASONS","subject":"HIDDEN_DUE_TO_SECURITY_REASONS",
            "messageStructure":"json","messageAttributes":"HIDDEN_DUE_TO_SECURITY_REASONS"}"#,
        response: r#"{"messageId":"$(uuid)"}"#,
        resources: r#"{"accountId":"$(account)","type":"AWS::SNS::Topic","ARN":"arn:aws:sns:$(region):$(account):$(resource)"}"#,
        data: true,
        ..write("sns", "Publish", 10)
    },
    Kind {
        request: r#"{"queueUrl":"https://sqs.$(region).amazonaws.com/$(account)/$(resource)",
            "attributeNames":["All"]}"#,
        ..read("sqs", "GetQueueAttributes", 10)
    },
];
