"""The ``aisf-geo`` command."""

from __future__ import annotations

import sys

import click

from aisf_geo import __version__
from aisf_geo.cli.maps import change, indicators, vectorise
from aisf_geo.cli.roads import roads
from aisf_geo.cli.runs import demo, run, segment
from aisf_geo.cli.tell import info, models, schema, version
from aisf_geo.errors import AisfGeoError

#: Libraries whose errors on writing (disk full, read-only folder) are the machine's, not the program's.
_WRITERS = ("rasterio", "pyogrio", "sqlite3")


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="aisf-geo")
def cli() -> None:
    """Satellite and aerial imagery to maps, features and SDG indicators.

    Exit codes: 0 fine; 1 data that cannot be read, or work incomplete (what is done is kept); 2 wrong use.
    """


for command in (demo, run, segment, change, vectorise, roads, indicators, models, info, schema, version):
    cli.add_command(command)


def main() -> None:
    """Run the command line; expected failures are one sentence on stderr and an exit code."""
    try:
        cli.main(prog_name="aisf-geo", standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        sys.exit(2)
    except click.UsageError as error:
        command = error.ctx.command_path if error.ctx else "aisf-geo"
        _fail(f"{error.format_message().rstrip('.')}; see `{command} --help`", 2)
    except (click.Abort, KeyboardInterrupt):
        _fail("interrupted; what is done is kept, run again with --resume", 1)
    except AisfGeoError as error:
        _fail(str(error), error.exit_code)
    except OSError as error:
        _fail(f"{error.filename or 'file system'}: {error.strerror or error}; what is done is kept", 1)
    except Exception as error:
        if type(error).__module__.split(".")[0] not in _WRITERS:
            raise
        _fail(f"an output could not be written ({error}); what is done is kept, run again with --resume", 1)


def _fail(message: str, code: int) -> None:
    click.echo(f"error: {message}", err=True)
    sys.exit(code)
