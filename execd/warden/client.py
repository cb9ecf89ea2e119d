"""The service's side of the warden.

    warden = await Warden.reach(folder, patience=30)     # adopts the one that listens there, or starts one
    enclosure = await warden.open(plan)                  # a Launcher
    started = enclosure.launch(Launch(...))
    await enclosure.close()
    warden.hang_up()                                     # leaves everything running for `patience` seconds

To be used in one event loop; `Enclosure.launch` alone may be called from any thread.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import socket
import subprocess
import sys
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from signal import SIGKILL, Signals

import anyio
import structlog

from execd.isolation import bubblewrap
from execd.isolation.launch import Exit, Launch
from execd.isolation.plan import Mode, Plan
from execd.isolation.probe import Facts
from execd.isolation.usage import Usage
from execd.waiting import Occasion
from execd.warden.enclosures import plan_of
from execd.warden.line import Line, connect, exit_of, fds_of, request_of, result_of
from execd.warden.protocol import VERSION, Message, close_all, receive, send

log = structlog.get_logger(__name__)

_ANOTHER_LISTENS = 75
_LAST_SECONDS = 5.0
_ATTEMPTS = 5
_ENVIRONMENT = ("PATH", "LANG", "LC_ALL", "TMPDIR")
_REMEMBERED_EXITS = 4096
_PROGRAM = Path(__file__).parent / "__main__.py"


class Child:
    """A process that the warden started; a `Started`. One that is held can be signalled by its group until it is
    released."""

    def __init__(self, warden: Warden, told: Message, *, held: bool, kept: Sequence[str] | None) -> None:
        self.pid: int = told["pid"]
        self.exit: Exit | None = None
        self.number: int = told["process"]
        self.label: str = told.get("label", "")
        self.kept = set(kept or ())
        """The names of the descriptors that the warden keeps for it."""
        self._warden = warden
        self._held = held
        self._remembered = held or kept is not None
        self._callbacks: list[Callable[[Exit], None]] = []

    def on_exit(self, callback: Callable[[Exit], None]) -> None:
        """Call this, in the event loop, once it has ended; soon, if it has."""
        if self.exit is None:
            self._callbacks.append(callback)
        else:
            asyncio.get_running_loop().call_soon(callback, self.exit)

    def signal(self, signum: Signals) -> None:
        """Signal the process; nothing once it has ended."""
        if self.exit is None:
            self._warden.tell({"op": "signal", "process": self.number, "signal": int(signum), "group": False})

    def signal_group(self, signum: Signals) -> None:
        """Signal its process group; nothing once it has ended, or, if it is held, has been released."""
        if self.exit is None or self._held:
            self._warden.tell({"op": "signal", "process": self.number, "signal": int(signum), "group": True})

    def take(self) -> dict[str, int]:
        """Copies of the descriptors that are kept for it, by their names; they are the caller's. Raises OSError."""
        told, fds = self._warden.call({"op": "kept", "process": self.number})
        return dict(zip(told["names"], fds, strict=True))

    def drop(self, *names: str) -> None:
        """Have these of the descriptors that are kept for it closed."""
        dropped = self.kept.intersection(names)
        if dropped:
            self.kept -= dropped
            self._warden.tell({"op": "drop", "process": self.number, "names": sorted(dropped)})

    def release(self) -> None:
        """Let its number go to others, if it was `held`, and have what is kept for it closed. Safe to call twice."""
        if self._remembered:
            self._held = self._remembered = False
            self.kept.clear()
            self._warden.tell({"op": "release", "process": self.number})

    def ended(self, how: Exit) -> None:
        """It has ended; for the warden's client to say."""
        if self.exit is None:
            self.exit = how
            callbacks, self._callbacks = self._callbacks, []
            for callback in callbacks:
                callback(how)


