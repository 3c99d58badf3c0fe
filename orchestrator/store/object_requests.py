"""One request to an object store: tried again while that can help, and its failure told as the system would tell it.

The libraries below have retries of their own, which are turned off (see `object_files.py`): they are not bounded in
time, and an exclusive create must know that an earlier try may have taken effect.
"""

from __future__ import annotations

import errno
import os
import random
import time
from collections.abc import Callable
from http.client import IncompleteRead
from typing import Any, TypeVar

from aiohttp import ClientError as TransferError
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    HTTPClientError,
    NoCredentialsError,
    PartialCredentialsError,
)
from botocore.exceptions import ConnectionError as EndpointError
from botocore.parsers import ResponseParserError

T = TypeVar("T")

RETRY_SECONDS = 30.0
"""How long a request is tried again before its caller hears of it."""
FIRST_PAUSE_SECONDS = 0.2
LAST_PAUSE_SECONDS = 5.0

_FAILURES = (OSError, BotoCoreError, ClientError, TransferError, ResponseParserError, IncompleteRead)
_LOST = (
    *(EndpointError, HTTPClientError, TransferError, ResponseParserError, IncompleteRead),
    *(TimeoutError, ConnectionError),
)
# Statuses and codes of "later", of a conditional write that met another one (409), of a body that was cut or garbled
# on its way, and of a multipart upload whose completion took effect although its answer was lost.
_LATER_STATUSES = {408, 409, 429, 500, 502, 503, 504}
_LATER_CODES = {
    "SlowDown",
    "RequestTimeout",
    "IncompleteBody",
    "BadDigest",
    "XAmzContentSHA256Mismatch",
    "NoSuchUpload",
}
_REFUSED_CODES = {"AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken"}


def requested(request: Callable[[], T], location: str) -> T:
    """What a request answers, tried again with growing, jittered pauses for at most `RETRY_SECONDS`.

    Args:
        request: Does the request; every try must mean the same.
        location: What it is about, for messages.

    Raises:
        FileNotFoundError: There is no such object.
        FileExistsError: An exclusive create met an object of that name; perhaps one that an earlier try has made.
        PermissionError: No credentials, or they are refused.
        OSError: Anything else that went wrong.
    """
    deadline, pause = time.monotonic() + RETRY_SECONDS, FIRST_PAUSE_SECONDS
    while True:
        try:
            return request()
        except _FAILURES as error:
            if not _may_pass(error) or time.monotonic() + pause > deadline:
                raise _as_os_error(error, location) from error
        # Jitter, so that many workers that were refused together do not come back together.
        time.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 - not for secrets
        pause = min(2 * pause, LAST_PAUSE_SECONDS)


def answer_code(error: BaseException) -> str:
    """The store's own word for a failure ("NoSuchKey"); empty where no answer came."""
    return str(_answer(error).get("Error", {}).get("Code", ""))


def _answer(error: BaseException) -> dict[str, Any]:
    """What the store answered; s3fs puts it below an exception of Python's."""
    for carrier in (error, error.__cause__):
        response = getattr(carrier, "response", None)
        if isinstance(response, dict):
            return response
    return {}


def _status(error: BaseException) -> int:
    return int(_answer(error).get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def _may_pass(error: BaseException) -> bool:
    if _answer(error):
        return _status(error) in _LATER_STATUSES or answer_code(error) in _LATER_CODES
    return isinstance(error, _LOST)


def _as_os_error(error: BaseException, location: str) -> OSError:
    code, status = answer_code(error), _status(error)
    said = _answer(error).get("Error", {}).get("Message") or str(error) or type(error).__name__
    if isinstance(error, NoCredentialsError | PartialCredentialsError):
        number, text = errno.EACCES, "no credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE"
    elif code == "NoSuchBucket":
        number, text = errno.EIO, "there is no such bucket; make it first"
    elif code in _REFUSED_CODES or status in (401, 403):
        number, text = errno.EACCES, f"the object store refuses these credentials ({said})"
    elif code == "PreconditionFailed" or status == 412:
        number, text = errno.EEXIST, os.strerror(errno.EEXIST)
    elif status == 404:
        number, text = errno.ENOENT, os.strerror(errno.ENOENT)
    elif not _answer(error) and isinstance(error, _LOST):
        number, text = errno.EIO, f"the object store does not answer ({said})"
    else:
        number, text = errno.EIO, f"the object store says {code or 'nothing it should'} ({said})"
    return OSError(number, text, location)  # of the subclass that belongs to the number
