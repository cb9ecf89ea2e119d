"""`python -m soak`: use a service in every way for some minutes, and say whether anything leaks or goes wrong."""

from __future__ import annotations

import secrets
import signal
import sys
from pathlib import Path
from types import FrameType

import click

from soak.activities import ACTIVITIES
from soak.progress import Progress
from soak.report import text, write
from soak.soak import Order, Soak

_RESULTS = Path(__file__).parent / "results"


def _list(context: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted:
        print("\n".join(f"{activity.name:24} {activity.weight}" for activity in ACTIVITIES))
        context.exit()


def _stop(number: int, frame: FrameType | None) -> None:
    # `make` passes on what its whole group gets: once is enough.
    signal.signal(number, signal.SIG_IGN)
    signal.default_int_handler(number, frame)


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--minutes", default=10.0, show_default=True, type=click.FloatRange(0.05), help="How long it takes.")
@click.option("--seed", type=int, help="What chance begins with; chosen and printed if not given.")
@click.option("--clients", default=4, show_default=True, type=click.IntRange(1), help="Clients at once.")
@click.option("--only", "names", multiple=True, metavar="NAME", help="Only these activities, or modules of them.")
@click.option("--set", "settings", multiple=True, metavar="NAME=VALUE", help="A setting of the service.")
@click.option("--json", "path", type=click.Path(path_type=Path), help="Where the numbers go.")
@click.option(
    "--list", is_flag=True, expose_value=False, is_eager=True, callback=_list, help="List activities and their weights."
)
def main(
    minutes: float, seed: int | None, clients: int, names: tuple[str, ...], settings: tuple[str, ...], path: Path | None
) -> None:
    """Use a service of its own in every way for some minutes; the exit code is 0 when nothing leaks or goes wrong."""
    chosen = [each for each in ACTIVITIES if not names or each.name in names or each.name.partition(".")[0] in names]
    if not chosen:
        raise click.UsageError(f"there is no activity {names[0]}; --list shows them")
    seed = secrets.randbelow(2**32) if seed is None else seed
    # As `timeout` ends it, and also where a shell has started it in the background: it is to leave nothing then either.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, _stop)
    progress = Progress()
    progress.tell(f"a soak of {minutes:g} minutes with {clients} clients and the seed {seed}")
    pairs = [setting.partition("=") for setting in settings]
    given = {name.lower().replace("-", "_"): value for name, _, value in pairs}
    report = Soak(Order(minutes, seed, clients, given, chosen), progress).run()
    path = path or _RESULTS / f"{report.started.replace(':', '')[:17]}.json"
    print(text(report), flush=True)
    write(report, path)
    print(f"numbers: {path}")
    sys.exit(not report.passed)


if __name__ == "__main__":
    main(prog_name="python -m soak")
