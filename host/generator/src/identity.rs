//! Identities of callers: the twelve types of `userIdentity`, with and without an access key.

/// One form of `userIdentity`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Identity {
    /// Relative frequency among records whose identity has an access key.
    pub(crate) weight_with_key: u32,
    /// Relative frequency among the other records.
    pub(crate) weight_without_key: u32,
    /// Whether the caller is an AWS service; `sourceIPAddress` and `userAgent` are then the name of
    /// that service.
    pub(crate) service: bool,
    /// The member `userIdentity` with a comma after it, or nothing.
    pub(crate) template: &'static str,
}

const fn person(with_key: u32, without_key: u32, template: &'static str) -> Identity {
    Identity { weight_with_key: with_key, weight_without_key: without_key, service: false, template }
}

const fn service(weight: u32, template: &'static str) -> Identity {
    Identity { service: true, ..person(0, weight, template) }
}

pub(crate) const IDENTITIES: &[Identity] = &[
    person(
        520,
        120,
        r#""userIdentity":{"type":"AssumedRole","principalId":"$(role-id):$(session)",
        "arn":"arn:aws:sts::$(account):assumed-role/$(role)/$(session)","accountId":"$(account)",$(session-key)
        "sessionContext":{"sessionIssuer":{"type":"Role","principalId":"$(role-id)",
        "arn":"arn:aws:iam::$(account):role/$(role)","accountId":"$(account)","userName":"$(role)"},
        "webIdFederationData":{},"attributes":{"creationDate":"$(created)","mfaAuthenticated":$(mfa)}}},"#,
    ),
    person(
        120,
        40,
        r#""userIdentity":{"type":"AssumedRole","principalId":"$(role-id):i-$(entity)",
        "arn":"arn:aws:sts::$(account):assumed-role/$(role)/i-$(entity)","accountId":"$(account)",$(session-key)
        "sessionContext":{"sessionIssuer":{"type":"Role","principalId":"$(role-id)",
        "arn":"arn:aws:iam::$(account):role/$(role)","accountId":"$(account)","userName":"$(role)"},
        "attributes":{"creationDate":"$(created)","mfaAuthenticated":$(mfa)},"ec2RoleDelivery":"2.0"},
        "inScopeOf":{"issuerType":"AWS::EC2::Instance",
        "credentialsIssuedTo":"arn:aws:ec2:$(region):$(account):instance/i-$(entity)"}},"#,
    ),
    person(
        180,
        10,
        r#""userIdentity":{"type":"IAMUser","principalId":"$(user-id)",
        "arn":"arn:aws:iam::$(account):user/$(user)","accountId":"$(account)",$(user-key)"userName":"$(user)"},"#,
    ),
    person(
        60,
        20,
        r#""userIdentity":{"type":"IAMUser","principalId":"$(user-id)",
        "arn":"arn:aws:iam::$(account):user/$(user)","accountId":"$(account)",$(session-key)"userName":"$(user)",
        "sessionContext":{"attributes":{"creationDate":"$(created)","mfaAuthenticated":$(mfa)}}},"#,
    ),
    person(
        25,
        12,
        r#""userIdentity":{"type":"Root","principalId":"$(account)","arn":"arn:aws:iam::$(account):root",
        "accountId":"$(account)",$(session-key)"sessionContext":{"sessionIssuer":{},"webIdFederationData":{},
        "attributes":{"creationDate":"$(created)","mfaAuthenticated":$(mfa)}}},"#,
    ),
    person(
        35,
        4,
        r#""userIdentity":{"type":"FederatedUser","principalId":"$(account):$(user)",
        "arn":"arn:aws:sts::$(account):federated-user/$(user)","accountId":"$(account)",$(session-key)
        "sessionContext":{"sessionIssuer":{"type":"IAMUser","principalId":"$(user-id)",
        "arn":"arn:aws:iam::$(account):user/$(user)","accountId":"$(account)","userName":"$(user)"},
        "attributes":{"creationDate":"$(created)","mfaAuthenticated":$(mfa)}}},"#,
    ),
    person(
        20,
        8,
        r#""userIdentity":{"type":"Role","principalId":"$(role-id):$(session)",
        "arn":"arn:aws:sts::$(account):assumed-role/$(role)/$(session)","accountId":"$(account)",$(session-key)
        "userName":"$(role)"},"#,
    ),
    person(
        10,
        6,
        r#""userIdentity":{"type":"Directory","principalId":"$(account):d-$(hex)","accountId":"$(account)",
        $(session-key)"userName":"CORP\\$(user)"},"#,
    ),
    person(
        25,
        20,
        r#""userIdentity":{"type":"IdentityCenterUser","accountId":"$(account)",$(session-key)"onBehalfOf":{
        "userId":"$(uuid)","identityStoreArn":"arn:aws:identitystore::$(account):identitystore/d-$(hex)"},
        "credentialId":"$(uuid)"},"#,
    ),
    person(
        5,
        12,
        r#""userIdentity":{"type":"Unknown","principalId":"","accountId":"$(other-account)",$(session-key)
        "userName":"HIDDEN_DUE_TO_SECURITY_REASONS"},"#,
    ),
    person(
        0,
        90,
        r#""userIdentity":{"type":"AWSAccount","principalId":"$(role-id):$(session)",
        "accountId":"$(other-account)"},"#,
    ),
    person(
        0,
        25,
        r#""userIdentity":{"type":"SAMLUser","principalId":"$(id-2):$(user)@example.com",
        "userName":"$(user)@example.com","identityProvider":"$(id-2)"},"#,
    ),
    person(
        0,
        45,
        r#""userIdentity":{"type":"WebIdentityUser",
        "principalId":"arn:aws:iam::$(account):oidc-provider/oidc.eks.$(region).amazonaws.com/id/$(hex):sts.amazonaws.com:system:serviceaccount:payments:$(resource)",
        "userName":"system:serviceaccount:payments:$(resource)",
        "identityProvider":"arn:aws:iam::$(account):oidc-provider/oidc.eks.$(region).amazonaws.com/id/$(hex)"},"#,
    ),
    person(0, 8, ""),
    service(300, r#""userIdentity":{"type":"AWSService","invokedBy":"$(service)"},"#),
    service(
        120,
        r#""userIdentity":{"type":"AssumedRole","principalId":"$(role-id):$(session)",
        "arn":"arn:aws:sts::$(account):assumed-role/$(role)/$(session)","accountId":"$(account)",$(session-key)
        "sessionContext":{"sessionIssuer":{"type":"Role","principalId":"$(role-id)",
        "arn":"arn:aws:iam::$(account):role/$(role)","accountId":"$(account)","userName":"$(role)"},
        "attributes":{"creationDate":"$(created)","mfaAuthenticated":$(mfa)}},"invokedBy":"$(service)"},"#,
    ),
];