class Enclosure:
    """A sandbox that is there, and a `Launcher` in it.

    `root` is an O_PATH descriptor of its root folder, open until `close`. `lost` is set when it has ended without
    being closed: its first process was killed, or the warden.
    """

    def __init__(self, warden: Warden, plan: Plan, root: int, children: Sequence[Child] = ()) -> None:
        self.plan = plan
        self.root = root
        self.lost = Occasion()
        self.children = list(children)
        """What an earlier client had started in it and still ran, or was held, when it was adopted."""
        self._warden = warden

    def launch(self, wanted: Launch) -> Child:
        """Start a process; returns when it executes its program. Raises OSError."""
        return self._warden.launch(request_of("launch", self.plan.id, wanted), fds_of(wanted))

    async def begin(self, wanted: Launch) -> Child:
        """The same, while others go on. Raises OSError."""
        return await self._warden.begin(request_of("launch", self.plan.id, wanted), fds_of(wanted))

    async def fork_kernel(self, wanted: Launch) -> Child:
        """Start a kernel as a fork of the zygote; returns when it is about to open its sockets. Raises OSError."""
        return await self._warden.fork(request_of("fork_kernel", self.plan.id, wanted), fds_of(wanted))

    def socket(self, family: int = socket.AF_INET) -> socket.socket:
        """A new TCP socket that belongs to the sandbox's network. Raises OSError."""
        _, fds = self._warden.call({"op": "socket", "sandbox": self.plan.id, "family": int(family)})
        return socket.socket(fileno=fds[0])

    def claim(self, label: str) -> list[Child]:
        """The processes of an earlier client's that have this label, from the oldest on; they are the caller's from
        now on."""
        found = sorted((child for child in self.children if child.label == label), key=lambda child: child.number)
        self.children = [child for child in self.children if child not in found]
        return found

    def disown(self) -> list[str]:
        """Kill those that nobody has claimed, with their groups, and let them go. Returns their labels."""
        unclaimed, self.children = self.children, []
        for child in unclaimed:
            child.signal_group(SIGKILL)
            child.release()
        return [child.label for child in unclaimed]

    async def freeze(self) -> None:
        """Let every process in it stand still. Raises OSError."""
        await self._warden.ask({"op": "freeze", "sandbox": self.plan.id})

    async def thaw(self) -> None:
        """Let them go on. Raises OSError."""
        await self._warden.ask({"op": "thaw", "sandbox": self.plan.id})

    def usage(self) -> Usage:
        """What all of it uses at the moment. Raises OSError."""
        result, _ = self._warden.call({"op": "usage", "sandbox": self.plan.id})
        return Usage(**result)

    async def close(self) -> None:
        """End every process in it, and return when all of it is gone. Safe to call twice, and when it is lost."""
        with contextlib.suppress(OSError):
            await self._warden.ask({"op": "close", "sandbox": self.plan.id})
        self._warden.forget(self)
        if self.root >= 0:
            os.close(self.root)
            self.root = -1

    def oom_kills(self) -> int:
        """How many of its processes the machine has killed because all of them took too much memory."""
        result, _ = self._warden.call({"op": "oom_kills", "sandbox": self.plan.id})
        return int(result["count"])

    async def members(self) -> list[int]:
        """The processes in it, but for what holds it. Raises OSError."""
        result, _ = await self._warden.ask({"op": "members", "sandbox": self.plan.id})
        return list(result["pids"])

    async def let_write(self, *, allowed: bool) -> None:
        """Let its processes write to files, or not (EFBIG). Raises OSError."""
        await self._warden.ask({"op": "let_write", "sandbox": self.plan.id, "allowed": allowed})


