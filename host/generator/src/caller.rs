//! Callers: values of `userAgent`, and AWS services that call by themselves.

/// AWS services that call, either for a user or for themselves.
pub(crate) const SERVICES: [&str; 8] = [
    "cloudtrail.amazonaws.com",
    "config.amazonaws.com",
    "autoscaling.amazonaws.com",
    "ec2.amazonaws.com",
    "lambda.amazonaws.com",
    "ecs-tasks.amazonaws.com",
    "delivery.logs.amazonaws.com",
    "access-analyzer.amazonaws.com",
];

/// Values of `userAgent`, as JSON string text: some contain escaped quotes, Unicode escapes, or raw
/// Unicode.
pub(crate) const AGENTS: [&str; 20] = [
    "aws-cli/2.15.30 md/awscrt#0.19.19 ua/2.0 os/linux#5.10.210-201.852.amzn2.x86_64 md/arch#x86_64 lang/python#3.11.8 md/pyimpl#CPython cfg/retry-mode#standard md/installer#exe md/distrib#amzn.2 md/prompt#off md/command#s3.cp",
    "Boto3/1.34.69 md/Botocore#1.34.69 ua/2.0 os/linux#6.1.79-99.167.amzn2023.x86_64 md/arch#x86_64 lang/python#3.12.2 md/pyimpl#CPython exec-env/AWS_Lambda_python3.12 cfg/retry-mode#legacy Botocore/1.34.69",
    "aws-sdk-go/1.51.6 (go1.22.1; linux; amd64) amazon-ssm-agent/3.3.1611.0",
    "aws-sdk-go-v2/1.26.0 os/linux lang/go#1.22.1 md/GOOS#linux md/GOARCH#arm64 exec-env/AWS_ECS_FARGATE api/sts#1.28.4 ft/retry-mode#standard m/E,g",
    "aws-sdk-java/2.25.16 Linux/5.10.210-201.852.amzn2.x86_64 OpenJDK_64-Bit_Server_VM/21.0.2+13-LTS Java/21.0.2 vendor/Amazon.com_Inc. kotlin/1.9.22 io/async http/NettyNio cfg/retry-mode/legacy exec-env/AWS_ECS_EC2",
    "APN/1.0 HashiCorp/1.0 Terraform/1.7.5 (+https://www.terraform.io) terraform-provider-aws/5.42.0 (+https://registry.terraform.io/providers/hashicorp/aws) aws-sdk-go-v2/1.26.0 os/linux lang/go#1.21.8 md/GOOS#linux md/GOARCH#amd64 api/iam#1.31.3",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/123.0.0.0 Safari/537.36",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.4 Safari/605.1.15",
    "[S3Console/0.4, aws-internal/3 aws-sdk-java/1.12.681 Linux/5.10.210 OpenJDK_64-Bit_Server_VM/25.402-b08 java/1.8.0_402 vendor/Oracle_Corporation cfg/retry-mode/standard]",
    "[aws-sdk-go/1.51.6 (go1.22.1; linux; amd64) S3Manager exec-env/AWS_Lambda_provided.al2023 \\\"batch\\\"]",
    "Spark/3.5.1 hadoop/3.3.6 aws-sdk-java/1.12.681 Linux/6.1.79 OpenJDK_64-Bit_Server_VM/17.0.10+7-LTS java/17.0.10 scala/2.12.18 vendor/Amazon.com_Inc. cfg/retry-mode/legacy com.amazonaws.services.s3.transfer.TransferManager/1.12.681",
    "aws-sdk-js/3.540.0 ua/2.1 os/linux#6.1.79 lang/js md/nodejs#20.11.1 api/dynamodb#3.540.0 exec-env/AWS_Lambda_nodejs20.x",
    "Mozilla/5.0 (Linux) aws-sdk-rust/1.1.8 os/linux lang/rust/1.77.0 exec-env/AWS_ECS_FARGATE app/caf\\u00e9-sync",
    "kube2iam/0.11 \\\"edge \\\\ gateway\\\" (région=Zürich; 日本語; \\ud83d\\ude80) aws-sdk-go/1.44.0",
    "eks-pod-identity-agent/0.1.6 aws-sdk-go-v2/1.26.0 os/linux lang/go#1.22.1 md/GOOS#linux md/GOARCH#amd64 api/eksauth#1.0.3",
    "console.amazonaws.com",
    "signin.amazonaws.com",
    "AWS Internal",
    "aws-internal/3 aws-sdk-java/2.25.16 Linux/5.10.210 OpenJDK_64-Bit_Server_VM/21.0.2 Java/21.0.2",
    "HIDDEN_DUE_TO_SECURITY_REASONS",
];

/// Machine types.
pub(crate) const MACHINES: [&str; 6] =
    ["t3.micro", "t3.large", "m7g.xlarge", "c6i.4xlarge", "r7i.2xlarge", "p5.48xlarge"];

/// Versions of the record format.
pub(crate) const VERSIONS: [&str; 4] = ["1.08", "1.09", "1.10", "1.11"];
