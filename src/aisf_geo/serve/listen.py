"""The socket and the loop around the application."""

from __future__ import annotations

import logging
import socket

import click
import uvicorn
from starlette.types import ASGIApp

from aisf_geo.errors import UsageError


def listen(app: ASGIApp, host: str, port: int) -> None:
    """Serve until interrupted; says where on stderr.

    Raises:
        UsageError: the address cannot be listened on.
    """
    bound = _bind(host, port)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    shown = f"[{host}]" if ":" in host else host
    click.echo(f"serving http://{shown}:{bound.getsockname()[1]}/ (Ctrl-C ends)", err=True)
    config = uvicorn.Config(app, log_level="warning", access_log=False, server_header=False, timeout_keep_alive=30)
    try:
        uvicorn.Server(config).run(sockets=[bound])
    except KeyboardInterrupt:
        click.echo("stopped", err=True)


def _bind(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    # Inherited by accepted connections: without it a small answer waits 40 ms for the caller's acknowledgement.
    bound.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    try:
        bound.bind((host, port))
        # From here on callers wait instead of being refused, so that the address may be told.
        bound.listen()
    except OSError as error:
        bound.close()
        raise UsageError(f"serve: cannot listen on {host}:{port} ({error.strerror}); choose another --port") from error
    return bound
