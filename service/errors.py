"""Why the service itself says no, before or beside the embedder.

RequestRefused
├── MalformedRequest      the request is not what its route takes
├── NotFound              no such route
├── MethodNotAllowed      a route, but not with this method
├── BodyTooSlow           the body did not arrive in time
├── BodyTooLarge          the body is longer than the route can need
├── UnsupportedMediaType  the body is of a kind that is not read
├── Unavailable           the service cannot take the request now
│   ├── Busy              every place is taken
│   └── NotReady          the model has not answered yet
└── InternalError         the service failed, through no fault of the request
"""

from typing import ClassVar

RETRY_AFTER_S = 1


class RequestRefused(Exception):
    """The root; `code` is stable and machine-readable, `headers` go with the answer."""

    code: ClassVar[str] = "request_refused"

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.headers: dict[str, str] = {}


class MalformedRequest(RequestRefused):
    """The request is not what its route takes; `image` is "probe" or "reference" where one of them is at fault."""

    code = "malformed_request"

    def __init__(self, message: str, *, image: str | None = None) -> None:
        super().__init__(message)
        self.image = image


class NotFound(RequestRefused):
    """There is no such route."""

    code = "not_found"


class MethodNotAllowed(RequestRefused):
    """The route does not take this method."""

    code = "method_not_allowed"

    def __init__(self, allowed: str) -> None:
        super().__init__(f"this address does not take that method; it takes {allowed}")
        self.headers = {"Allow": allowed}


class BodyTooSlow(RequestRefused):
    """The body did not arrive in time."""

    code = "body_too_slow"

    def __init__(self, limit_s: float) -> None:
        super().__init__(f"the body did not arrive within {limit_s:g} s; send it again, smaller or over a faster line")


class BodyTooLarge(RequestRefused):
    """The body is longer than this route can need."""

    code = "body_too_large"

    def __init__(self, limit: int) -> None:
        super().__init__(f"the body is longer than the {limit:,} bytes that this request may have; send smaller images")
        self.limit = limit


class UnsupportedMediaType(RequestRefused):
    """The body is of a kind that this route does not read."""

    code = "unsupported_media_type"


class Unavailable(RequestRefused):
    """The service cannot take the request now; the answer says when to ask again."""

    code = "unavailable"

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.headers = {"Retry-After": str(RETRY_AFTER_S)}


class Busy(Unavailable):
    """Every place is taken."""

    code = "busy"

    def __init__(self) -> None:
        super().__init__(f"every place is taken; send the request again in {RETRY_AFTER_S} s")


class NotReady(Unavailable):
    """The model has not answered its first inference yet."""

    code = "not_ready"


class InternalError(RequestRefused):
    """The service failed; what happened stands in its log under the request id, never in the answer."""

    code = "internal_error"

    def __init__(self) -> None:
        super().__init__("the service failed at this request")
