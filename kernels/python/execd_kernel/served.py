"""What a service asks of a kernel beyond Jupyter's protocol, and is told by it; the same for each kind of kernel."""

import os
from typing import Any

from ipykernel.ipkernel import IPythonKernel
from ipykernel.kernelapp import IPKernelApp

from execd_kernel import entering, run, variables
from execd_kernel.outcomes import Outcomes

READY = "EXECD_READY_FD"
"""The variable that names the descriptor on which a service waits for the kernel; the service watches the process."""

ENTER, ENTERED = "execd_enter_request", "execd_enter_reply"
OUTCOME, OUTCOME_TOLD = "execd_outcome_request", "execd_outcome_reply"


class ServedKernel(IPythonKernel):
    """ipykernel's kernel that a service can ask for more."""

    msg_types = [*IPythonKernel.msg_types, ENTER, OUTCOME]  # noqa: RUF012 - as stock has it
    control_msg_types = [*IPythonKernel.control_msg_types, OUTCOME]  # noqa: RUF012 - as stock has it

    def __init__(self, **options: Any) -> None:
        self._outcomes = Outcomes()
        super().__init__(**options)  # type: ignore[no-untyped-call]

    def execd_enter_request(self, stream: Any, ident: Any, parent: Any) -> None:
        """Be a kernel that was started in another folder, now, before it has run anything. `entered` in the reply says
        whether it is what a new one would be."""
        entered = entering.enter(self, parent["content"])
        session: Any = self.session
        session.send(stream, ENTERED, {"status": "ok", "entered": entered}, parent, ident)

    def execd_outcome_request(self, stream: Any, ident: Any, parent: Any) -> None:
        """Say what has become of the request `msg_id`, on the control channel also while code runs."""
        session: Any = self.session
        told = self._outcomes.of(str(parent["content"].get("msg_id")))
        session.send(stream, OUTCOME_TOLD, {"status": "ok", **told}, parent, ident)

    async def execute_request(self, stream: Any, ident: Any, parent: Any) -> None:
        """Run a cell, with the environment variables that came for it, and remember what becomes of it."""
        self._outcomes.begin(parent["header"]["msg_id"])
        run.begin(parent)
        with variables.set_for_a_run(variables.taken_from(parent)):
            await super().execute_request(stream, ident, parent)  # type: ignore[no-untyped-call]

    def finish_metadata(self, parent: Any, metadata: Any, reply_content: Any) -> Any:
        """Complete a reply that is about to be sent."""
        self._outcomes.end(parent["header"]["msg_id"], reply_content)
        return super().finish_metadata(parent, metadata, reply_content)  # type: ignore[no-untyped-call]


class ServedApp(IPKernelApp):
    """ipykernel's application for a kernel that a service has started."""

    def initialize(self, argv: Any = None) -> None:
        """Prepare everything, and say so on the descriptor that `EXECD_READY_FD` names."""
        super().initialize(argv)  # type: ignore[no-untyped-call]
        self.announce()

    def announce(self) -> None:
        """Say that the sockets are bound."""
        descriptor = os.environ.pop(READY, None)
        if descriptor is not None:
            os.write(int(descriptor), b"R")
            os.close(int(descriptor))

    def init_heartbeat(self) -> None:
        """Answer heartbeats, unless whoever started us says that it hears of our end in another way."""
        if READY not in os.environ:
            super().init_heartbeat()  # type: ignore[no-untyped-call]
