"""One temporary Prefect server for all flow tests."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import ExitStack

import pytest


@pytest.fixture(scope="session")
def server() -> Iterator[None]:
    running = ExitStack()
    # What Prefect imports warns of what it imports; during the tests themselves warnings are errors as everywhere.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from prefect.settings import PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW, temporary_settings
        from prefect.testing.utilities import prefect_test_harness

        running.enter_context(prefect_test_harness(server_startup_timeout=120))
        running.enter_context(temporary_settings({PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW: "ignore"}))
    with running:
        yield
