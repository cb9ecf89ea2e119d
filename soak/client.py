"""The thread of one client: it does what chance says, as long as the gate is open."""

from __future__ import annotations

import random
import threading
import time
import traceback
from collections.abc import Sequence

from soak.activities import Activity
from soak.caller import Caller
from soak.gate import Gate
from soak.tally import Failure, Tally
from tests.running_service import RunningService

_SHOWN = 3000


class Client(threading.Thread):
    """Chooses by a generator of its own, made of the soak's seed and its number. `doing` is what it does now."""

    def __init__(
        self, service: RunningService, number: int, seed: int, gate: Gate, tally: Tally, activities: Sequence[Activity]
    ) -> None:
        super().__init__(name=f"client {number}", daemon=True)
        self.number = number
        self.doing = ""
        self._chance = random.Random(f"{seed}-{number}")
        self._service = service
        self._gate = gate
        self._tally = tally
        self._activities = activities
        self._weights = [activity.weight for activity in activities]
        self._began = time.monotonic()

    def run(self) -> None:
        """Work until the gate says that it is over."""
        self.doing = "arriving"
        try:
            caller = Caller(self._service, self.number, self._chance)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is told
            self._tell("arriving", error)
            self._gate.leave()
            return
        self.doing = ""
        while self._gate.passed(caller.hang_up):
            [activity] = self._chance.choices(self._activities, self._weights)
            self._do(activity, caller)
        caller.http.close()

    def _do(self, activity: Activity, caller: Caller) -> None:
        self.doing = activity.name
        started = time.monotonic()
        try:
            activity.do(caller)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is told
            self._tell(activity.name, error)
        else:
            self._tally.done(activity.name, time.monotonic() - started)
        finally:
            self.doing = ""

    def _tell(self, where: str, error: Exception) -> None:
        said = "".join(traceback.format_exception(error))[-_SHOWN:]
        self._tally.wrong(Failure(where, self.number, time.monotonic() - self._began, said))
