"""A service whose computations take as long as they are told, on the real server; prints its address.

    python tests/service/stubborn_service.py GRACE_S

GET /SECONDS answers after so many seconds in a thread that nothing can stop.
"""

import socket
import sys
import time

from anyio import to_thread
from starlette.types import Receive, Scope, Send

from service.http_protocol import ConnectionLimits
from service.http_server import HttpServer, http_config


async def app(scope: Scope, _: Receive, send: Send) -> None:
    """Answer after a while."""
    if scope["type"] == "http":
        await to_thread.run_sync(time.sleep, float(scope["path"].strip("/")))
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"4")]})
        await send({"type": "http.response.body", "body": b"done"})


def main(grace_s: float) -> None:
    """Serve until a signal."""
    listener = socket.create_server(("127.0.0.1", 0))
    print(f"http://127.0.0.1:{listener.getsockname()[1]}", file=sys.stderr, flush=True)  # noqa: T201 - read by the test
    HttpServer(http_config(app, ConnectionLimits(100, 10, 75, 1000)), grace_s=grace_s).run(sockets=[listener])


if __name__ == "__main__":
    main(float(sys.argv[1]))
