"""Makes the bucket that MLFLOW_ARTIFACTS_DESTINATION names, once its store answers."""

import os
import time
from urllib.parse import urlparse

import boto3
from botocore.exceptions import EndpointConnectionError

bucket = urlparse(os.environ["MLFLOW_ARTIFACTS_DESTINATION"]).netloc
store = boto3.client("s3", endpoint_url=os.environ["MLFLOW_S3_ENDPOINT_URL"])
for _ in range(100):
    try:
        store.create_bucket(Bucket=bucket)
        break
    except (store.exceptions.BucketAlreadyOwnedByYou, store.exceptions.BucketAlreadyExists):
        break
    except EndpointConnectionError as silence:
        print(silence, flush=True)
        time.sleep(3)
else:
    raise SystemExit("the store does not answer")
