"""The file tree that most tests of files work in: that of the machine they run on."""

from __future__ import annotations

from execd.isolation.root import Root

MACHINE = Root.machine()
