//! Errors of calls: pairs of `errorCode` and `errorMessage`, by service.

const NOT_AUTHORISED: (&str, &str) = (
    "AccessDenied",
    "User: arn:aws:sts::$(account):assumed-role/$(role)/$(session) is not authorized to perform: $(action) \
     because no identity-based policy allows the $(action) action",
);
const THROTTLED: (&str, &str) = ("ThrottlingException", "Rate exceeded");

const EC2: &[(&str, &str)] = &[
    (
        "Client.UnauthorizedOperation",
        "You are not authorized to perform this operation. \
         User: arn:aws:sts::$(account):assumed-role/$(role)/$(session) is not authorized to perform: $(action) \
         on resource: arn:aws:ec2:$(region):$(account):instance/i-$(entity) because no identity-based policy allows \
         the $(action) action. Encoded authorization failure message: $(encoded)",
    ),
    ("Client.RequestLimitExceeded", "Request limit exceeded."),
    ("Client.InvalidInstanceID.NotFound", "The instance ID 'i-$(entity)' does not exist"),
    ("Client.DryRunOperation", "Request would have succeeded, but DryRun flag is set."),
    ("Server.InternalError", "An internal error has occurred"),
];

const S3: &[(&str, &str)] = &[
    NOT_AUTHORISED,
    ("AccessDenied", "Access Denied"),
    ("NoSuchKey", "The specified key does not exist."),
    ("NoSuchBucketPolicy", "The bucket policy does not exist"),
    ("NoSuchBucket", "The specified bucket \\\"$(bucket)\\\" does not exist"),
];

const IAM: &[(&str, &str)] = &[
    NOT_AUTHORISED,
    ("NoSuchEntityException", "The role with name $(role) cannot be found."),
    ("EntityAlreadyExistsException", "Role with name $(role) already exists."),
    THROTTLED,
];

const OTHERS: &[(&str, &str)] = &[
    NOT_AUTHORISED,
    (
        "AccessDeniedException",
        "User: arn:aws:iam::$(account):user/$(user) is not authorized to perform: $(action) on resource: * \
         with an explicit deny in a service control policy",
    ),
    THROTTLED,
    ("ResourceNotFoundException", "Requested resource not found: $(resource)"),
    (
        "ValidationException",
        "1 validation error detected: Value '$(resource)' at 'name' failed to satisfy constraint: \
         Member must satisfy regular expression pattern: [a-z]\\\\w+",
    ),
];

/// Returns the errors of calls to `service`, as templates.
pub(crate) fn of_service(service: &str) -> &'static [(&'static str, &'static str)] {
    match service {
        "ec2" => EC2,
        "s3" => S3,
        "iam" => IAM,
        _ => OTHERS,
    }
}
