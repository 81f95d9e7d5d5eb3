"""The operator's settings: address, model, limits, log level. Facts about a model are in its card, not here."""

import os
from collections.abc import Iterable
from difflib import get_close_matches
from typing import Annotated, Literal

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from embedder import Precision, RuntimeName

PREFIX = "VISAVIS_"

LogLevel = Literal["debug", "info", "warning", "error"]


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
    log_level: LogLevel = "info"


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
