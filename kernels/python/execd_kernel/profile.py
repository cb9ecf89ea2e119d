"""The IPython profile of a kernel that must not write into the home folder."""

import fnmatch
from pathlib import Path
from typing import Any

from IPython.core.profiledir import ProfileDir
from traitlets import observe


class ReadOnlyProfile(ProfileDir):
    """A profile folder that is read when it is there, and never made.

    Configuration and start-up files in it work as they do in IPython.
    """

    @observe("location")
    def _location_changed(self, change: dict[str, Any]) -> None:
        for name in ("log", "startup", "security", "pid", "static"):
            setattr(self, f"{name}_dir", str(Path(change["new"], getattr(self, f"{name}_dir_name"))))

    def _mkdir(self, path: str, mode: int | None = None) -> bool:  # noqa: ARG002
        return False


class ProfileStore(dict[str, Any]):
    """What `%cd`, `%bookmark` and `%store` remember, for as long as the kernel lives.

    It stands in for IPython's pickle folder, of which only `keys` differs from a dict's.
    """

    def keys(self, pattern: str | None = None) -> Any:
        """The keys, or those that match a shell pattern."""
        return super().keys() if pattern is None else fnmatch.filter(self, pattern)
