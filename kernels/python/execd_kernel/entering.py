"""A kernel that waits for its user: started ahead, and given its folder when somebody wants one.

What a kernel reads once, when it starts, may have changed while this one waited: settings, start-up files, packages.
Then it is not what a new one would be, and says so.
"""

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from execd_kernel import forked
from execd_kernel.packages import is_shadowing, packages_folder


def enter(kernel: Any, wanted: Mapping[str, Any]) -> bool:
    """Go to the folder `cwd`, if that makes it what a new kernel would be; with `warm`, run something silent as well,
    so that the first cell finds its pages in place."""
    if not is_fresh(kernel.parent):
        return False
    try:
        os.chdir(wanted["cwd"])
    except OSError:
        return False
    os.environ["PWD"] = wanted["cwd"]
    shell = kernel.shell
    shell.begin_here()
    if "matplotlib" in sys.modules:
        forked.set_matplotlib(sys.modules["matplotlib"])
    if wanted.get("warm"):
        shell.run_silently()
    return True


def is_fresh(app: Any) -> bool:
    """Whether what was read when it started is what would be read now."""
    folder = packages_folder()
    scripts = Path(app.profile_dir.startup_dir)
    return (
        hasattr(app, "fits")
        and app.fits(sys.argv[1:])
        and not (folder is not None and is_shadowing(folder))
        and not (scripts.is_dir() and any(scripts.iterdir()))
    )
