"""The operator's settings: address, model, limits, logs; from flags, the environment and a TOML file, in this order.

Facts about a model are in its card, not here.
"""

import json
import os
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from ipaddress import ip_network
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    create_model,
    field_validator,
)
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from embedder import Precision, RuntimeName, parse_toml, read_regular_file
from gallery import GallerySearch

PREFIX = "VISAVIS_"
CONFIG = PREFIX + "CONFIG"  # the path of the settings file
MODELS = PREFIX + "MODELS"  # a folder of further bundles, which the embedder reads
MAX_FILE_BYTES = 2**16
MAX_NAME_SHOWN = 80  # characters of a name that is no setting

LogLevel = Literal["debug", "info", "warning", "error"]
LogFormat = Literal["text", "json"]
Rate = Annotated[str, Field(pattern=r"^[1-9][0-9]{0,8}/(second|minute|hour|day)$")]
Values: TypeAlias = Mapping[str, object]

# Of the pictures that are decoded at a time: as decoded, and a copy with other grey levels.
PICTURE_BYTES_PER_PIXEL = 8

ANY_ORIGIN = "*"
# As browsers send it: scheme and host in lower case, no path, no final slash.
ORIGIN = re.compile(r"https?://(?:[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?")
DEFAULT_PORTS = re.compile(r"http://.*[^:]:80|https://.*[^:]:443")  # which browsers leave out
HOST_NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*")
KEY_START = re.compile(r"visavis_[0-9A-Za-z]{8}_")


def _listed(check: Callable[[tuple[str, ...]], None]) -> BeforeValidator:
    """Split a text at its commas, and check the entries; an empty text is an empty list. No error shows an entry."""

    def split(given: object) -> object:
        if isinstance(given, str):
            given = tuple(each.strip() for each in given.split(",")) if given.strip() else ()
        if isinstance(given, list):  # of the file
            given = tuple(given)
        if isinstance(given, tuple):
            check(tuple(map(str, given)))
        return given

    return BeforeValidator(split)


def _check_origins(origins: tuple[str, ...]) -> None:
    if ANY_ORIGIN in origins and len(origins) > 1:
        raise ValueError("* means every origin: give it alone, or list the origins without it")
    for place, origin in enumerate(origins, 1):
        if origin != ANY_ORIGIN and not _is_origin(origin):
            raise ValueError(
                f"entry {place} is not an origin as browsers send it: scheme, host and port, in lower case, "
                "without path, final slash or default port, such as https://app.example.org or http://localhost:3000"
            )


def _check_hosts(hosts: tuple[str, ...]) -> None:
    for place, host in enumerate(hosts, 1):
        if not HOST_NAME.fullmatch(host):
            raise ValueError(f"entry {place} is not a host name in lower case without port, such as face.example.org")


def _check_networks(networks: tuple[str, ...]) -> None:
    for place, network in enumerate(networks, 1):
        try:
            ip_network(network)
        except ValueError:
            raise ValueError(f"entry {place} is not an address or network, such as 10.0.0.0/8 or ::1") from None


def _is_origin(text: str) -> bool:
    return ORIGIN.fullmatch(text) is not None and DEFAULT_PORTS.fullmatch(text) is None


def _least_memory_bytes(max_pixels: int, max_image_bytes: int) -> int:
    return PICTURE_BYTES_PER_PIXEL * max_pixels + 2 * max_image_bytes


def _enough(memory_bytes: int, info: ValidationInfo) -> int:
    """Refuse memory that is too small for one picture and the two images of a comparison."""
    if not {"max_image_bytes", "max_pixels"} <= info.data.keys():
        return memory_bytes  # they are invalid, which is told instead
    least = _least_memory_bytes(info.data["max_pixels"], info.data["max_image_bytes"])
    if memory_bytes < least:
        raise ValueError(
            f"must be at least {least}: {PICTURE_BYTES_PER_PIXEL} for each of VISAVIS_MAX_PIXELS, and 2 times "
            "VISAVIS_MAX_IMAGE_BYTES"
        )
    return memory_bytes


class SettingsError(Exception):
    """Settings are invalid; `faults` names each, with its source and the allowed values."""

    def __init__(self, faults: Iterable[str]) -> None:
        self.faults = tuple(faults)
        super().__init__("; ".join(self.faults))


