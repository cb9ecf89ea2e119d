"""Where runs wait until all of them may go on: a file in the workspace of the sandbox `default`."""

from __future__ import annotations

import uuid

from benchmarks.service import Service


class Gate:
    """`waiting` is Python code that returns once the gate is open."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._name = f"gate-{uuid.uuid4().hex}"
        self.waiting = f"import os, time\nwhile not os.path.exists({self._name!r}): time.sleep(0.05)"

    def open(self) -> None:
        """Let everybody go on."""
        with self._service.client() as client:
            client.request("POST", "/command", {"command": f"touch {self._name}"})
