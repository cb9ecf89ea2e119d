"""Acting on a library when user code imports it."""

import sys
from collections.abc import Callable, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

Action = Callable[[ModuleType], None]


def when_imported(name: str, action: Action, log: Any) -> None:
    """Call `action` with the module `name` as soon as it has been imported, or at once if it has been already.

    An action that raises is reported to `log` and does not disturb the import.
    """

    def guarded(module: ModuleType) -> None:
        try:
            action(module)
        except Exception:
            log.exception("Setting up %s failed; its outputs are shown as in stock ipykernel", name)

    if name in sys.modules:
        guarded(sys.modules[name])
    else:
        sys.meta_path.insert(0, ImportWatch(name, guarded))


class ImportWatch(MetaPathFinder):
    """A finder that finds nothing itself, and stays at the loader's side for one module."""

    def __init__(self, name: str, action: Action) -> None:
        self._name = name
        self._action = action

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The spec that the other finders give for the watched module, its loader watched; None for any other."""
        if fullname != self._name:
            return None
        for finder in sys.meta_path:
            spec = None if finder is self else finder.find_spec(fullname, path, target)
            if spec is not None:
                if spec.loader is not None:
                    spec.loader = WatchedLoader(spec.loader, self._action)
                return spec
        return None


class WatchedLoader(Loader):
    """Loads with another loader, hands the module on to it, and then acts."""

    def __init__(self, loader: Loader, action: Action) -> None:
        self._loader = loader
        self._action = action

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        """Make the module as its own loader would."""
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        """Run the module with its own loader as the only one that it can see, then act."""
        if module.__spec__ is not None:
            module.__spec__.loader = self._loader
        module.__loader__ = self._loader
        self._loader.exec_module(module)
        self._action(module)
