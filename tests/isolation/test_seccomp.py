"""The seccomp filters: what is committed is what the generator makes, and what they say to system calls."""

from __future__ import annotations

import ctypes
import ctypes.util
import socket

import pytest

from execd.isolation import seccomp
from scripts import seccomp as generator
from tests.isolation.bpf import ALLOWED, KILLED, PRETENDED, verdict

EACH = pytest.mark.parametrize("architecture", generator.ARCHITECTURES, ids=lambda each: each.name)
BOTH = pytest.mark.parametrize("variant", generator.VARIANTS)

READ = {"x86_64": 0, "aarch64": 63}
MPTCP, SMC = 262, 256
UPPER = 1 << 40


class Filter:
    """One filter, asked by a system call's name."""

    def __init__(self, architecture: generator.Architecture, variant: str) -> None:
        self._architecture = architecture
        self._program = generator.program(architecture, variant)

    def __call__(self, name: str, *arguments: int) -> str:
        number = self._architecture.number(name)
        assert number is not None
        return verdict(self._program, self._architecture.audit, number, *arguments)


@pytest.fixture
def walled(architecture: generator.Architecture) -> Filter:
    return Filter(architecture, "bwrap")


@pytest.fixture
def restricted(architecture: generator.Architecture) -> Filter:
    return Filter(architecture, "landlock")


