"""The ``aisf-geo`` command."""

from __future__ import annotations

import errno
import sys
import warnings

import click

from aisf_geo import __version__
from aisf_geo.cli.change import change, change_series
from aisf_geo.cli.evaluate import evaluate
from aisf_geo.cli.maps import indicators, vectorise
from aisf_geo.cli.models import models
from aisf_geo.cli.numbers import compare, conformance, explain
from aisf_geo.cli.oversight import audit, clean, status, verify
from aisf_geo.cli.reference import assess, sample
from aisf_geo.cli.roads import roads
from aisf_geo.cli.runs import demo, run, segment
from aisf_geo.cli.serve import publish, serve
from aisf_geo.cli.tell import info, schema, version
from aisf_geo.cli.train import train
from aisf_geo.errors import AisfGeoError

#: Libraries whose errors on writing (disk full, read-only folder) are the machine's, not the program's.
_WRITERS = ("rasterio", "pyogrio", "sqlite3")
#: What the person at the machine can do about a file that could not be written.
_REMEDIES = dict.fromkeys((errno.ENOSPC, errno.EDQUOT, errno.EFBIG), "make room") | dict.fromkeys(
    (errno.EACCES, errno.EPERM, errno.EROFS), "make its folder writable"
)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="aisf-geo")
def cli() -> None:
    """Satellite and aerial imagery to maps, features and SDG indicators.

    Exit codes: 0 fine; 1 data that cannot be read, or work incomplete (what is done is kept); 2 wrong use.
    """


for command in (
    *(demo, run, segment, change, change_series, vectorise, roads, indicators, serve, publish),
    *(train, evaluate, models, info, schema, version),
):
    cli.add_command(command)
for command in (sample, assess, explain, compare, conformance, status, verify, audit, clean):
    cli.add_command(command)


def main() -> None:
    """Run the command line; expected failures are one sentence on stderr and an exit code."""
    # rasterio silences it around its own in-memory data sets, in a way that other threads undo.
    warnings.filterwarnings("ignore", "Dataset has no geotransform")
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
    except Exception as error:
        _fail_for(error)


def _fail_for(error: Exception) -> None:
    """One sentence for what libraries raise when machine or cluster fail; a bug of ours keeps its traceback."""
    library = type(error).__module__.split(".")[0]
    if library == "distributed":
        _fail("the Dask scheduler or its workers went away; what is done is kept, run again with --resume", 1)
    if isinstance(error, OSError) and library not in _WRITERS:
        remedy = f"; {_REMEDIES[error.errno]} and run again with --resume" if error.errno in _REMEDIES else ""
        _fail(f"{error.filename or 'file system'}: {error.strerror or error}{remedy}; what is done is kept", 1)
    if library not in _WRITERS:
        raise error
    # GDAL does not say why a write failed; most often it is this.
    _fail(
        f"an output could not be written ({error}); is the disk full? What is done is kept, run again with --resume", 1
    )


def _fail(message: str, code: int) -> None:
    click.echo(f"error: {message}", err=True)
    sys.exit(code)
