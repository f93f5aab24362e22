"""Puts a generated trail into a bucket that announces its objects to a queue, or copies a bucket into a folder."""

import json
import pathlib
import sys

import boto3


def client(service):
    return boto3.client(
        service, region_name="us-east-1", endpoint_url=endpoint, aws_access_key_id="demo", aws_secret_access_key="demo"
    )


def put():
    s3, sqs = client("s3"), client("sqs")
    url = sqs.create_queue(QueueName="trail")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    s3.create_bucket(Bucket="trail")
    s3.create_bucket(Bucket="lake")
    to = {"QueueArn": arn, "Events": ["s3:ObjectCreated:*"]}
    s3.put_bucket_notification_configuration(Bucket="trail", NotificationConfiguration={"QueueConfigurations": [to]})
    objects = sorted(folder.rglob("*.json.gz"))
    for path in objects:
        # CloudTrail keeps the signature of a digest in the metadata of its object.
        signature = path.with_name(path.name + ".signature")
        metadata = {"signature": signature.read_text().strip()} if signature.exists() else {}
        s3.put_object(Bucket="trail", Key=str(path.relative_to(folder)), Body=path.read_bytes(), Metadata=metadata)
    print(json.dumps({"queue": url, "objects": len(objects)}))


def get():
    s3 = client("s3")
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket="lake")
    for item in (item for page in pages for item in page.get("Contents", [])):
        path = folder / item["Key"]
        path.parent.mkdir(parents=True, exist_ok=True)
        s3.download_file("lake", item["Key"], str(path))


command, endpoint, folder = sys.argv[1], sys.argv[2], pathlib.Path(sys.argv[3])
{"put": put, "get": get}[command]()
