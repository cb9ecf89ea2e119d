"""`python -m benchmarks`: measure, list the rows, or compare two files of results."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from benchmarks.bench import run
from benchmarks.results import read, write
from benchmarks.rows import ROWS
from benchmarks.table import comparison, table
from benchmarks.workbench import Workbench

_RESULTS = Path(__file__).parent / "results"


def _list(context: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted:
        print("\n".join(f"{row.name:20} {row.feels}" for row in ROWS))
        context.exit()


@click.group(invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--row", "names", multiple=True, metavar="NAME", help="Measure only this row; may be repeated.")
@click.option("--rounds", default=5, show_default=True, type=click.IntRange(1), help="Rounds a row.")
@click.option("--set", "settings", multiple=True, metavar="NAME=VALUE", help="A setting of the service.")
@click.option(
    "--file-mib", default=1024, show_default=True, type=click.IntRange(1), help="Size of a large file, in MiB."
)
@click.option(
    "--list", is_flag=True, expose_value=False, is_eager=True, callback=_list, help="List the rows and measure nothing."
)
@click.option("--json", "path", type=click.Path(path_type=Path), help="Where the numbers go.")
@click.pass_context
def main(
    context: click.Context,
    names: tuple[str, ...],
    rounds: int,
    settings: tuple[str, ...],
    file_mib: int,
    path: Path | None,
) -> None:
    """Measure the service against the floors beside it, and say which goals are met."""
    if context.invoked_subcommand is not None:
        return
    known = {row.name: row for row in ROWS}
    unknown = [name for name in names if name not in known]
    if unknown:
        raise click.UsageError(f"no row is called {unknown[0]}; there are {', '.join(known)}")
    report = run([known[name] for name in names] or ROWS, rounds, Workbench(_settings(settings), file_mib))
    path = path or _RESULTS / f"{report.started.replace(':', '')[:17]}.json"
    write(report, path)
    print(table(report), f"\nnumbers: {path}", sep="\n")
    sys.exit(report.failed)


@main.command("compare")
@click.argument("before", type=click.Path(exists=True, path_type=Path))
@click.argument("after", type=click.Path(exists=True, path_type=Path))
def compare(before: Path, after: Path) -> None:
    """Show two files of results side by side."""
    print(comparison(read(before), read(after)))


def _settings(given: tuple[str, ...]) -> dict[str, str]:
    pairs = [setting.partition("=") for setting in given]
    return {name.lower().replace("-", "_"): value for name, _, value in pairs}


if __name__ == "__main__":
    main(prog_name="python -m benchmarks")
