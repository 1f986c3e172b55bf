"""What a caller can get wrong, and what it is told: an HTTP status and one sentence."""

from __future__ import annotations

from http import HTTPStatus


class RequestError(Exception):
    """A request that cannot be answered; ``status`` is 4xx, or 503 where the time ran out."""

    status = HTTPStatus.BAD_REQUEST


class NotFoundError(RequestError):
    """There is nothing of that name, or the caller may not know of it."""

    status = HTTPStatus.NOT_FOUND


class TooSlowError(RequestError):
    """A query took longer than the server grants."""

    status = HTTPStatus.SERVICE_UNAVAILABLE
