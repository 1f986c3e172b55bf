"""Prefect flows: policy here, work in ``aisf_geo.pipeline``.

Importing this package settles how Prefect behaves where nobody has said otherwise, before Prefect itself is imported:
no telemetry, time for its temporary server to start on a busy machine, and its files beside the outputs.
"""

import os
from pathlib import Path

os.environ.setdefault("PREFECT_SERVER_ANALYTICS_ENABLED", "false")
os.environ.setdefault("DO_NOT_TRACK", "1")
os.environ.setdefault("PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS", "120")
if "PREFECT_API_URL" not in os.environ and "PREFECT_HOME" not in os.environ:
    home = Path("out/.prefect").resolve()
    # The temporary server does not make its folder and waits in silence until its time to start is over.
    home.mkdir(parents=True, exist_ok=True)
    os.environ["PREFECT_HOME"] = str(home)
