"""Set the CORS rules of a bucket, so that a page may upload to it and read the response.

Run it once for each bucket, as its owner, with the variables of the S3 disk (AWS_BUCKET, AWS_URL,
…): ``python bucket_cors.py https://gallery.example``.
"""

from __future__ import annotations

import os
import sys

from botocore.config import Config
from botocore.session import Session


def rule_for(origins: list[str]) -> dict[str, object]:
    """Return the rule that lets pages read files, and upload by presigned forms and URLs.

    Args:
        origins: The origins of the sites, such as ``https://gallery.example``.
    """
    return {
        "AllowedOrigins": origins,
        "AllowedMethods": ["GET", "HEAD", "PUT", "POST"],
        "AllowedHeaders": ["*"],
        "ExposeHeaders": ["ETag"],
        "MaxAgeSeconds": 600,
    }


def allow_uploads_from(origins: list[str]) -> None:
    """Replace the bucket's CORS rules.

    Args:
        origins: The origins of the sites, such as ``https://gallery.example``.
    """
    client = Session().create_client(
        "s3",
        region_name=os.environ.get("AWS_REGION")
        or os.environ.get("AWS_DEFAULT_REGION", "us-east-1"),
        endpoint_url=os.environ.get("AWS_ENDPOINT_URL_S3")
        or os.environ.get("AWS_ENDPOINT_URL")
        or os.environ.get("AWS_URL"),
        config=Config(s3={"addressing_style": "path"}),
    )
    try:
        client.put_bucket_cors(
            Bucket=os.environ["AWS_BUCKET"], CORSConfiguration={"CORSRules": [rule_for(origins)]}
        )
    finally:
        client.close()


if __name__ == "__main__":
    allow_uploads_from(sys.argv[1:])
