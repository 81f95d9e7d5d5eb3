"""Errors of the service itself; those about images, faces and models are the embedder's.

ServiceError
├── MalformedRequest      the request does not match what its route accepts
├── Unauthorized          the key is missing, unknown, expired or revoked
├── Forbidden             the key lacks the scope of the route
├── CrossSiteRequest      a page of another site sent the request
├── UnknownHost           the Host header names another host
├── RateLimited           the caller sent too many requests
├── NotFound              the route does not exist
├── GalleriesOff          the service keeps no galleries
├── MethodNotAllowed      the route does not support this method
├── BodyTooSlow           the body did not arrive in time
├── BodyTooLarge          the body is larger than the route's limit
├── UnsupportedMediaType  the body's media type is not supported
├── Unavailable           the service cannot accept the request now
│   ├── Busy              the maximum number of requests is reached
│   ├── MemoryFull        the requests in progress hold all the memory that they may
│   ├── Stopping          the service is being stopped
│   ├── AuditUnavailable  the audit log cannot be written
│   └── NotReady          the model has not completed its first inference
└── InternalError         the service failed to process a valid request
"""

from typing import ClassVar

RETRY_AFTER_S = 1


class ServiceError(Exception):
    """The base class; `code` is stable and machine-readable, `headers` are sent with the answer."""

    code: ClassVar[str] = "request_refused"

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.headers: dict[str, str] = {}


class MalformedRequest(ServiceError):
    """The request does not match what its route accepts; `image` is "probe" or "reference" if one is at fault."""

    code = "malformed_request"

    def __init__(self, message: str, *, image: str | None = None) -> None:
        super().__init__(message)
        self.image = image


class Unauthorized(ServiceError):
    """The key is missing, unknown, expired or revoked; the message does not say which."""

    code = "unauthorized"

    def __init__(self) -> None:
        super().__init__("this service needs a valid key; send it as the header Authorization: Bearer KEY")
        self.headers = {"WWW-Authenticate": "Bearer"}


class Forbidden(ServiceError):
    """The key is valid, but lacks the scope that the route needs."""

    code = "forbidden"

    def __init__(self, scope: str) -> None:
        super().__init__(f"this key lacks the scope {scope}; ask the operator for a key that has it")
        self.scope = scope


class CrossSiteRequest(ServiceError):
    """A browser sent the request for a page of another site, which is not among the allowed origins."""

    code = "cross_site_request"

    def __init__(self) -> None:
        super().__init__("a page of another origin sent this request; the operator allows origins by VISAVIS_ORIGINS")


class UnknownHost(ServiceError):
    """The Host header names a host that is not this service's, as after DNS rebinding."""

    code = "unknown_host"

    def __init__(self) -> None:
        super().__init__("the Host header is not a name of this service; the operator allows names by VISAVIS_HOSTS")


class RateLimited(ServiceError):
    """The caller sent more requests than its limit allows; the answer has a Retry-After header."""

    code = "rate_limited"

    def __init__(self, limit: str, retry_after_s: int) -> None:
        super().__init__(f"the limit of {limit} is reached; send the request again in {retry_after_s} s")
        self.headers = {"Retry-After": str(retry_after_s)}


class NotFound(ServiceError):
    """The route does not exist."""

    code = "not_found"


class GalleriesOff(ServiceError):
    """The service keeps no galleries, since its operator has named no store for them."""

    code = "galleries_off"

    def __init__(self) -> None:
        super().__init__(
            "this service keeps no galleries; its operator turns them on with visavis serve --gallery "
            "sqlite:////var/lib/visavis/gallery.db (VISAVIS_GALLERY)"
        )


class MethodNotAllowed(ServiceError):
    """The route does not support this method."""

    code = "method_not_allowed"

    def __init__(self, allowed: str) -> None:
        super().__init__(f"this address does not support that method; it supports {allowed}")
        self.headers = {"Allow": allowed}


class BodyTooSlow(ServiceError):
    """The body, or the head, did not arrive in time or at the least rate."""

    code = "body_too_slow"

    def __init__(self, limit_s: float, *, part: str = "body", at_least: int | None = None) -> None:
        what = f"the {part}" if at_least is None else f"a part of {at_least:,} bytes of the {part}"
        super().__init__(
            f"{what} did not arrive within {limit_s:g} s; send a smaller {part} or use a faster connection"
        )


class BodyTooLarge(ServiceError):
    """The body is larger than this route's limit."""

    code = "body_too_large"

    def __init__(self, limit: int) -> None:
        super().__init__(f"the body is larger than the limit of {limit:,} bytes for this request; send smaller images")
        self.limit = limit


class UnsupportedMediaType(ServiceError):
    """The route does not support the body's media type."""

    code = "unsupported_media_type"


class Unavailable(ServiceError):
    """The service cannot accept the request now; as every 503, the answer has a Retry-After header."""

    code = "unavailable"


class Busy(Unavailable):
    """The service has reached its maximum number of requests."""

    code = "busy"

    def __init__(self) -> None:
        super().__init__(f"the maximum number of requests is reached; send the request again in {RETRY_AFTER_S} s")


class MemoryFull(Unavailable):
    """The requests in progress hold all the memory that they may."""

    code = "memory_full"

    def __init__(self) -> None:
        super().__init__(f"the requests in progress fill the memory; send the request again in {RETRY_AFTER_S} s")


class Stopping(Unavailable):
    """The service is being stopped: it finishes the requests in progress and accepts no others."""

    code = "stopping"

    def __init__(self) -> None:
        super().__init__("the service is being stopped; send the request to another one, or again later")


class AuditUnavailable(Unavailable):
    """The audit log cannot be written, so nothing is answered."""

    code = "audit_unavailable"

    def __init__(self) -> None:
        super().__init__("the audit log cannot be written, so the service does not answer; tell the operator")


class NotReady(Unavailable):
    """The model has not completed its first inference, or it failed."""

    code = "not_ready"


class InternalError(ServiceError):
    """The service failed; its log has the cause under the request id, the answer never has it."""

    code = "internal_error"

    def __init__(self) -> None:
        super().__init__("the service failed to process this request")
