"""Making a fork of the zygote what a freshly started kernel is.

What Python and the libraries have read when they were imported, from the environment, the clock's zone, the home or
the machine's randomness, they read again. What cannot be had again: a hash seed of one's own, and what a library in
compiled code reads once, as OMP_NUM_THREADS (both are the zygote's).
"""

import contextlib
import gc
import locale
import os
import platform
import secrets
import signal
import site
import sys
import sysconfig
import tempfile
import time
from collections.abc import Mapping, Sequence
from typing import Any


def set_right(argv: Sequence[str], env: dict[str, str], imported: Mapping[str, str]) -> None:
    """Do all of it, in a fork that has its working directory and descriptors already. `imported` are variables that
    libraries have set while they were imported."""
    gc.enable()
    set_signals()
    set_environment({**imported, **env})
    set_arguments(argv)
    set_path()
    set_home()
    set_randomness()
    for module, act in LIBRARIES.items():
        if module in sys.modules:
            with contextlib.suppress(Exception):
                act(sys.modules[module])


def set_signals() -> None:
    """Handle what Python handles, and ignore what it ignores."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for signum in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(signum, signal.SIG_IGN)


def set_environment(env: dict[str, str]) -> None:
    """Take on the environment, its time zone and its locale."""
    os.environ.clear()
    os.environ.update(env)
    time.tzset()
    with contextlib.suppress(locale.Error):
        locale.setlocale(locale.LC_CTYPE, "")


def set_arguments(argv: Sequence[str]) -> None:
    """Have been started with these, the program among them."""
    sys.argv[:] = argv
    sys.orig_argv[:] = [sys.executable, *argv]


def set_path() -> None:
    """Find modules where PYTHONPATH and the user's own site-packages are."""
    site.USER_BASE = site.USER_SITE = None
    mine = site.getusersitepackages()
    # Decided when Python starts; a virtual environment has none.
    if site.ENABLE_USER_SITE and os.path.isdir(mine) and mine not in sys.path:
        before = list(sys.path)
        site.addsitedir(mine)
        added = [entry for entry in sys.path if entry not in before]
        first = next((at for at, entry in enumerate(before) if entry.endswith("-packages")), len(before))
        sys.path[:] = [*before[:first], *added, *before[first:]]
    named = os.environ.get("PYTHONPATH", "")
    sys.path[:0] = [os.path.abspath(entry) for entry in named.split(os.pathsep)] if named else []


def set_home() -> None:
    """Look anew for what belongs to a user or a machine."""
    tempfile.tempdir = None
    known: Any = sysconfig.get_config_vars()
    known["userbase"] = site.getuserbase()
    with contextlib.suppress(AttributeError):
        platform._uname_cache = None  # type: ignore[attr-defined]


def set_randomness() -> None:
    """Draw anew what must be nobody else's. (The module `random` does so by itself in any fork.)"""
    processes = sys.modules.get("multiprocessing.process")
    if processes is not None:
        processes.current_process().authkey = secrets.token_bytes(32)


def set_numpy(numpy: Any) -> None:
    """Seed the generator of numpy.random's own functions."""
    numpy.random.seed()


def set_matplotlib(matplotlib: Any) -> None:
    """Read the settings that this user, this folder and this environment have."""
    for name in ("get_configdir", "get_cachedir"):
        function = getattr(matplotlib, name)
        setattr(matplotlib, name, matplotlib._logged_cached(f"{name}=%s")(function.__wrapped__))
    backend = os.environ.get("MPLBACKEND") or "module://matplotlib_inline.backend_inline"
    set_rc(matplotlib, {"backend": backend})
    folder = os.environ.get("MPLCONFIGDIR") or os.path.join(matplotlib._get_xdg_config_dir(), "matplotlib")
    if has_settings(folder):
        set_rc(matplotlib, {**matplotlib.rc_params(), "backend": backend})
    style = sys.modules.get("matplotlib.style.core") or sys.modules.get("matplotlib.style")
    if style is not None:
        style.USER_LIBRARY_PATHS[:] = [os.path.join(folder, "stylelib")]
        if os.path.isdir(style.USER_LIBRARY_PATHS[0]):
            style.reload_library()


def set_rc(matplotlib: Any, fresh: dict[str, Any]) -> None:
    """Put settings in place, and let those be what the user may go back to."""
    for settings in (matplotlib.rcParams, matplotlib.rcParamsOrig):
        dict.update(settings, fresh)


def has_settings(folder: str) -> bool:
    """Whether there are settings for matplotlib. It is not asked itself: that makes its folder in the home."""
    named = os.environ.get("MATPLOTLIBRC", "")
    places = ("matplotlibrc", named, *(os.path.join(where, "matplotlibrc") for where in (named, folder)))
    return any(map(os.path.isfile, places))


def set_parso(cache: Any) -> None:
    """Cache what completion has parsed in this user's home."""
    cache._default_cache_path = cache._get_default_cache_path()


LIBRARIES = {"numpy": set_numpy, "matplotlib": set_matplotlib, "parso.cache": set_parso}
