"""Where the things of one sandbox are: as the service sees them, and as the sandbox does."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from execd.errors import CannotServe
from execd.isolation.etc import HOME
from execd.isolation.plan import Bind, Mode, Plan
from execd.isolation.trees import wipe
from execd.kernel.kernelspec import bundled_kernels
from execd.service.packages import KernelPython
from execd.settings import Settings

_INSIDE = {"workspace": "/workspace", "runtime": "/run/execd", "tmp": "/tmp"}


@dataclass(frozen=True, slots=True)
class Site:
    """`workspace`, `home`, `runtime` and `tmp` are paths inside; those that end in `_folder` are the machine's.
    `removed` goes with the sandbox; a workspace that is `in_memory` is no folder of the machine."""

    folder: Path
    workspace_folder: Path
    home_folder: Path
    runtime_folder: Path
    workspace: str
    home: str
    runtime: str
    tmp: str
    removed: tuple[Path, ...]
    in_memory: bool = False

    @classmethod
    def of(
        cls,
        mode: Mode,
        folder: Path,
        runtime: Path,
        workspace: Path | None = None,
        *,
        in_memory: bool = False,
        wanted: Mapping[str, str] | None = None,
    ) -> Site:
        """That of a sandbox whose things are in `folder`, but for its workspace, where it has one that stays. `wanted`
        are the paths inside that are asked for, of workspace and home: bubblewrap can have them anywhere."""
        ours, home = workspace or folder / "workspace", folder / "home"
        if mode is Mode.BWRAP:
            inside = {**_INSIDE, "home": HOME, **(wanted or {})}
        else:
            inside = {"workspace": str(ours), "home": str(home), "runtime": str(runtime), "tmp": str(home / "tmp")}
        return cls(folder, ours, home, runtime, removed=(folder, runtime), in_memory=in_memory, **inside)

    @classmethod
    def adopted(cls, plan: Plan, folder: Path, runtime: Path) -> Site:
        """That of a sandbox that is there already, whatever the settings are now."""
        outside = {bind.target: Path(bind.source) for bind in plan.binds}
        if plan.mode is Mode.BWRAP:
            in_memory = plan.workspace not in outside
            workspace = folder / "workspace" if in_memory else outside[plan.workspace]
        else:
            in_memory, workspace = False, Path(plan.workspace)
        wanted = {"workspace": plan.workspace, "home": plan.home}
        return cls.of(plan.mode, folder, runtime, workspace, in_memory=in_memory, wanted=wanted)

    def make(self, uid: int | None) -> None:
        """Make the folders, for this user of the machine (None: our own). Raises OSError."""
        self.folder.mkdir(mode=0o711)
        # The sandbox may look for what is in there, and change nothing of it.
        self.runtime_folder.mkdir(mode=0o755)
        folders = [self.workspace_folder, self.home_folder]
        for folder in folders if self.tmp == _INSIDE["tmp"] else [*folders, Path(self.tmp)]:
            folder.mkdir(mode=0o700, exist_ok=True)
            if uid is not None:
                os.chown(folder, uid, uid)

    def remove(self) -> None:
        """Remove what goes with the sandbox. Nothing where that has been done."""
        for folder in self.removed:
            wipe(folder)

    def binds(self) -> tuple[Bind, ...]:
        """What of it the sandbox sees, and where."""
        workspace = Bind(str(self.workspace_folder), self.workspace, writable=True)
        return (
            *(() if self.in_memory else (workspace,)),
            Bind(str(self.home_folder), self.home, writable=True),
            Bind(str(self.runtime_folder), self.runtime, writable=True),
        )


def sight(settings: Settings, python: KernelPython) -> tuple[str, ...]:
    """What every sandbox sees of the machine besides its system: the kernels, and the Python that they run in. Raises
    CannotServe where that would show what is none of a sandbox's business."""
    kernels = settings.kernels_dir or bundled_kernels()
    prefixes = [*map(Path, python.prefixes), Path(python.base).parent.parent]
    wanted = {str(path.absolute()) for path in (kernels, *prefixes)}
    shown = {path for path in wanted if path != "/" and not f"{path}/".startswith("/usr/")}
    home = Path(os.environ.get("HOME") or "/")
    for private in (settings.data_dir.absolute(), settings.workspace_dir.absolute(), home):
        for path in shown:
            if private.is_relative_to(path):
                raise CannotServe(
                    f"{path}, which the kernels or their Python are in, would be seen by every sandbox, and {private} "
                    "is in there; EXECD_KERNEL_PYTHON and EXECD_DATA_DIR name others"
                )
    return tuple(sorted(shown))