class Settings(BaseSettings):
    """The service's settings; each is also an environment variable: VISAVIS_PORT sets `port`."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="forbid")

    host: Annotated[str, Field(min_length=1)] = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 8000  # 0 = any free one
    workers: Annotated[int, Field(ge=1, le=64)] = 1  # processes that answer; they share the limits below
    model: str | None = None  # a model bundle, or the name of a built-in model; None = the default one
    runtime: RuntimeName | None = None  # None = openvino on a CPU, torch on other devices
    device: Annotated[str, Field(min_length=1)] = "cpu"  # of torch
    precision: Precision = "f32"  # of embeddings
    max_image_bytes: Annotated[int, Field(gt=0)] = 20 * 2**20  # of one image file
    # To decode of one image, according to its header; Pillow itself opens no image of more than 178,956,970 pixels.
    max_pixels: Annotated[int, Field(gt=0, le=178_956_970)] = 50_000_000
    max_concurrent: Annotated[int, Field(gt=0, le=256)] = 2  # requests being computed at a time
    max_waiting: Annotated[int, Field(ge=0, le=10_000)] = 32  # further requests that wait; as many as both are received
    # For all that requests hold at a time: bodies, images and the pictures decoded from them.
    memory_bytes: Annotated[int, Field(gt=0, validate_default=True), AfterValidator(_enough)] = 2**30
    request_timeout_s: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 30.0  # from the end of its body on
    body_timeout_s: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 60.0  # for a request's body to arrive
    max_connections: Annotated[int, Field(gt=0, le=100_000)] = 512  # open at a time, of all clients
    header_timeout_s: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 10.0  # for a request's head to arrive
    # Longer than the 60 s of common load balancers, which would otherwise use a connection that is being closed.
    idle_timeout_s: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 75.0  # between two requests
    min_body_rate: Annotated[int, Field(gt=0)] = 1000  # bytes/s of a body, and of a client that reads an answer
    # Of web pages on other hosts that may use the service from a browser; by default none.
    origins: Annotated[tuple[str, ...], NoDecode, _listed(_check_origins)] = ()
    keys: str | None = None  # the path of a file made by `visavis keys`; None = no key is needed
    insecure: bool = False  # whether to listen beyond this machine without keys
    hosts: Annotated[tuple[str, ...], NoDecode, _listed(_check_hosts)] = ()  # names of this service, beside its address
    trusted_proxies: Annotated[tuple[str, ...], NoDecode, _listed(_check_networks)] = ()  # whose X-Forwarded-For counts
    tls_certificate: str | None = None  # a PEM file: the certificate, then those above it
    tls_key: str | None = None  # a PEM file: its key, without passphrase
    rate_limit: Rate | None = None  # of a key that has none of its own
    address_rate_limit: Rate | None = None  # of an address, or of 2^64 addresses of IPv6
    log_level: LogLevel = "info"
    log_format: LogFormat = "text"
    metrics_port: Annotated[int, Field(ge=0, le=65535)] | None = None  # for GET /metrics alone; None = no such port
    audit: str | None = None  # the folder of the audit log; None = none is written
    # The address of the store of galleries, which may contain a password; None = the service keeps no galleries.
    gallery: Annotated[str | None, Field(repr=False)] = None
    gallery_search: GallerySearch = "memory"  # where templates are looked for: all in memory, or by pgvector's index

    @property
    def request_bytes(self) -> int:
        """The part of `memory_bytes` that is for bodies and images; the rest is for decoded pictures."""
        return self.memory_bytes - PICTURE_BYTES_PER_PIXEL * self.max_pixels

    @property
    def least_memory_bytes(self) -> int:
        """The least `memory_bytes` of one process: one picture, and the two images of a comparison."""
        return _least_memory_bytes(self.max_pixels, self.max_image_bytes)

    def share_of(self, number: int) -> "Settings":
        """Return the settings of one worker, counted from 1, with its part of what all may hold and compute.

        Each computes at least one request and has at least one connection, also if there are fewer than workers.
        """

        def part(whole: int) -> int:
            return whole // self.workers + (number <= whole % self.workers)

        shared = {
            "max_concurrent": max(1, part(self.max_concurrent)),
            "max_waiting": part(self.max_waiting),
            "max_connections": max(1, part(self.max_connections)),
            "memory_bytes": self.memory_bytes // self.workers,
        }
        return self.model_copy(update=shared)

    @field_validator("*", mode="before")
    @classmethod
    def _no_key(cls, given: object) -> object:
        """Refuse a key that stands in a setting by mistake, before any message could show it."""
        if isinstance(given, str) and KEY_START.search(given):
            raise ValueError("this is an API key, which no setting takes; VISAVIS_KEYS is the path of the file of keys")
        return given


@dataclass(frozen=True, slots=True)
class SettingsReading:
    """Settings, and what is wrong with them; an invalid value is replaced by its default."""

    settings: Settings
    faults: tuple[str, ...]


def load_settings(config: str | None = None, **given: object) -> Settings:
    """Read the settings: arguments go before the environment, and this before the file `config` or VISAVIS_CONFIG.

    Raises SettingsError for an unknown name or an invalid value, with all of them.
    """
    reading = read_settings(config, **given)
    if reading.faults:
        raise SettingsError(reading.faults)
    return reading.settings


def read_settings(config: str | None = None, **given: object) -> SettingsReading:
    """Read the settings as `load_settings` does, but return the faults with them."""
    from_file, faults = _read_file(config or os.environ.get(CONFIG))
    faults = _unknown_variables(os.environ) + faults
    flags = {name: value for name, value in given.items() if value is not None}
    variables = {name.upper() for name in os.environ}
    values = {name: value for name, value in from_file.items() if _variable(name) not in variables} | flags
    try:
        return SettingsReading(Settings.model_validate(values), faults)
    except ValidationError as error:
        return SettingsReading(_repaired(values, _names(error)), faults + _in_words(error, _variable))


def _repaired(values: Values, invalid: set[str]) -> Settings:
    """Return the settings with defaults for the invalid ones, or for all if the valid ones do not fit those."""
    defaults = {name: field.default for name, field in Settings.model_fields.items()}
    try:
        return Settings.model_validate(dict(values) | {name: defaults[name] for name in invalid})
    except ValidationError:
        return Settings.model_validate(defaults)


def _unknown_variables(names: Iterable[str]) -> tuple[str, ...]:
    known = [CONFIG, MODELS, *map(_variable, Settings.model_fields)]
    return tuple(
        f"there is no setting {_shown_name(name)}{_hint(name.upper(), known)}; the settings are {', '.join(known)}"
        for name in sorted(names)
        if name.upper().startswith(PREFIX) and name.upper() not in known
    )


def _shown_name(name: str) -> str:
    """Return a name that is no setting as it may be shown: it could be a key in a wrong place, or very long."""
    return "with an API key as its name" if KEY_START.search(name) else shown(name[:MAX_NAME_SHOWN])


def _hint(name: str, known: Iterable[str]) -> str:
    near = get_close_matches(name[:MAX_NAME_SHOWN], known, n=1)
    return f" (did you mean {near[0]}?)" if near else ""


def _variable(field: str) -> str:
    return PREFIX + field.upper()


def _read_file(path: str | None) -> tuple[Values, tuple[str, ...]]:
    """Read the valid settings of the file, types checked strictly, and what is wrong with the others."""
    if path is None:
        return {}, ()
    try:
        document = _parse(path)
    except SettingsError as error:
        return {}, error.faults
    unknown = [name for name in document if name not in Settings.model_fields]
    faults = tuple(
        f"{path}: there is no setting {_shown_name(name)}{_hint(name, Settings.model_fields)}" for name in unknown
    )
    values = {name: value for name, value in document.items() if name not in unknown}
    try:
        _file_model().model_validate_json(json.dumps(values, default=str))
    except ValidationError as error:
        faults += _in_words(error, lambda name: f"{path}: {name}")
        values = {name: value for name, value in values.items() if name not in _names(error)}
    return values, faults


def _parse(path: str) -> dict[str, Any]:
    try:
        return parse_toml(read_regular_file(path, MAX_FILE_BYTES).decode())
    except OSError as error:
        raise SettingsError([f"{path}: the settings file cannot be read: {error.strerror}"]) from None
    except ValueError as error:  # not TOML, or not UTF-8
        raise SettingsError([f"{path}: not a TOML file: {shown(str(error))}"]) from None
    except RecursionError:
        raise SettingsError([f"{path}: not a TOML file of settings: it has lists in lists without end"]) from None


def _file_model() -> type[BaseModel]:
    """Return a model with the fields of Settings that reads no environment and converts no types."""
    fields: dict[str, Any] = {name: (_alone(field), field.default) for name, field in Settings.model_fields.items()}
    return create_model("SettingsFile", __config__=ConfigDict(extra="forbid", strict=True), **fields)


def _alone(field: FieldInfo) -> Any:
    """Return a field's type with its own limits; what depends on others is checked when all are known."""
    limits = [each for each in field.metadata if not isinstance(each, AfterValidator)]
    return Annotated[field.annotation, Field(), *limits]


def _names(error: ValidationError) -> set[str]:
    return {str(fault["loc"][0]) for fault in error.errors()}


def _in_words(error: ValidationError, source: Callable[[str], str]) -> tuple[str, ...]:
    """Say what is wrong without the values, because one of them could be a secret in a wrong place."""
    faults = error.errors(include_url=False, include_context=False, include_input=False)
    return tuple(f"{source(str(fault['loc'][0]))}: {fault['msg']}" for fault in faults)


def shown(text: str) -> str:
    """Return a text for one line of a terminal or a log, without control characters."""
    return text if text.isprintable() else text.encode("unicode_escape").decode("ascii")