class TestFiles:
    def test_committed_filters_are_what_the_generator_makes(self) -> None:
        made = generator.programs()
        assert {path.name: path.read_bytes() for path in generator.FOLDER.glob("*.bpf")} == made

    @BOTH
    def test_the_package_has_the_filter_of_this_machine(self, variant: str) -> None:
        assert len(seccomp.program(variant)) % 8 == 0

    def test_an_architecture_without_a_filter_is_said(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("platform.machine", lambda: "pdp11")
        with pytest.raises(OSError, match="no seccomp filter for pdp11"):
            seccomp.program("bwrap")


class TestNumbers:
    @EACH
    def test_are_those_of_libseccomp(self, architecture: generator.Architecture) -> None:
        path = ctypes.util.find_library("seccomp")
        if path is None:
            pytest.skip("libseccomp is not installed")
        library = ctypes.CDLL(path)
        unknown_to_it = {"listmount", "lsm_set_self_attr", "open_tree_attr", "statmount"}
        for name in set(generator.NUMBERS) - unknown_to_it:
            resolved = library.seccomp_syscall_resolve_name_arch(architecture.audit, name.encode())
            assert (resolved if resolved >= 0 else None) == architecture.number(name), name

    def test_every_name_is_used_and_known(self) -> None:
        used = {*generator.REFUSED, *generator.REFUSED_AMONG_OTHERS}
        used.update(*(generator.conditions(variant) for variant in generator.VARIANTS))
        assert used == set(generator.NUMBERS)


@EACH
class TestAnySandbox:
    @BOTH
    def test_refuses_what_walls_are_made_of(self, architecture: generator.Architecture, variant: str) -> None:
        asked = Filter(architecture, variant)
        for name in generator.REFUSED:
            if architecture.number(name) is not None:
                assert asked(name) == "EPERM", name

    @BOTH
    def test_refuses_new_namespaces(self, architecture: generator.Architecture, variant: str) -> None:
        asked = Filter(architecture, variant)
        for flag in (0x02000000, 0x04000000, 0x08000000, 0x10000000, 0x20000000, 0x40000000, 0x00020000):
            assert asked("clone", flag | 17) == "EPERM"
            assert asked("unshare", flag) == "EPERM"
        assert asked("unshare", 0x80) == "EPERM"
        assert asked("clone3") == "ENOSYS"
        assert asked("clone", 0x003D0F00) == ALLOWED  # a thread
        assert asked("unshare", 0x200) == ALLOWED  # CLONE_FS

    @BOTH
    def test_refuses_unknown_socket_families(self, architecture: generator.Architecture, variant: str) -> None:
        asked = Filter(architecture, variant)
        for family in {*range(64)} - {1, 2, 10, 16}:
            assert asked("socket", family, 1) == "EAFNOSUPPORT"
            assert asked("socket", family | UPPER, 1) == "EAFNOSUPPORT"
        assert asked("socketpair", socket.AF_UNIX, socket.SOCK_STREAM) == ALLOWED
        assert asked("socketpair", 30, socket.SOCK_STREAM) == "EAFNOSUPPORT"

    @BOTH
    def test_has_the_sockets_that_programs_need(self, architecture: generator.Architecture, variant: str) -> None:
        asked = Filter(architecture, variant)
        flags = socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK
        assert asked("socket", socket.AF_UNIX, socket.SOCK_DGRAM | flags) == ALLOWED
        assert asked("socket", socket.AF_INET, socket.SOCK_STREAM | flags) == ALLOWED
        assert asked("socket", socket.AF_INET6, socket.SOCK_STREAM | flags, 6) == ALLOWED
        assert asked("socket", socket.AF_NETLINK, socket.SOCK_RAW | flags, 0) == ALLOWED  # libzmq ends without it
        assert asked("socket", socket.AF_NETLINK, socket.SOCK_RAW | flags, 12) == "EPROTONOSUPPORT"

    @BOTH
    def test_refuses_what_passes_tcp_rules_by(self, architecture: generator.Architecture, variant: str) -> None:
        asked = Filter(architecture, variant)
        for family in (socket.AF_INET, socket.AF_INET6):
            assert asked("socket", family, socket.SOCK_RAW) == "EACCES"
            for protocol in (MPTCP, SMC, MPTCP | UPPER):
                assert asked("socket", family, socket.SOCK_STREAM, protocol) == "EPROTONOSUPPORT"
        for name, position in (("sendto", 3), ("sendmsg", 2), ("sendmmsg", 3)):
            assert asked(name, *(0,) * position, 0x20000000) == "ENOTSUP"
            assert asked(name, *(0,) * position, 0x4000) == ALLOWED

    @BOTH
    def test_refuses_typing_for_others(self, architecture: generator.Architecture, variant: str) -> None:
        asked = Filter(architecture, variant)
        for request in (0x5412, 0x541C, 0x5423, 0x5412 | UPPER):
            assert asked("ioctl", 0, request) == "EPERM"
        assert asked("ioctl", 0, 0x5413) == ALLOWED  # TIOCGWINSZ

    @BOTH
    def test_knows_nothing_newer_and_no_other_machine(self, architecture: generator.Architecture, variant: str) -> None:
        program = generator.program(architecture, variant)
        assert verdict(program, architecture.audit, generator.NEWEST + 1) == "ENOSYS"
        assert verdict(program, architecture.audit, 0x40000000) == "ENOSYS"  # the x32 calls
        assert verdict(program, 0x40000003, 0) == KILLED  # i386
        assert verdict(program, architecture.audit, READ[architecture.name]) == ALLOWED


@EACH
class TestBetweenVariants:
    def test_debuggers_work_only_where_there_is_nobody_else(self, walled: Filter, restricted: Filter) -> None:
        for name in ("ptrace", "process_vm_readv", "process_vm_writev", "shmget", "mq_open"):
            assert (walled(name), restricted(name)) == (ALLOWED, "EPERM")

    def test_datagrams_only_in_a_network_of_ones_own(self, walled: Filter, restricted: Filter) -> None:
        for family in (socket.AF_INET, socket.AF_INET6):
            datagrams = ("socket", family, socket.SOCK_DGRAM)
            assert (walled(*datagrams), restricted(*datagrams)) == (ALLOWED, "EACCES")

    def test_others_limits_and_priorities_only_where_there_are_none(self, walled: Filter, restricted: Filter) -> None:
        for name in ("prlimit64", "sched_setaffinity", "sched_setscheduler"):
            assert (walled(name, 4711, 1), restricted(name, 4711, 1)) == (ALLOWED, "EPERM")
            assert restricted(name, 0) == ALLOWED
        assert (walled("setpriority", 0, 4711), restricted("setpriority", 0, 4711)) == (ALLOWED, "EPERM")
        assert restricted("setpriority", 2, 0) == "EPERM"
        assert restricted("setpriority", 0, 0) == ALLOWED
        assert restricted("ioprio_set", 3, 0) == "EPERM"

    def test_the_ordinary_scheduler_may_be_asked_for_by_a_thread_of_any_number(self, restricted: Filter) -> None:
        # libzmq does, and ends the process where it may not.
        assert restricted("sched_setscheduler", 4711, 0) == PRETENDED
