"""The stock kernel: ipykernel as it is, for where the lean one is in doubt.

It answers what a service asks for, and has the start-up files. Its streams, iopub, session, interrupts, shell and
history are ipykernel's own, with what they do: kernels/README.md tells it.
"""

from ipykernel.kernelbase import Kernel
from traitlets import Type

from execd_kernel import startup
from execd_kernel.served import ServedApp, ServedKernel


class StockApp(ServedApp):
    """ipykernel's application with those start-up files."""

    kernel_class = Type(ServedKernel, klass=Kernel)

    def init_shell(self) -> None:
        """Take the shell from the kernel, and install the start-up files in it."""
        super().init_shell()  # type: ignore[no-untyped-call]
        startup.install(self.shell)
