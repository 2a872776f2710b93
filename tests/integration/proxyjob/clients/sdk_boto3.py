"""AWS's own package: who the key is, objects of several names and sizes, and a bucket that is not allowed."""

import json

import boto3
import botocore.exceptions
from botocore.config import Config

REGION = "us-east-1"
config = Config(retries={"max_attempts": 1}, s3={"addressing_style": "path"})
account = boto3.client("sts", region_name=REGION, config=config).get_caller_identity()["Account"]
s3 = boto3.client("s3", region_name=REGION, config=config, endpoint_url=f"https://s3.{REGION}.amazonaws.com")
objects = []
for name, size in (("plain", 10), ("a b+c/d=e&f", 5000), ("\u00fcn\u00efcode/~.-_", 300_000), ("empty", 0)):
    data = bytes(size)
    s3.put_object(Bucket="bucket", Key=name, Body=data)
    objects.append(s3.get_object(Bucket="bucket", Key=name)["Body"].read() == data)
try:
    other = s3.get_object(Bucket="other", Key="plain") and "reached"
except botocore.exceptions.ClientError as error:
    other = error.response["Error"]["Code"]
print(json.dumps({"account": account, "objects": objects, "other": other}))
