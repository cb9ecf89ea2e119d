"""What the warden does: it answers clients, and ends everything when none has come for a time."""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import socket
import struct
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from typing import Any

from execd.isolation import entrance
from execd.warden.birth import execute, start
from execd.warden.connection import Connection
from execd.warden.enclosures import Enclosed, kill, plan_of
from execd.warden.loop import Loop
from execd.warden.means import Means
from execd.warden.processes import Process, Processes, descendants
from execd.warden.protocol import VERSION, Message, close_all, failure
from execd.warden.walls import ENCLOSURES
from execd.warden.zygotes import Zygotes

Reply = Callable[[dict[str, Any]], None]


class Supervisor:
    """Sandboxes and processes, and the clients that may ask for them."""

    def __init__(self, loop: Loop, listener: socket.socket, lock: int, patience: float) -> None:
        """`lock` is a descriptor of the file that clients must be able to read, `patience` how many seconds everything
        lives on without a client."""
        self._loop = loop
        self._lock = lock
        self._listener = listener
        self._patience = patience
        self._connections: set[Connection] = set()
        self._sandboxes: dict[str, Enclosed] = {}
        self._processes = Processes(loop, self._ended)
        self._processes.on_reaped = self._reaped
        self._zygotes = Zygotes(self._processes, os.path.join(os.getcwd(), "cache"))
        self._means = Means(os.getcwd())
        self._means.clear()
        self._ending = False
        self._operations: dict[str, Callable[[_Request], None]] = {
            "hello": self._hello,
            "open": self._open,
            "close": self._close,
            "launch": self._launch,
            "probe": self._probe,
            "prepare": self._prepare,
            "fork_kernel": self._fork_kernel,
            "root": self._root,
            "socket": self._socket,
            "signal": self._signal,
            "status": self._status,
            "release": self._release,
            "kept": self._kept,
            "drop": self._drop,
            "freeze": self._freeze,
            "thaw": self._thaw,
            "oom_kills": self._oom_kills,
            "usage": self._usage,
            "members": self._members,
            "let_write": self._let_write,
            "end": self._end,
        }
        listener.setblocking(False)
        loop.watch(listener.fileno(), self._accept)
        self._forgive = loop.after(patience, self.end)

    def end(self) -> None:
        """End every process, and then the loop."""
        if self._ending:
            return
        self._ending = True
        self._forgive()
        self._loop.forget(self._listener.fileno())
        self._zygotes.end()
        for sandbox in list(self._sandboxes.values()):
            sandbox.close(lambda: None)
        self._stop_when_alone()

    def _stop_when_alone(self) -> None:
        if self._ending:
            for pid in descendants(os.getpid()):
                kill(pid, signal.SIGKILL)
            if not self._processes.any_left():
                self._loop.stop()

    def _accept(self) -> None:
        try:
            sock, _ = self._listener.accept()
        except OSError:
            return
        if peer_of(sock) not in (0, os.geteuid()):
            sock.close()
            return
        self._connections.add(Connection(self._loop, sock, self._heed, self._hung_up))
        self._forgive()

    def _hung_up(self, connection: Connection) -> None:
        self._connections.discard(connection)
        if not self._connections and not self._ending:
            self._forgive = self._loop.after(self._patience, self.end)

    def _admit(self, connection: Connection, fds: list[int]) -> None:
        connection.admitted = len(fds) == 1 and can_read(fds[0], self._lock)
        if not connection.admitted:
            connection.close()

    def _heed(self, connection: Connection, message: Message, fds: list[int]) -> None:
        if not connection.admitted:
            self._admit(connection, fds)
            return
        request = _Request(connection, message, fds)
        operation = self._operations.get(str(message.get("op")))
        if operation is None:
            request.refuse(OSError(errno.ENOSYS, f"the warden does not know how to {message.get('op')}"))
            return
        try:
            operation(request)
        except OSError as error:
            request.refuse(error)
        except (KeyError, TypeError, ValueError) as error:
            request.refuse(OSError(errno.EINVAL, f"{type(error).__name__}: {error}"))

    def _announce(self, event: Message) -> None:
        for connection in [connection for connection in self._connections if connection.listens]:
            connection.tell(event)

    def _hello(self, request: _Request) -> None:
        request.connection.listens = bool(request.message.get("listen"))
        sandboxes = {
            name: {"plan": asdict(sandbox.plan), "lost": sandbox.lost} for name, sandbox in self._sandboxes.items()
        }
        processes = [process.describe() for process in self._processes.known.values()]
        request.answer({"version": VERSION, "pid": os.getpid(), "sandboxes": sandboxes, "processes": processes})

    def _open(self, request: _Request) -> None:
        plan = plan_of(request.message["plan"])
        if plan.id in self._sandboxes:
            raise OSError(errno.EEXIST, f"there is a sandbox {plan.id} already")
        sandbox = ENCLOSURES[plan.mode](plan, self._processes, self._loop, self._means)
        self._sandboxes[plan.id] = sandbox
        sandbox.on_lost = lambda: self._announce({"event": "sandbox_lost", "sandbox": plan.id})

        def opened(error: OSError | None) -> None:
            if error is None:
                request.answer({})
            else:
                self._sandboxes.pop(plan.id, None)
                request.refuse(error)

        try:
            sandbox.open(opened)
        except OSError as error:
            sandbox.close(partial(opened, error))

    def _close(self, request: _Request) -> None:
        name = request.message["sandbox"]

        def closed() -> None:
            self._sandboxes.pop(name, None)
            request.answer({})

        if name in self._sandboxes:
            self._sandboxes[name].close(closed)
        else:
            closed()

    def _launch(self, request: _Request) -> None:
        argv, env = request.message["argv"], request.message["env"]
        sandbox = self._find(request)

        def begin(report: int) -> None:
            birth = sandbox.birth(request.message, request.fds, report)
            try:
                inside = start(birth, entrance, shim=sandbox.walled)
            except OSError:
                close_all(birth.cgroups)
                raise
            if inside is not None:
                execute(argv, env, inside)
            close_all(birth.cgroups)

        self._bring_up(request, begin, executes=True)

    def _fork_kernel(self, request: _Request) -> None:
        sandbox = self._find(request)

        def begin(report: int) -> None:
            birth = sandbox.birth(request.message, request.fds, report)
            try:
                self._zygotes.fork(request.message["argv"], request.message["env"], birth)
            finally:
                close_all(birth.cgroups)

        self._bring_up(request, begin, executes=False)

    def _bring_up(self, request: _Request, begin: Callable[[int], None], *, executes: bool) -> None:
        sandbox, held = self._find(request), bool(request.message["held"])

        def started(process: Process) -> None:
            self._has_started(process, request)

        process, report = self._processes.expect(sandbox.plan.id, started, held=held, executes=executes)
        try:
            process.label = str(request.message.get("label") or "")
            process.keep(request.kept, request.ours)
            begin(report)
        except OSError as error:
            process.error = failure(error)
        except (KeyError, TypeError, ValueError) as error:
            process.error = failure(OSError(errno.EINVAL, f"{type(error).__name__}: {error}"))
        finally:
            os.close(report)

    def _has_started(self, process: Process, request: _Request) -> None:
        if process.error is not None:
            process.drop()
            request.connection.tell({"id": request.message["id"], "error": process.error})
            return
        for name, sandbox in self._sandboxes.items():
            if name == process.sandbox:
                sandbox.started(process)
            else:
                sandbox.forget_session(process.pid)
        request.answer({"process": process.number, "pid": process.pid})
        if not request.connection.open:  # Nobody will ever ask for it.
            process.signal(signal.SIGKILL, group=True)
            self._processes.release(process)

    def _probe(self, request: _Request) -> None:
        request.answer(self._means.describe(request.message["user"], request.message["bwrap"]))

    def _prepare(self, request: _Request) -> None:
        self._zygotes.prepare(request.message["argv"])
        request.answer({})

    def _socket(self, request: _Request) -> None:
        with self._find(request).socket(request.message["family"]) as made:
            request.answer({}, [made.fileno()])

    def _signal(self, request: _Request) -> None:
        process = self._processes.known.get(request.message["process"])
        if process is not None:
            process.signal(request.message["signal"], group=request.message["group"])
        request.answer({})

    def _status(self, request: _Request) -> None:
        process = self._processes.known.get(request.message["process"])
        if process is not None:
            # Who asks may have seen the end before us.
            self._processes.look_at(process)
        request.answer({} if process is None else process.describe())

    def _release(self, request: _Request) -> None:
        process = self._processes.known.get(request.message["process"])
        if process is not None:
            self._processes.release(process)
        request.answer({})

    def _kept(self, request: _Request) -> None:
        process = self._processes.known.get(request.message["process"])
        kept = {} if process is None else process.kept or {}
        request.answer({"names": list(kept)}, list(kept.values()))

    def _drop(self, request: _Request) -> None:
        process = self._processes.known.get(request.message["process"])
        if process is not None:
            process.drop(request.message["names"])
        request.answer({})

    def _freeze(self, request: _Request) -> None:
        self._find(request).freeze(lambda: request.answer({}))

    def _thaw(self, request: _Request) -> None:
        self._find(request).thaw()
        request.answer({})

    def _oom_kills(self, request: _Request) -> None:
        request.answer({"count": self._find(request).oom_kills()})

    def _usage(self, request: _Request) -> None:
        request.answer(self._find(request).usage())

    def _members(self, request: _Request) -> None:
        request.answer({"pids": self._find(request).members()})

    def _let_write(self, request: _Request) -> None:
        self._find(request).let_write(allowed=request.message["allowed"])
        request.answer({})

    def _root(self, request: _Request) -> None:
        root = self._find(request).root()
        try:
            request.answer({}, [root])
        finally:
            os.close(root)

    def _end(self, request: _Request) -> None:
        request.answer({})
        self.end()

    def _find(self, request: _Request) -> Enclosed:
        sandbox = self._sandboxes.get(request.message["sandbox"])
        if sandbox is None:
            raise OSError(errno.ESRCH, "there is no such sandbox")
        return sandbox

    def _ended(self, process: Process) -> None:
        if process.sandbox in self._sandboxes:
            self._sandboxes[process.sandbox].note_end(process)
        self._announce({"event": "exit", **process.describe()})

    def _reaped(self, pid: int) -> None:
        for sandbox in list(self._sandboxes.values()):
            sandbox.reaped(pid)
        self._stop_when_alone()


def can_read(fd: int, file: int) -> bool:
    """Whether the first is open for reading on the same file as the second."""
    flags = fcntl.fcntl(fd, fcntl.F_GETFL)
    readable = not flags & os.O_PATH and flags & os.O_ACCMODE in (os.O_RDONLY, os.O_RDWR)
    return readable and os.path.samestat(os.fstat(fd), os.fstat(file))


def peer_of(sock: socket.socket) -> int:
    """The user who connected."""
    return int(struct.unpack("3i", sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[1])


class _Request:
    """What a client asks for, and how it is answered."""

    def __init__(self, connection: Connection, message: Message, fds: list[int]) -> None:
        self.connection = connection
        self.message = message
        self.kept: list[str] = message.get("keep") or []
        theirs = len(fds) - len(self.kept)
        self.fds = fds[:theirs]
        self.ours = fds[theirs:]

    def answer(self, result: dict[str, Any], fds: list[int] | None = None) -> None:
        """Say that it is done."""
        self.connection.tell({"id": self.message.get("id"), "result": result}, fds or ())

    def refuse(self, error: OSError) -> None:
        """Say that it cannot be done."""
        self.connection.tell({"id": self.message.get("id"), "error": failure(error)})
