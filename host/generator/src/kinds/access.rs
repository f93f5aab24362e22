//! Kinds about identity, keys, secrets, sign-in and governance: iam, sts, kms, secretsmanager,
//! signin, cloudtrail, organizations.

use super::kind::{Kind, read, write};

const ROLE: &str = r#"{"accountId":"$(account)","type":"AWS::IAM::Role","ARN":"arn:aws:iam::$(account):role/$(role)"}"#;
const KMS_KEY: &str =
    r#"{"accountId":"$(account)","type":"AWS::KMS::Key","ARN":"arn:aws:kms:$(region):$(account):key/$(kms-key)"}"#;
const CREDENTIALS: &str = r#"{"credentials":{"accessKeyId":"$(access-key-id)","sessionToken":"$(session-token)","expiration":"$(expiration)"}}"#;

pub(crate) const KINDS: &[Kind] = &[
    Kind {
        request: r#"{"roleArn":"arn:aws:iam::$(account):role/$(role)","roleSessionName":"$(session)",
            "externalId":"$(uuid)","durationSeconds":3600}"#,
        response: r#"{"credentials":{"accessKeyId":"$(access-key-id)","sessionToken":"$(session-token)",
            "expiration":"$(expiration)"},"assumedRoleUser":{"assumedRoleId":"$(assumed-role-id)",
            "arn":"arn:aws:sts::$(account):assumed-role/$(role)/$(session)"}}"#,
        resources: ROLE,
        ..read("sts", "AssumeRole", 120)
    },
    Kind {
        request: r#"{"roleArn":"arn:aws:iam::$(account):role/$(role)","roleSessionName":"$(session)"}"#,
        response: r#"{"credentials":{"accessKeyId":"$(access-key-id)","sessionToken":"$(session-token)",
            "expiration":"$(expiration)"},
            "subjectFromWebIdentityToken":"system:serviceaccount:payments:$(resource)",
            "assumedRoleUser":{"assumedRoleId":"$(assumed-role-id)",
            "arn":"arn:aws:sts::$(account):assumed-role/$(role)/$(session)"},
            "provider":"arn:aws:iam::$(account):oidc-provider/oidc.eks.$(region).amazonaws.com/id/$(hex)",
            "audience":"sts.amazonaws.com"}"#,
        resources: ROLE,
        ..read("sts", "AssumeRoleWithWebIdentity", 16)
    },
    Kind {
        request: r#"{"sAMLAssertionID":"_$(uuid)","roleSessionName":"$(session)","durationSeconds":3600,
            "roleArn":"arn:aws:iam::$(account):role/$(role)",
            "principalArn":"arn:aws:iam::$(account):saml-provider/corporate"}"#,
        response: r#"{"subjectType":"persistent","issuer":"https://login.example.com/saml/$(hex)",
            "credentials":{"sessionToken":"$(session-token)","accessKeyId":"$(access-key-id)",
            "expiration":"$(expiration)"},"nameQualifier":"$(id-2)","assumedRoleUser":{
            "assumedRoleId":"$(assumed-role-id)","arn":"arn:aws:sts::$(account):assumed-role/$(role)/$(session)"},
            "subject":"$(user)","audience":"https://signin.aws.amazon.com/saml"}"#,
        resources: ROLE,
        ..read("sts", "AssumeRoleWithSAML", 8)
    },
    Kind {
        request: r#"{"durationSeconds":3600,"serialNumber":"arn:aws:iam::$(account):mfa/$(user)"}"#,
        response: CREDENTIALS,
        ..read("sts", "GetSessionToken", 10)
    },
    Kind {
        request: r#"{"name":"$(user)","durationSeconds":43200,
            "policy":"{\"Version\":\"2012-10-17\",\"Statement\":[$(statements)]}"}"#,
        response: r#"{"credentials":{"accessKeyId":"$(access-key-id)","sessionToken":"$(session-token)",
            "expiration":"$(expiration)"},"federatedUser":{"federatedUserId":"$(account):$(user)",
            "arn":"arn:aws:sts::$(account):federated-user/$(user)"},"packedPolicySize":$(small)}"#,
        ..read("sts", "GetFederationToken", 4)
    },
    read("sts", "GetCallerIdentity", 24),
    Kind {
        request: r#"{"userName":"$(user)"}"#,
        response: r#"{"accessKey":{"userName":"$(user)","accessKeyId":"$(user-access-key-id)","status":"Active",
            "createDate":"$(expiration)"}}"#,
        ..write("iam", "CreateAccessKey", 6)
    },
    Kind {
        request: r#"{"userName":"$(user)","accessKeyId":"$(user-access-key-id)","status":"Inactive"}"#,
        ..write("iam", "UpdateAccessKey", 3)
    },
    Kind {
        request: r#"{"userName":"$(user)","accessKeyId":"$(user-access-key-id)"}"#,
        ..write("iam", "DeleteAccessKey", 3)
    },
    Kind { request: r#"{"accessKeyId":"$(user-access-key-id)"}"#, ..read("iam", "GetAccessKeyLastUsed", 4) },
    Kind { request: r#"{"roleName":"$(role)"}"#, ..read("iam", "GetRole", 14) },
    Kind { request: r#"{"maxItems":1000,"pathPrefix":"/service-role/"}"#, ..read("iam", "ListRoles", 6) },
    Kind { request: r#"{"roleName":"$(role)","maxItems":100}"#, ..read("iam", "ListAttachedRolePolicies", 8) },
    Kind {
        request: r#"{"filter":["User","Role","Group","LocalManagedPolicy"],"maxItems":1000}"#,
        ..read("iam", "GetAccountAuthorizationDetails", 3)
    },
    Kind {
        request: r#"{"userName":"$(user)","tags":[$(tags)]}"#,
        response: r#"{"user":{"path":"/","userName":"$(user)","userId":"$(user-id)",
            "arn":"arn:aws:iam::$(account):user/$(user)","createDate":"$(expiration)","tags":[$(tags)]}}"#,
        ..write("iam", "CreateUser", 3)
    },
    Kind {
        request: r#"{"userName":"$(user)","passwordResetRequired":true,"password":"****"}"#,
        response: r#"{"loginProfile":{"userName":"$(user)","createDate":"$(expiration)",
            "passwordResetRequired":true}}"#,
        ..write("iam", "CreateLoginProfile", 2)
    },
    Kind {
        request: r#"{"roleName":"$(role)","policyName":"inline-$(hex)",
            "policyDocument":"{\"Version\":\"2012-10-17\",\"Statement\":[$(statements)]}"}"#,
        ..write("iam", "PutRolePolicy", 6)
    },
    Kind {
        request: r#"{"policyName":"$(resource)-policy","description":"Zugriff für \"$(resource)\"",
            "policyDocument":"{\"Version\":\"2012-10-17\",\"Statement\":[$(statements)]}","tags":[$(tags)]}"#,
        response: r#"{"policy":{"policyName":"$(resource)-policy","policyId":"ANPA$(request-id)","path":"/",
            "arn":"arn:aws:iam::$(account):policy/$(resource)-policy","defaultVersionId":"v1",
            "attachmentCount":0,"permissionsBoundaryUsageCount":0,"isAttachable":true,
            "createDate":"$(expiration)","updateDate":"$(expiration)","tags":[$(tags)]}}"#,
        ..write("iam", "CreatePolicy", 4)
    },
    Kind {
        request: r#"{"roleName":"$(role)","policyArn":"arn:aws:iam::aws:policy/AdministratorAccess"}"#,
        ..write("iam", "AttachRolePolicy", 4)
    },
    Kind {
        request: r#"{"encryptionAlgorithm":"SYMMETRIC_DEFAULT","encryptionContext":{
            "aws:s3:arn":"arn:aws:s3:::$(bucket)/$(object)"}}"#,
        resources: KMS_KEY,
        ..read("kms", "Decrypt", 92)
    },
    Kind {
        request: r#"{"keySpec":"AES_256","encryptionContext":{
            "aws:cloudtrail:arn":"arn:aws:cloudtrail:$(region):$(account):trail/$(resource)",
            "aws:s3:arn":"arn:aws:s3:::$(bucket)/AWSLogs/$(account)/$(object)"},
            "keyId":"arn:aws:kms:$(region):$(account):key/$(kms-key)"}"#,
        resources: KMS_KEY,
        ..read("kms", "GenerateDataKey", 44)
    },
    Kind {
        request: r#"{"keyId":"arn:aws:kms:$(region):$(account):key/$(kms-key)","operations":["Decrypt",
            "CreateGrant","DescribeKey"],"granteePrincipal":"arn:aws:iam::$(account):role/$(role)",
            "constraints":{"encryptionContextSubset":{"aws:ebs:id":"vol-$(entity)"}}}"#,
        response: r#"{"grantId":"$(hex)$(hex)$(hex)","keyId":"arn:aws:kms:$(region):$(account):key/$(kms-key)"}"#,
        resources: KMS_KEY,
        ..write("kms", "CreateGrant", 6)
    },
    Kind {
        request: r#"{"secretId":"arn:aws:secretsmanager:$(region):$(account):secret:$(resource)"}"#,
        ..read("secretsmanager", "GetSecretValue", 18)
    },
    Kind {
        request: r#"{"secretIdList":["$(resource)","prod/db/$(hex)"],"filters":[{"key":"tag-key",
            "values":["team"]}]}"#,
        ..read("secretsmanager", "BatchGetSecretValue", 4)
    },
    Kind { request: r#"{"secretId":"$(resource)"}"#, ..read("secretsmanager", "DescribeSecret", 6) },
    Kind {
        response: r#"{"ConsoleLogin":"Success"}"#,
        event_type: "AwsConsoleSignIn",
        after: r#""additionalEventData":{"LoginTo":"https://console.aws.amazon.com/console/home?region=$(region)&state=hashArgs%23&isauthcode=true",
            "MobileVersion":"No","MFAIdentifier":"arn:aws:iam::$(account):mfa/$(user)","MFAUsed":"Yes"},"#,
        ..write("signin", "ConsoleLogin", 7)
    },
    Kind {
        response: r#"{"ConsoleLogin":"Failure"}"#,
        event_type: "AwsConsoleSignIn",
        before: r#""errorMessage":"No username found in supplied account","#,
        after: r#""additionalEventData":{"LoginTo":"https://console.aws.amazon.com/console/home",
            "MobileVersion":"No","MFAUsed":"No","userName":"HIDDEN_DUE_TO_SECURITY_REASONS"},"#,
        ..write("signin", "ConsoleLogin", 2)
    },
    Kind { request: r#"{"trailNameList":[],"includeShadowTrails":true}"#, ..read("cloudtrail", "DescribeTrails", 6) },
    Kind {
        request: r#"{"name":"arn:aws:cloudtrail:$(region):$(account):trail/$(resource)"}"#,
        ..read("cloudtrail", "GetTrailStatus", 5)
    },
    Kind {
        request: r#"{"name":"arn:aws:cloudtrail:$(region):$(account):trail/$(resource)"}"#,
        ..write("cloudtrail", "StopLogging", 1)
    },
    Kind {
        request: r#"{"lookupAttributes":[{"attributeKey":"EventName","attributeValue":"ConsoleLogin"}],
            "maxResults":50,"startTime":"$(created)","endTime":"$(time)"}"#,
        ..read("cloudtrail", "LookupEvents", 4)
    },
    read("organizations", "DescribeOrganization", 4),
    Kind {
        request: r#"{"parentId":"ou-$(hex)","maxResults":20}"#,
        ..read("organizations", "ListAccountsForParent", 3)
    },
];
