"""A real S3 server on loopback (moto's), which can be told to fail, to answer slowly and to cut answers off."""

import os
import socket
import struct
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock, Thread
from typing import Any

import boto3
from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import ThreadedWSGIServer

BUCKET = "photos"
KEY_ID, SECRET, TOKEN = "AKIDHUSHHUSHHUSH0001", "hush+secret/key0123456789abcdefghijklmnop", "hush-session-token-0001"
SECRETS = (KEY_ID, SECRET, TOKEN)
Trouble = Callable[[str, int], str]  # a path and how often it was asked for -> what happens


@dataclass
class ObjectStore:
    """The server, and what it was asked for."""

    endpoint: str
    trouble: Trouble = lambda _path, _n: ""
    asked: Counter[str] = field(default_factory=Counter)  # "METHOD path" -> times
    troubled: Counter[str] = field(default_factory=Counter)  # what happened -> times
    lock: Lock = field(default_factory=Lock)

    @property
    def environment(self) -> dict[str, str]:
        """What a program needs to use the store."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": KEY_ID,
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_SESSION_TOKEN": TOKEN,
        }

    def client(self) -> Any:
        return boto3.client(
            "s3", endpoint_url=self.endpoint, aws_access_key_id=KEY_ID, aws_secret_access_key=SECRET,
            region_name="us-east-1",
        )  # fmt: skip

    def put_folder(self, folder: Path, prefix: str) -> None:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                self.put(f"{prefix}/{path.relative_to(folder)}", path.read_bytes())

    def put(self, key: str, content: bytes) -> None:
        self.client().put_object(Bucket=BUCKET, Key=key, Body=content)

    def objects(self, prefix: str) -> dict[str, bytes]:
        """All objects below a prefix, by what follows it."""
        client = self.client()
        pages = client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=f"{prefix}/")
        found = [each["Key"] for page in pages for each in page.get("Contents", ())]
        keys = [key for key in found if not key.endswith("/")]  # pyarrow marks a folder that it removed a file from
        return {
            key.removeprefix(f"{prefix}/"): client.get_object(Bucket=BUCKET, Key=key)["Body"].read() for key in keys
        }


class QuietServer(ThreadedWSGIServer):
    """It does not print what it was asked, nor that connections were reset."""

    def log(self, *_: object) -> None: ...

    def handle_error(self, *_: object) -> None: ...


@contextmanager
def object_store() -> Iterator[ObjectStore]:
    """Serve until the context ends."""
    store = ObjectStore("")
    server = QuietServer("127.0.0.1", 0, _troubled(store))
    store.endpoint = f"http://127.0.0.1:{server.server_port}"
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    store.client().create_bucket(Bucket=BUCKET)
    try:
        yield store
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _troubled(store: ObjectStore) -> Callable[..., Iterable[bytes]]:
    backend = DomainDispatcherApplication(create_backend_app)

    def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        path, method = environ["PATH_INFO"], environ["REQUEST_METHOD"]
        with store.lock:
            store.asked[f"{method} {path}"] += 1
            what = store.trouble(path, store.asked[f"{method} {path}"]) if method in {"GET", "HEAD"} else ""
            store.troubled[what] += 1
        if what == "error":
            start_response("500 Internal Server Error", [("Content-Length", "0")])
            return []
        if what == "denied":
            start_response("403 Forbidden", [("Content-Length", "0")])
            return []
        if what == "reset":
            _reset(environ)
        if what == "slow":
            time.sleep(0.5)
        answer: Iterable[bytes] = backend(environ, start_response)
        return _cut(answer, environ) if what == "cut" else answer

    return application


def _cut(answer: Iterable[bytes], environ: dict[str, Any]) -> Iterator[bytes]:
    """Half of an answer; then the connection is reset."""
    data = b"".join(answer)
    yield data[: len(data) // 2]
    _reset(environ)


def _reset(environ: dict[str, Any]) -> None:
    connection: socket.socket = environ["werkzeug.socket"]
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    os.close(connection.detach())
    raise ConnectionResetError
