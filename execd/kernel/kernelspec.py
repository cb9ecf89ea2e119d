"""The languages that exist: a folder each, with a Jupyter kernelspec in it."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path, PurePath

import execd
from execd.errors import CannotServe, UnknownLanguage
from execd.settings import PythonKernel, Settings

# As execd_kernel.choice has it.
_PYTHON_KERNEL = "EXECD_PYTHON_KERNEL"


@dataclass(frozen=True, slots=True)
class KernelSpec:
    """A language's kernel.json (https://jupyter-client.readthedocs.io/en/stable/kernels.html#kernel-specs).

    Its metadata may name, under `execd`, an `engine` other than `jupyter`: `zygote` for our own Python kernel, which
    can be forked and says when it is ready, or `bash`, with the file that this one begins with. `stock`: of our Python
    kernel, that without our output path (kernels/README.md), which is never forked.
    """

    language: str
    display_name: str
    argv: tuple[str, ...]
    env: tuple[tuple[str, str], ...]
    folder: Path
    interrupt_mode: str = "signal"
    engine: str = "jupyter"
    prelude: Path | None = None
    stock: bool = False

    @property
    def forks(self) -> bool:
        """Whether it can be forked from a zygote, and be started before anybody wants it."""
        return self.engine == "zygote" and not self.stock

    @property
    def takes_envs(self) -> bool:
        """Whether a run can have environment variables of its own: those kernels know how that are ours."""
        return self.engine in ("zygote", "bash")

    def command(self, connection_file: PurePath) -> list[str]:
        """The argv to start this kernel with, its placeholders filled in."""
        places = {"{connection_file}": str(connection_file), "{resource_dir}": str(self.folder)}
        return [_fill(argument, places) for argument in self.argv]


def _fill(argument: str, places: dict[str, str]) -> str:
    for place, value in places.items():
        argument = argument.replace(place, value)
    return argument


class Kernelspecs:
    """The kernelspecs of one folder, by language. Read once: a service that serves does not change languages."""

    def __init__(self, specs: dict[str, KernelSpec]) -> None:
        self._specs = specs

    @classmethod
    def read(cls, folder: Path, python: Path, python_kernel: PythonKernel = "lean") -> Kernelspecs:
        """Every `*/kernel.json` below `folder`; a leading `python` in an argv becomes `python`, the interpreter; our
        own Python kernel is the one that `python_kernel` names.

        Raises CannotServe, naming the file, for one that is no kernelspec, or the folder when there is none.
        """
        if not folder.is_dir():
            raise CannotServe(f"there is no folder of kernels at {folder}; EXECD_KERNELS_DIR names another")
        found = (_read(path) for path in sorted(folder.glob("*/kernel.json")))
        chosen = (_as_stock(spec) if python_kernel == "stock" else spec for spec in found)
        return cls({spec.language: _with_interpreter(spec, python) for spec in chosen})

    @classmethod
    def of(cls, settings: Settings) -> Kernelspecs:
        """Those that a service with these settings has. Raises CannotServe."""
        return cls.read(settings.kernels_dir or bundled_kernels(), settings.kernel_python, settings.python_kernel)

    @property
    def languages(self) -> list[str]:
        """The languages that exist, sorted."""
        return sorted(self._specs)

    def get(self, language: str) -> KernelSpec:
        """The kernelspec of a language. Raises UnknownLanguage, which names those that exist."""
        try:
            return self._specs[language]
        except KeyError:
            raise UnknownLanguage(language, self.languages) from None


def bundled_kernels() -> Path:
    """The folder of kernels that comes with execd: inside the package when installed, beside it in a checkout."""
    package = Path(execd.__file__).parent
    installed = package / "kernels"
    return installed if installed.is_dir() else package.parent / "kernels"


def _read(path: Path) -> KernelSpec:
    try:
        spec = json.loads(path.read_text("utf-8"))
        ours = spec.get("metadata", {}).get("execd", {})
        return KernelSpec(
            language=spec["language"],
            display_name=spec["display_name"],
            argv=tuple(spec["argv"]),
            env=tuple(spec.get("env", {}).items()),
            folder=path.parent,
            interrupt_mode=spec.get("interrupt_mode", "signal"),
            engine=ours.get("engine", "jupyter"),
            prelude=path.parent / ours["prelude"] if "prelude" in ours else None,
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise CannotServe(f"{path} is no kernelspec: {error!r}") from error


def _with_interpreter(spec: KernelSpec, python: Path) -> KernelSpec:
    if spec.argv[:1] != ("python",):
        return spec
    return replace(spec, argv=(str(python), *spec.argv[1:]))


def _as_stock(spec: KernelSpec) -> KernelSpec:
    if spec.engine != "zygote":
        return spec
    return replace(spec, env=(*spec.env, (_PYTHON_KERNEL, "stock")), stock=True)
