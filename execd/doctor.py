"""`execd doctor`: what there is for sandboxes on this machine, told to people or to machines."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from textwrap import fill

from execd.service.ceilings import Ceiling
from execd.service.examination import Examination, ModeFound, examine, in_use
from execd.settings import Settings

_WIDTH = 110


def report(settings: Settings, *, as_json: bool) -> tuple[str, bool]:
    """What to print, and whether the service can serve with walls."""
    found = examine(settings)
    text = json.dumps({**asdict(found), "works": found.works}, indent=2) if as_json else "\n".join(_lines(found))
    return text, found.works


def _lines(found: Examination) -> Iterator[str]:
    yield _verdict(found)
    for mode in found.modes:
        yield ""
        yield from _mode(mode, found)
    yield ""
    yield _row("bubblewrap", f"{found.bubblewrap} {found.bubblewrap_version}" if found.bubblewrap else "not installed")
    yield _row("Landlock", f"version {found.landlock_version}" if found.landlock_version else "not in this kernel")
    groups = f"{found.control_groups}: {', '.join(found.controllers)}" if found.control_groups else "none to be written"
    yield _row("control groups", groups)
    yield _row("kernel Python", f"{found.kernel_python} ({found.kernel_python_version or 'does not run'})")
    yield _row("its libraries", ", ".join(f"{name} {version}" for name, version in found.libraries.items()) or "none")
    yield _row("data folder", found.data_dir + (" (a service uses it)" if in_use(Path(found.data_dir)) else ""))
    yield ""
    yield from (_ceiling(ceiling) for ceiling in found.ceilings)
    for ceiling in found.ceilings:
        if ceiling.low:
            yield ""
            yield fill(f"Warning: {_warning(ceiling)}", _WIDTH, subsequent_indent="  ")
    for problem in found.problems:
        yield ""
        yield fill(f"Problem: {problem}", _WIDTH, subsequent_indent="  ")


def _ceiling(ceiling: Ceiling) -> str:
    return _row(ceiling.resource, f"{ceiling.allows:,} ({ceiling.bound}); {ceiling.needs:,} may be needed")


def _warning(ceiling: Ceiling) -> str:
    return (
        f"{ceiling.bound} is {ceiling.allows:,}: enough for {ceiling.enough_for}, and the settings allow more. Beyond "
        f"that {ceiling.without}. To raise it: {ceiling.remedy}"
    )


def _verdict(found: Examination) -> str:
    taken = f"EXECD_ISOLATION=auto takes {found.auto}." if found.auto else "EXECD_ISOLATION=auto finds no walls here."
    if found.isolation == "auto":
        return taken
    chosen = "is what sandboxes get." if found.chosen else "is not to be had."
    return f"{taken} EXECD_ISOLATION={found.isolation} is set, and {chosen}"


def _mode(mode: ModeFound, found: Examination) -> Iterator[str]:
    taken = ", taken" if mode.mode == found.chosen else ""
    yield f"{mode.mode}: {'yes' + taken if mode.works else 'no'}"
    if not mode.works:
        yield _item("why not", mode.obstacle or "")
        yield _item("how to get it", mode.remedy or "")
        return
    yield from (_item("holds", sentence) for sentence in mode.guarantees)
    yield from (_item("does not cover", sentence) for sentence in mode.not_covered)
    yield _item("limits", ", ".join(f"{name}: {by}" for name, by in mode.limits.items()))
    for network, missing in mode.networks.items():
        if network != "none":
            yield _item(f"network {network}", "yes" if missing is None else f"no: {missing}")


def _item(name: str, text: str) -> str:
    return fill(f"  {name + ':':<15} {text}", _WIDTH, subsequent_indent=" " * 18)


def _row(name: str, text: str) -> str:
    return fill(f"{name + ':':<17} {text}", _WIDTH, subsequent_indent=" " * 18)
