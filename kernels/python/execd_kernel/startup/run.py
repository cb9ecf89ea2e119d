"""`import execd_run`: the kernel's own module by the name that users know it by, unless they have one of that name."""

import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

from execd_kernel import run

NAME = "execd_run"


def install(_shell: Any) -> None:
    """Let it be found after everything else."""
    if not any(isinstance(finder, RunFinder) for finder in sys.meta_path):
        sys.meta_path.append(RunFinder())


class RunFinder(MetaPathFinder, Loader):
    """Finds that module, and loads it, which is there already."""

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,  # noqa: ARG002
        target: ModuleType | None = None,  # noqa: ARG002
    ) -> ModuleSpec | None:
        """The module's, by its public name."""
        return ModuleSpec(fullname, self) if fullname == NAME else None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """A module that has what the kernel's own has."""
        module = ModuleType(spec.name, run.__doc__)
        for name in ("__all__", "__getattr__", *run.__all__):
            if name != "input":
                setattr(module, name, getattr(run, name))
        return module

    def exec_module(self, module: ModuleType) -> None:
        """Nothing is left to do."""
