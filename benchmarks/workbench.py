"""Where a row works: a folder of its own, the service's settings, and the subjects made from them."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.service import Service, serving
from execd.kernel.kernelspec import KernelSpec, Kernelspecs
from execd.settings import Settings


@dataclass(frozen=True)
class Workbench:
    """`settings` hold, beside its defaults, for the service in every row, and for the kernel of the lean floor.

    `file_mib` is the size, in MiB, of the file that the rows of transfers send.
    """

    settings: Mapping[str, str]
    file_mib: int = 1024

    @contextmanager
    def service(self, **settings: str) -> Iterator[Service]:
        """A service; `settings` are what this row needs besides."""
        with (
            tempfile.TemporaryDirectory(prefix="bench") as folder,
            serving(Path(folder), {**self.settings, **settings}) as service,
        ):
            yield service

    def python_kernel(self) -> KernelSpec:
        """The kernelspec of the service's Python kernel."""
        settings = self.effective_settings()
        return Kernelspecs.of(settings).get("python")

    def effective_settings(self) -> Settings:
        """The service's settings in every row. Raises pydantic's ValidationError."""
        return Settings.model_validate(dict(self.settings))