class Warden:
    """A connection to a warden that lives. `lost` is set when it has ended, and everything with it. Where there is no
    pid namespace, what its children had started themselves has not: the service kills that by its marks."""

    def __init__(self, folder: Path, listening: socket.socket, line: Line) -> None:
        self.lost = Occasion()
        self.pid = 0
        self.enclosures: dict[str, Enclosure] = {}
        """The sandboxes that are open, those that were adopted too, by their ids."""
        self._folder = folder
        self._ending = False
        self._listening = listening
        self._line = line
        self._lock = threading.Lock()
        self._sending = anyio.Lock()
        self._number = 0
        self._answers: dict[int, asyncio.Future[tuple[Message, list[int]]]] = {}
        self._children: dict[int, Child] = {}
        self._early: OrderedDict[int, Exit] = OrderedDict()
        self._lost_early: set[str] = set()
        self._loop = asyncio.get_running_loop()
        listening.setblocking(False)
        self._loop.add_reader(listening.fileno(), self._read)

    @classmethod
    async def reach(cls, folder: Path, patience: float) -> Warden:
        """Adopt the warden of this folder, or start one, which lives on for `patience` seconds whenever nobody is
        connected. Raises OSError."""
        for _ in range(_ATTEMPTS):
            with contextlib.suppress(ConnectionRefusedError, FileNotFoundError):
                return await cls._adopt(folder)
            await anyio.to_thread.run_sync(_start, folder, patience)
        raise OSError(errno.ECONNREFUSED, "the warden does not listen", str(folder))

    async def open(self, plan: Plan) -> Enclosure:
        """Make a sandbox. Raises OSError."""
        self._lost_early.discard(plan.id)
        await self.ask({"op": "open", "plan": asdict(plan)})
        try:
            return await self._enclosure(plan, ())
        except BaseException:
            # It was lost just now. Nobody else ends it, and its name would be taken for ever.
            with anyio.CancelScope(shield=True), contextlib.suppress(OSError):
                await self.ask({"op": "close", "sandbox": plan.id})
            raise

    async def probe(self, user: int | None) -> Facts:
        """What isolation this machine allows, for sandboxes of this user of it (None: the service's own)."""
        # The warden imports no packages, so it would not find bubblewrap's.
        told, _ = await self.ask({"op": "probe", "user": user, "bwrap": bubblewrap.program()})
        obstacles = {Mode(mode): reason for mode, reason in told["obstacles"].items()}
        return Facts(**{**told, "obstacles": obstacles, "controllers": frozenset(told["controllers"])})

    async def prepare(self, argv: Sequence[str]) -> None:
        """Let the zygote for kernels with such a command start now, not with the first kernel. Raises OSError."""
        await self.ask({"op": "prepare", "argv": list(argv)})

    async def end(self) -> None:
        """End every sandbox and the warden itself, and return when it is gone."""
        self._ending = True
        process = _process(self.pid)
        with contextlib.suppress(OSError):
            await self.ask({"op": "end"})
        await self.lost.wait()
        self.hang_up()
        if process is not None:
            try:
                # It holds its lock until then, by which others see that it lives.
                with anyio.move_on_after(_LAST_SECONDS):
                    await anyio.wait_readable(process)
            finally:
                os.close(process)

    def leave(self) -> None:
        """Close the connection and leave everything as it is, and tell nobody of an end: nothing has ended. Nothing may
        be asked of it any more. Safe to call twice."""
        self._children.clear()
        self.enclosures.clear()
        self.hang_up()

    def hang_up(self) -> None:
        """Close the connection and leave everything as it is; for who has started it, it has ended. Safe to call
        twice."""
        if self._listening.fileno() >= 0:
            self._loop.remove_reader(self._listening.fileno())
            self._listening.close()
            self._line.close()
            self._fail()

    def launch(self, request: Message, fds: Sequence[int]) -> Child:
        """For `Enclosure`."""
        result, _ = self.call(request, fds)
        return self._child(result, held=request["held"], kept=request.get("keep") or None)

    async def begin(self, request: Message, fds: Sequence[int]) -> Child:
        """For `Enclosure`."""
        result, _ = await self.ask(request, fds)
        return self._child(result, held=request["held"], kept=request.get("keep") or None)

    async def fork(self, request: Message, fds: Sequence[int]) -> Child:
        """For `Enclosure`."""
        try:
            return await self.begin(request, fds)
        except ChildProcessError:
            # The zygote has ended with the request unread. There is another one now.
            return await self.begin(request, fds)

    def tell(self, request: Message) -> None:
        """Ask for something that there is no answer to, not even that the warden has ended."""
        with contextlib.suppress(OSError):
            self.call(request)

    def call(self, request: Message, fds: Sequence[int] = ()) -> tuple[Message, list[int]]:
        """Ask, and wait for the answer. Raises OSError."""
        return self._line.call(request, fds)

    async def ask(self, request: Message, fds: Sequence[int] = ()) -> tuple[Message, list[int]]:
        """Ask, and let others go on until the answer comes. Raises OSError."""
        if self._listening.fileno() < 0:
            raise OSError(errno.ECONNRESET, "the warden has ended")
        self._number += 1
        number = self._number
        answer = self._answers[number] = self._loop.create_future()
        try:
            await self._send({"id": number, **request}, fds)
        except BaseException:
            self._answers.pop(number, None)
            raise
        return result_of(await answer)

    def forget(self, enclosure: Enclosure) -> None:
        """It has been closed; for `Enclosure`."""
        self.enclosures.pop(enclosure.plan.id, None)

    @classmethod
    async def _adopt(cls, folder: Path) -> Warden:
        listening = connect(folder)
        try:
            warden = cls(folder, listening, Line(folder))
        except BaseException:
            listening.close()
            raise
        try:
            hello, _ = await warden.ask({"op": "hello", "listen": True})
            if hello["version"] != VERSION:
                # Another execd's: what it tells of its sandboxes might be misread.
                log.warning(
                    "warden_of_another_version", version=hello["version"], why="it is ended, with its sandboxes"
                )
                warden.pid = hello.get("pid", 0)
                await warden.end()
                raise ConnectionRefusedError(errno.ECONNREFUSED, "the warden was of another version")
            warden.pid = hello["pid"]
            for sandbox in hello["sandboxes"].values():
                await warden._take_over(plan_of(sandbox["plan"]), hello["processes"])
        except BaseException:
            warden.hang_up()
            for enclosure in warden.enclosures.values():
                os.close(enclosure.root)
            raise
        return warden

    async def _take_over(self, plan: Plan, processes: Sequence[Message]) -> None:
        here = [told for told in processes if told["sandbox"] == plan.id]
        try:
            await self._enclosure(plan, [self._child(told, held=told["held"], kept=told["kept"]) for told in here])
        except OSError as error:
            # Lost, or half made when its service ended.
            log.warning("sandbox_not_adopted", sandbox_id=plan.id, why=error.strerror or str(error))
            await self.ask({"op": "close", "sandbox": plan.id})

    async def _enclosure(self, plan: Plan, children: Sequence[Child]) -> Enclosure:
        _, fds = await self.ask({"op": "root", "sandbox": plan.id})
        made = self.enclosures[plan.id] = Enclosure(self, plan, fds[0], children)
        if plan.id in self._lost_early:
            self._lost_early.discard(plan.id)
            made.lost.set()
        return made

    def _child(self, told: Message, *, held: bool, kept: Sequence[str] | None) -> Child:
        child = Child(self, told, held=held, kept=kept)
        with self._lock:
            how = self._early.pop(child.number, None) or (exit_of(told) if "code" in told else None)
            if how is None:
                self._children[child.number] = child
        if how is not None:
            child.ended(how)
        elif self.lost.is_set():
            child.ended(Exit(-SIGKILL))
        return child

    async def _send(self, message: Message, fds: Sequence[int]) -> None:
        async with self._sending:
            while True:
                try:
                    send(self._listening, message, fds)
                    return
                except BlockingIOError:
                    await anyio.wait_writable(self._listening)

    def _read(self) -> None:
        while True:
            try:
                received = receive(self._listening)
            except BlockingIOError:
                return
            except OSError:
                received = None
            if received is None:
                if not self._ending:
                    log.error("warden_lost", folder=str(self._folder), why="it has ended, and all sandboxes with it")
                self.hang_up()
                return
            self._heed(*received)

    def _heed(self, message: Message, fds: list[int]) -> None:
        if message.get("event") == "exit":
            self._exited(message)
        elif message.get("event") == "sandbox_lost":
            self._lose(message["sandbox"])
        else:
            answer = self._answers.pop(message["id"], None)
            if answer is not None and not answer.done():
                answer.set_result((message, fds))
                return
            self._put_back(message.get("result") or {})
        close_all(fds)

    def _put_back(self, result: Message) -> None:
        """Nobody waits any more for what the warden has done."""
        if "process" in result:
            child = self._child(result, held=True, kept=None)
            child.signal_group(SIGKILL)
            child.release()

    def _exited(self, message: Message) -> None:
        how = exit_of(message)
        with self._lock:
            child = self._children.pop(message["process"], None)
            if child is None:
                # Its number is still on its way to us.
                self._early[message["process"]] = how
                while len(self._early) > _REMEMBERED_EXITS:
                    self._early.popitem(last=False)
        if child is not None:
            child.ended(how)

    def _lose(self, sandbox: str) -> None:
        if sandbox in self.enclosures:
            self.enclosures[sandbox].lost.set()
        else:
            # It is still on its way to us.
            self._lost_early.add(sandbox)

    def _fail(self) -> None:
        self.lost.set()
        for enclosure in self.enclosures.values():
            enclosure.lost.set()
        for answer in self._answers.values():
            if not answer.done():
                answer.set_exception(OSError(errno.ECONNRESET, "the warden has ended"))
        children, self._children = list(self._children.values()), {}
        for child in children:
            child.ended(Exit(-SIGKILL))


def _process(pid: int) -> int | None:
    """A descriptor of a process, which can be read when that has ended; None where there is none."""
    try:
        return os.pidfd_open(pid) if pid else None
    except OSError:
        return None


def _start(folder: Path, patience: float) -> None:
    command = [sys.executable, "-I", "-S", str(_PROGRAM), str(folder), str(patience)]
    # None of the service's secrets: whatever runs in a sandbox has been a fork of the warden.
    env = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
    with (folder / "warden.log").open("ab") as complaints:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=complaints, stderr=complaints, env=env, check=False
        )
    if done.returncode not in (0, _ANOTHER_LISTENS):
        said = (folder / "warden.log").read_text(errors="replace").strip().rpartition("\n")[2]
        raise OSError(errno.ECHILD, f"the warden did not start: {said} ({folder / 'warden.log'} says more)")
