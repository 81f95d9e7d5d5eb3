"""The operator's settings: address, model, limits, log level. Facts about a model are in its card, not here."""

import os
import re
from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, ValidationError
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from embedder import Precision, RuntimeName

PREFIX = "VISAVIS_"

LogLevel = Literal["debug", "info", "warning", "error"]


ANY_ORIGIN = "*"
# As browsers send it: scheme and host in lower case, no path, no final slash.
ORIGIN = re.compile(r"https?://(?:[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?")
DEFAULT_PORTS = re.compile(r"http://.*[^:]:80|https://.*[^:]:443")  # which browsers leave out


def _origins(given: object) -> object:
    """Split a list of origins at its commas, and check each; an empty text is an empty list."""
    if isinstance(given, str):
        given = tuple(each.strip() for each in given.split(",")) if given.strip() else ()
    return _checked(given) if isinstance(given, tuple) else given


def _checked(origins: tuple[object, ...]) -> tuple[object, ...]:
    if ANY_ORIGIN in origins and len(origins) > 1:
        raise ValueError("* means every origin: give it alone, or list the origins without it")
    for origin in origins:
        if origin != ANY_ORIGIN and not _is_origin(str(origin)):
            raise ValueError(
                f"{str(origin)!a} is not an origin as browsers send it: scheme, host and port, in lower case, "
                "without path, final slash or default port, such as https://app.example.org or http://localhost:3000"
            )
    return origins


def _is_origin(text: str) -> bool:
    return ORIGIN.fullmatch(text) is not None and DEFAULT_PORTS.fullmatch(text) is None


class SettingsError(Exception):
    """A setting is invalid; the message names it and the allowed values."""


class Settings(BaseSettings):
    """The service's settings; each is also an environment variable: VISAVIS_PORT sets `port`."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="forbid")

    host: Annotated[str, Field(min_length=1)] = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 8000  # 0 = any free one
    model: str | None = None  # a model bundle, or the name of a built-in model; None = the default one
    runtime: RuntimeName | None = None  # None = openvino on a CPU, torch on other devices
    device: Annotated[str, Field(min_length=1)] = "cpu"  # of torch
    precision: Precision = "f32"  # of embeddings
    max_image_bytes: Annotated[int, Field(gt=0)] = 20 * 2**20  # of one image file
    # To decode of one image, according to its header; Pillow itself opens no image of more than 178,956,970 pixels.
    max_pixels: Annotated[int, Field(gt=0, le=178_956_970)] = 50_000_000
    max_concurrent: Annotated[int, Field(gt=0, le=256)] = 2  # requests being computed at a time
    max_waiting: Annotated[int, Field(ge=0, le=10_000)] = 32  # further requests being received or waiting
    body_timeout_s: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 60.0  # for a request's body to arrive
    # Of web pages on other hosts that may use the service from a browser; by default none.
    origins: Annotated[tuple[str, ...], NoDecode, BeforeValidator(_origins)] = ()
    log_level: LogLevel = "info"
    audit: Path | None = None  # the folder of the audit log; None = none is written


def load_settings(**given: object) -> Settings:
    """Read the settings from the environment; arguments override their variables.

    Raises SettingsError for an unknown VISAVIS_ variable or an invalid value.
    """
    _refuse_unknown(os.environ)
    try:
        return Settings.model_validate({name: value for name, value in given.items() if value is not None})
    except ValidationError as error:
        raise SettingsError(_in_words(error)) from None


def _refuse_unknown(names: Iterable[str]) -> None:
    known = [_variable(name) for name in Settings.model_fields]
    for name in sorted(names):
        if name.upper().startswith(PREFIX) and name.upper() not in known:
            near = get_close_matches(name.upper(), known, n=1)
            hint = f" (did you mean {near[0]}?)" if near else ""
            raise SettingsError(f"there is no setting {name}{hint}; the settings are {', '.join(known)}")


def _variable(field: str) -> str:
    return PREFIX + field.upper()


def _in_words(error: ValidationError) -> str:
    faults = error.errors(include_url=False, include_context=False)
    return "; ".join(f"{_variable(str(fault['loc'][0]))}={fault['input']}: {fault['msg']}" for fault in faults)
