"""An S3 server: moto's, which speaks the real protocol."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import boto3
from moto.server import ThreadedMotoServer

BUCKET = "ptxsweep"


@contextmanager
def s3_server() -> Iterator[dict[str, str]]:
    """A server that holds one empty bucket; gives the environment of its clients."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # it names every request
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    address, key, secret = f"http://{host}:{port}", "key", "a-secret-key"
    boto3.client(
        "s3",
        endpoint_url=address,
        region_name="us-east-1",
        aws_access_key_id=key,
        aws_secret_access_key=secret,
    ).create_bucket(Bucket=BUCKET)
    yield {
        "AWS_ENDPOINT_URL": address,
        "AWS_ACCESS_KEY_ID": key,
        "AWS_SECRET_ACCESS_KEY": secret,
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    server.stop()
