//! Kinds about compute and operations: ec2, lambda, ssm, logs, monitoring, states, eks, load
//! balancing, config.

use super::kind::{Kind, read, write};

const FUNCTION: &str = r#"{"accountId":"$(account)","type":"AWS::Lambda::Function","ARN":"arn:aws:lambda:$(region):$(account):function:$(resource)"}"#;

pub(crate) const KINDS: &[Kind] = &[
    Kind {
        request: r#"{"maxResults":1000,"instancesSet":{"items":[$(instances)]},"filterSet":{"items":[
            {"name":"instance-state-name","valueSet":{"items":[{"value":"running"},{"value":"pending"}]}}]}}"#,
        ..read("ec2", "DescribeInstances", 46)
    },
    Kind {
        request: r#"{"securityGroupSet":{},"securityGroupIdSet":{"items":[{"groupId":"sg-$(hex)"},
            {"groupId":"sg-$(hex)"}]},"filterSet":{}}"#,
        ..read("ec2", "DescribeSecurityGroups", 22)
    },
    Kind {
        request: r#"{"volumeSet":{},"filterSet":{"items":[{"name":"attachment.instance-id",
            "valueSet":{"items":[{"value":"i-$(entity)"}]}}]}}"#,
        ..read("ec2", "DescribeVolumes", 18)
    },
    Kind {
        request: r#"{"networkInterfaceIdSet":{},"filterSet":{"items":[{"name":"vpc-id","valueSet":{
            "items":[{"value":"vpc-$(entity)"}]}},{"name":"tag:Name","valueSet":{"items":[
            {"value":"*$(resource)*"}]}}]}}"#,
        ..read("ec2", "DescribeNetworkInterfaces", 20)
    },
    Kind {
        request: r#"{"executableBySet":{},"imagesSet":{"items":[{"imageId":"ami-$(hex)"}]},"ownersSet":{
            "items":[{"owner":"$(account)"},{"owner":"amazon"}]},"filterSet":{},"includeDeprecated":false}"#,
        ..read("ec2", "DescribeImages", 10)
    },
    Kind {
        request: r#"{"instanceId":"i-$(entity)","attribute":"userData"}"#,
        ..read("ec2", "DescribeInstanceAttribute", 6)
    },
    Kind { request: r#"{"instanceId":"i-$(entity)"}"#, ..read("ec2", "GetPasswordData", 2) },
    Kind {
        request: r#"{"instancesSet":{"items":[{"imageId":"ami-$(hex)","minCount":1,"maxCount":$(small),
            "keyName":"$(resource)"}]},"userData":"<sensitiveDataRemoved>","instanceType":"$(machine)",
            "blockDeviceMapping":{"items":[{"deviceName":"/dev/xvda","ebs":{"volumeSize":$(small),
            "deleteOnTermination":true,"volumeType":"gp3","encrypted":true}}]},"monitoring":{"enabled":false},
            "disableApiTermination":false,"clientToken":"$(uuid)","subnetId":"subnet-$(entity)",
            "tagSpecificationSet":{"items":[{"resourceType":"instance","tags":[$(tags)]}]}}"#,
        response: r#"{"requestId":"$(uuid)","reservationId":"r-$(hex)","ownerId":"$(account)","groupSet":{},
            "instancesSet":{"items":[{"instanceId":"i-$(entity)","imageId":"ami-$(hex)","currentState":{
            "code":0,"name":"pending"},"privateDnsName":"ip-$(private-ip).ec2.internal",
            "keyName":"$(resource)","amiLaunchIndex":0,"productCodes":{},"instanceType":"$(machine)",
            "launchTime":$(number),"placement":{"availabilityZone":"$(region)a","tenancy":"default"},
            "monitoring":{"state":"disabled"},"subnetId":"subnet-$(entity)","vpcId":"vpc-$(hex)",
            "privateIpAddress":"$(private-ip)","stateReason":{"code":"pending","message":"pending"},
            "architecture":"x86_64","rootDeviceType":"ebs","rootDeviceName":"/dev/xvda",
            "blockDeviceMapping":{},"virtualizationType":"hvm","hypervisor":"xen","tagSet":{
            "items":[$(tags)]},"clientToken":"$(uuid)","groupSet":{"items":[{"groupId":"sg-$(hex)",
            "groupName":"$(resource)"}]},"sourceDestCheck":true,"ebsOptimized":false,
            "cpuOptions":{"coreCount":$(small),"threadsPerCore":2},"metadataOptions":{"state":"pending",
            "httpTokens":"required","httpPutResponseHopLimit":2,"httpEndpoint":"enabled"}}]}}"#,
        ..write("ec2", "RunInstances", 9)
    },
    Kind {
        request: r#"{"instancesSet":{"items":[$(instances)]}}"#,
        response: r#"{"requestId":"$(uuid)","instancesSet":{"items":[{"instanceId":"i-$(entity)",
            "currentState":{"code":32,"name":"shutting-down"},"previousState":{"code":16,"name":"running"}}]}}"#,
        ..write("ec2", "TerminateInstances", 5)
    },
    Kind {
        request: r#"{"groupId":"sg-$(entity)","ipPermissions":{"items":[{"ipProtocol":"tcp","fromPort":22,
            "toPort":22,"groups":{},"ipRanges":{"items":[{"cidrIp":"$(ip)/32","description":"naïve \u2192 \"temp\""}]},
            "ipv6Ranges":{},"prefixListIds":{}}]}}"#,
        response: r#"{"requestId":"$(uuid)","_return":true,"securityGroupRuleSet":{"items":[{
            "groupOwnerId":"$(account)","groupId":"sg-$(entity)","securityGroupRuleId":"sgr-$(hex)",
            "isEgress":false,"ipProtocol":"tcp","fromPort":22,"toPort":22,"cidrIpv4":"$(ip)/32"}]}}"#,
        ..write("ec2", "AuthorizeSecurityGroupIngress", 4)
    },
    Kind {
        request: r#"{"resourcesSet":{"items":[{"resourceId":"i-$(entity)"}]},"tagSet":{"items":[$(tags)]}}"#,
        response: r#"{"requestId":"$(uuid)","_return":true}"#,
        ..write("ec2", "CreateTags", 10)
    },
    Kind {
        request: r#"{"functionName":"arn:aws:lambda:$(region):$(account):function:$(resource)",
            "invocationType":"RequestResponse","clientContext":null}"#,
        after: r#""additionalEventData":{"customerEniId":"eni-$(hex)","functionVersion":"arn:aws:lambda:$(region):$(account):function:$(resource):$LATEST"},"#,
        resources: FUNCTION,
        data: true,
        ..write("lambda", "Invoke", 30)
    },
    Kind { request: r#"{"functionName":"$(resource)"}"#, ..read("lambda", "GetFunction20150331v2", 12) },
    Kind { request: r#"{"maxItems":50,"functionVersion":"ALL"}"#, ..read("lambda", "ListFunctions20150331", 6) },
    Kind {
        request: r#"{"functionName":"$(resource)","s3Bucket":"$(bucket)","s3Key":"$(object)","publish":true,
            "dryRun":false}"#,
        response: r#"{"functionName":"$(resource)","functionArn":"arn:aws:lambda:$(region):$(account):function:$(resource)",
            "runtime":"python3.12","role":"arn:aws:iam::$(account):role/$(role)","handler":"app.handler",
            "codeSize":$(number),"description":"","timeout":$(small),"memorySize":512,
            "lastModified":"$(time)","codeSha256":"$(id-2)","version":"$(small)",
            "environment":{},"tracingConfig":{"mode":"PassThrough"},"revisionId":"$(uuid)","layers":[]}"#,
        ..write("lambda", "UpdateFunctionCode20150331v2", 4)
    },
    Kind {
        request: r#"{"name":"/$(resource)/database/password","withDecryption":true}"#,
        resources: r#"{"accountId":"$(account)","ARN":"arn:aws:ssm:$(region):$(account):parameter/$(resource)/database/password"}"#,
        ..read("ssm", "GetParameter", 12)
    },
    Kind {
        request: r#"{"names":["/$(resource)/url","/$(resource)/token"],"withDecryption":true}"#,
        ..read("ssm", "GetParameters", 8)
    },
    Kind {
        request: r#"{"maxResults":50,"filters":[{"key":"PingStatus","values":["Online"]}]}"#,
        ..read("ssm", "DescribeInstanceInformation", 8)
    },
    Kind {
        request: r#"{"instanceId":"i-$(entity)","agentVersion":"3.3.1611.0","agentStatus":"Active",
            "platformType":"Linux","platformName":"Amazon Linux","platformVersion":"2023",
            "iPAddress":"$(private-ip)","computerName":"ip-$(private-ip).$(region).compute.internal",
            "agentName":"amazon-ssm-agent","availabilityZone":"$(region)b","sSMConnectionChannel":"ssmmessages"}"#,
        ..write("ssm", "UpdateInstanceInformation", 32)
    },
    Kind {
        request: r#"{"documentName":"AWS-RunShellScript","instanceIds":["i-$(entity)"],
            "parameters":"HIDDEN_DUE_TO_SECURITY_REASONS","timeoutSeconds":600,"interactive":false}"#,
        response: r#"{"command":{"commandId":"$(uuid)","documentName":"AWS-RunShellScript",
            "documentVersion":"$DEFAULT","comment":"","expiresAfter":"$(expiration)",
            "parameters":"HIDDEN_DUE_TO_SECURITY_REASONS","instanceIds":["i-$(entity)"],"targets":[],
            "requestedDateTime":"$(expiration)","status":"Pending","statusDetails":"Pending",
            "maxConcurrency":"50","maxErrors":"0","targetCount":1,"completedCount":0,"errorCount":0}}"#,
        ..write("ssm", "SendCommand", 5)
    },
    Kind {
        request: r#"{"target":"i-$(entity)","documentName":"SSM-SessionManagerRunShell"}"#,
        response: r#"{"sessionId":"$(user)-$(hex)","tokenValue":"Value hidden due to security reasons.",
            "streamUrl":"wss://ssmmessages.$(region).amazonaws.com/v1/data-channel/$(user)-$(hex)?role=publish_subscribe"}"#,
        ..write("ssm", "StartSession", 4)
    },
    Kind {
        request: r#"{"logGroupNamePrefix":"/aws/lambda/$(resource)","limit":50}"#,
        ..read("logs", "DescribeLogGroups", 12)
    },
    Kind {
        request: r#"{"logGroupName":"/aws/lambda/$(resource)","descending":true,"orderBy":"LastEventTime"}"#,
        ..read("logs", "DescribeLogStreams", 14)
    },
    Kind {
        request: r#"{"logGroupName":"/aws/lambda/$(resource)","logStreamName":"2025/01/01/[$LATEST]$(hex)"}"#,
        ..write("logs", "CreateLogStream", 32)
    },
    Kind {
        request: r#"{"alarmNames":["$(resource)-errors","$(resource)-latency"],"maxRecords":100}"#,
        ..read("monitoring", "DescribeAlarms", 8)
    },
    Kind {
        request: r#"{"stateMachineArn":"arn:aws:states:$(region):$(account):stateMachine:$(resource)",
            "name":"$(uuid)","input":"$(payload)"}"#,
        response: r#"{"startDate":"$(expiration)","executionArn":"arn:aws:states:$(region):$(account):execution:$(resource):$(uuid)"}"#,
        ..write("states", "StartExecution", 14)
    },
    Kind { request: r#"{"name":"$(resource)"}"#, ..read("eks", "DescribeCluster", 8) },
    Kind {
        request: r#"{"targetGroupArn":"arn:aws:elasticloadbalancing:$(region):$(account):targetgroup/$(resource)/$(hex)"}"#,
        ..read("elasticloadbalancing", "DescribeTargetHealth", 18)
    },
    Kind { request: r#"{"stackName":"$(resource)"}"#, ..read("cloudformation", "DescribeStacks", 9) },
    Kind {
        request: r#"{"evaluations":[{"complianceResourceType":"AWS::EC2::Instance",
            "complianceResourceId":"i-$(entity)","complianceType":"NON_COMPLIANT","annotation":null,
            "orderingTimestamp":"$(time)"}],"resultToken":"HIDDEN_DUE_TO_SECURITY_REASONS","testMode":false}"#,
        response: r#"{"failedEvaluations":[]}"#,
        ..write("config", "PutEvaluations", 12)
    },
];
