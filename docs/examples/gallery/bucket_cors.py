"""Let a page send files to a bucket: without this, a browser does not show the page the answer.

Done once for a bucket, by who owns it: ``python bucket_cors.py https://gallery.example``, with the
variables of the S3 disk (AWS_BUCKET, AWS_URL, …).
"""

from __future__ import annotations

import os
import sys

from botocore.config import Config
from botocore.session import Session


def allow_uploads_from(origins: list[str]) -> None:
    """Set the bucket's CORS rules, in place of those that it has.

    Args:
        origins: The addresses of sites, such as ``https://gallery.example``.
    """
    client = Session().create_client(
        "s3",
        region_name=os.environ.get("AWS_DEFAULT_REGION", "us-east-1"),
        endpoint_url=os.environ.get("AWS_ENDPOINT_URL_S3")
        or os.environ.get("AWS_ENDPOINT_URL")
        or os.environ.get("AWS_URL"),
        config=Config(s3={"addressing_style": "path"}),
    )
    rule = {
        "AllowedOrigins": origins,
        "AllowedMethods": ["GET", "HEAD", "POST"],
        "AllowedHeaders": ["*"],
        "MaxAgeSeconds": 600,
    }
    try:
        client.put_bucket_cors(
            Bucket=os.environ["AWS_BUCKET"], CORSConfiguration={"CORSRules": [rule]}
        )
    finally:
        client.close()


if __name__ == "__main__":
    allow_uploads_from(sys.argv[1:])
