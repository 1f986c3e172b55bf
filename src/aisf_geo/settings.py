"""Where the program runs: the environment, read once at the edge and passed down."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Settings:
    """What the owner of this machine decided.

    Attributes:
        private_hosts: ``AISF_GEO_PRIVATE_HOSTS``, comma-separated: names in the own network that recipes may reach.
        cassette: ``AISF_GEO_CASSETTE``: a file of recorded answers that takes the place of the network.
        record: ``AISF_GEO_CASSETTE_RECORD=1``: ask the network and write the cassette.
    """

    private_hosts: tuple[str, ...] = ()
    cassette: Path | None = None
    record: bool = False

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Settings:
        """The settings of this process."""
        hosts = environment.get("AISF_GEO_PRIVATE_HOSTS", "")
        cassette = environment.get("AISF_GEO_CASSETTE")
        return cls(
            private_hosts=tuple(host.strip().lower() for host in hosts.split(",") if host.strip()),
            cassette=Path(cassette) if cassette else None,
            record=environment.get("AISF_GEO_CASSETTE_RECORD") == "1",
        )


def usable_cores() -> int:
    """Cores this process may run on, which in a container or under a scheduler are fewer than the machine's."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
