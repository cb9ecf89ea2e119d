"""Writes execd/isolation/seccomp/*.bpf anew: `python scripts/seccomp.py`. The same bytes on every machine.

What a sandbox may not ask of the kernel, as classic BPF (https://docs.kernel.org/userspace-api/seccomp_filter.html).
Two variants: `bwrap` for processes that have namespaces of their own, and `landlock` for such as share the machine's.
An argument that the kernel takes as a 32-bit number is compared as one: what the upper half holds changes nothing.
"""

import errno
import struct
import sys
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).resolve().parent.parent / "execd" / "isolation" / "seccomp"
VARIANTS = ("bwrap", "landlock")

# (x86_64, aarch64), from the kernel's tables; None where there is none. From 424 on they are the same everywhere.
NUMBERS: dict[str, tuple[int | None, int | None]] = {
    "_sysctl": (156, None),
    "acct": (163, 89),
    "add_key": (248, 217),
    "adjtimex": (159, 171),
    "bpf": (321, 280),
    "chroot": (161, 51),
    "clock_adjtime": (305, 266),
    "clock_settime": (227, 112),
    "clone": (56, 220),
    "clone3": (435, 435),
    "create_module": (174, None),
    "delete_module": (176, 106),
    "fanotify_init": (300, 262),
    "finit_module": (313, 273),
    "fsconfig": (431, 431),
    "fsmount": (432, 432),
    "fsopen": (430, 430),
    "fspick": (433, 433),
    "get_kernel_syms": (177, None),
    "init_module": (175, 105),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    "io_uring_setup": (425, 425),
    "ioctl": (16, 29),
    "ioperm": (173, None),
    "iopl": (172, None),
    "ioprio_set": (251, 30),
    "kcmp": (312, 272),
    "kexec_file_load": (320, 294),
    "kexec_load": (246, 104),
    "keyctl": (250, 219),
    "listmount": (458, 458),
    "lookup_dcookie": (212, 18),
    "lsm_set_self_attr": (460, 460),
    "mbind": (237, 235),
    "migrate_pages": (256, 238),
    "modify_ldt": (154, None),
    "mount": (165, 40),
    "mount_setattr": (442, 442),
    "move_mount": (429, 429),
    "move_pages": (279, 239),
    "mq_open": (240, 180),
    "mq_unlink": (241, 181),
    "msgctl": (71, 187),
    "msgget": (68, 186),
    "msgrcv": (70, 188),
    "msgsnd": (69, 189),
    "nfsservctl": (180, 42),
    "open_by_handle_at": (304, 265),
    "open_tree": (428, 428),
    "open_tree_attr": (467, 467),
    "perf_event_open": (298, 241),
    "pidfd_getfd": (438, 438),
    "pivot_root": (155, 41),
    "prlimit64": (302, 261),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "ptrace": (101, 117),
    "query_module": (178, None),
    "quotactl": (179, 60),
    "quotactl_fd": (443, 443),
    "reboot": (169, 142),
    "request_key": (249, 218),
    "sched_setaffinity": (203, 122),
    "sched_setattr": (314, 274),
    "sched_setparam": (142, 118),
    "sched_setscheduler": (144, 119),
    "semctl": (66, 191),
    "semget": (64, 190),
    "semop": (65, 193),
    "semtimedop": (220, 192),
    "sendmmsg": (307, 269),
    "sendmsg": (46, 211),
    "sendto": (44, 206),
    "set_mempolicy": (238, 237),
    "set_mempolicy_home_node": (450, 450),
    "setdomainname": (171, 162),
    "sethostname": (170, 161),
    "setns": (308, 268),
    "setpriority": (141, 140),
    "settimeofday": (164, 170),
    "shmat": (30, 196),
    "shmctl": (31, 195),
    "shmget": (29, 194),
    "socket": (41, 198),
    "socketpair": (53, 199),
    "statmount": (457, 457),
    "swapoff": (168, 225),
    "swapon": (167, 224),
    "sysfs": (139, None),
    "syslog": (103, 116),
    "umount2": (166, 39),
    "unshare": (272, 97),
    "uselib": (134, None),
    "userfaultfd": (323, 282),
    "ustat": (136, None),
    "vhangup": (153, 58),
}
NEWEST = 469
"""The last system call that somebody has looked at (file_setattr, Linux 6.17); later ones are not there inside."""

NEW_NAMESPACE = 0x7E020000  # CLONE_NEW*: cgroup, uts, ipc, user, pid, net, mount
NEW_TIME = 0x80  # CLONE_NEWTIME, which clone takes for a part of the signal's number
TIOCSTI, TIOCLINUX, TIOCSETD = 0x5412, 0x541C, 0x5423
AF_UNIX, AF_INET, AF_INET6, AF_NETLINK = 1, 2, 10, 16
SOCK_STREAM, SOCK_DGRAM, SOCK_TYPE = 1, 2, 0xF
ICMP, TCP, UDP, ICMPV6, UDPLITE = 1, 6, 17, 58, 136
NETLINK_ROUTE = 0
MSG_FASTOPEN = 0x20000000
PRIO_PROCESS, PRIO_PGRP = 0, 1
SCHED_OTHER = 0
IOPRIO_PROCESS, IOPRIO_PGRP = 1, 2

# What only root may do anyway, what a sandbox's walls consist of, and what has most often been a way out of them.
REFUSED = (
    *("mount", "umount2", "pivot_root", "chroot", "move_mount", "open_tree", "open_tree_attr", "fsopen", "fsconfig"),
    *("fsmount", "fspick", "mount_setattr", "statmount", "listmount", "setns", "swapon", "swapoff", "reboot"),
    *("kexec_load", "kexec_file_load", "init_module", "finit_module", "delete_module", "create_module"),
    *("get_kernel_syms", "query_module", "bpf", "perf_event_open", "userfaultfd", "io_uring_setup", "io_uring_enter"),
    *("io_uring_register", "keyctl", "add_key", "request_key", "kcmp", "pidfd_getfd", "open_by_handle_at"),
    *("fanotify_init", "acct", "quotactl", "quotactl_fd", "settimeofday", "clock_settime", "clock_adjtime"),
    *("adjtimex", "sethostname", "setdomainname", "iopl", "ioperm", "syslog", "nfsservctl", "lookup_dcookie"),
    *("uselib", "ustat", "sysfs", "_sysctl", "vhangup", "modify_ldt", "mbind", "migrate_pages", "move_pages"),
    *("set_mempolicy", "set_mempolicy_home_node", "lsm_set_self_attr"),
)
# Debuggers work on a sandbox's own processes where there are no others. Where there are, nor do the machine's shared
# memory and queues belong to one sandbox.
REFUSED_AMONG_OTHERS = (
    *("ptrace", "process_vm_readv", "process_vm_writev", "shmget", "shmat", "shmctl", "msgget", "msgsnd", "msgrcv"),
    *("msgctl", "semget", "semop", "semtimedop", "semctl", "mq_open", "mq_unlink"),
)

LOAD, AND, JUMP, RETURN = 0x20, 0x54, 0x05, 0x06
IF_EQUAL, IF_GREATER, IF_SET = 0x15, 0x25, 0x45
ALLOW, KILL = 0x7FFF0000, 0x80000000
NUMBER_AT, ARCHITECTURE_AT, ARGUMENTS_AT = 0, 4, 16
WHOLE = 0xFFFFFFFF


@dataclass(frozen=True)
class Instruction:
    """One of BPF's: an operation with its number, and how many to skip when a comparison holds and when not."""

    operation: int
    number: int
    then: int = 0
    otherwise: int = 0

    def encoded(self) -> bytes:
        """As the kernel reads it; a jump that is too far is an error."""
        return struct.pack("<HBBI", self.operation, self.then, self.otherwise, self.number)


Code = list[Instruction]


def refuse(number: int) -> Instruction:
    """The call fails with this errno."""
    return Instruction(RETURN, 0x00050000 | number)


def allow() -> Instruction:
    """The call is made."""
    return Instruction(RETURN, ALLOW)


def pretend() -> Instruction:
    """The call is not made, and succeeds."""
    return refuse(0)


def argument(index: int, mask: int = WHOLE) -> Code:
    """Take the lower half of an argument, or some bits of it."""
    load = [Instruction(LOAD, ARGUMENTS_AT + 8 * index)]
    return load if mask == WHOLE else [*load, Instruction(AND, mask)]


def only(index: int, values: tuple[int, ...], error: int, mask: int = WHOLE) -> Code:
    """Refuse the call unless the argument is one of these."""
    tests = [Instruction(IF_EQUAL, value, then=len(values) - at) for at, value in enumerate(values)]
    return [*argument(index, mask), *tests, refuse(error)]


def never(index: int, bits: int, error: int) -> Code:
    """Refuse the call if the argument has one of these bits."""
    return [*argument(index), Instruction(IF_SET, bits, otherwise=1), refuse(error)]


def not_one_of(index: int, values: tuple[int, ...], error: int) -> Code:
    """Refuse the call if the argument is one of these."""
    return [
        step
        for value in values
        for step in (*argument(index), Instruction(IF_EQUAL, value, otherwise=1), refuse(error))
    ]


def when(index: int, value: int, body: Code) -> Code:
    """Do this if the argument has that value."""
    return [*argument(index), Instruction(IF_EQUAL, value, otherwise=len(body)), *body]


def sockets(variant: str) -> Code:
    """Families, types and protocols: what Landlock does not see (datagrams, MPTCP, SMC) only where it need not."""
    types = (SOCK_STREAM, SOCK_DGRAM) if variant == "bwrap" else (SOCK_STREAM,)
    protocols = (0, ICMP, TCP, UDP, ICMPV6, UDPLITE) if variant == "bwrap" else (0, TCP)
    internet = [*only(1, types, errno.EACCES, SOCK_TYPE), *only(2, protocols, errno.EPROTONOSUPPORT)]
    return [
        *only(0, (AF_UNIX, AF_INET, AF_INET6, AF_NETLINK), errno.EAFNOSUPPORT),
        *when(0, AF_INET, internet),
        *when(0, AF_INET6, internet),
        *when(0, AF_NETLINK, only(2, (NETLINK_ROUTE,), errno.EPROTONOSUPPORT)),
    ]


def conditions(variant: str) -> dict[str, Code]:
    """What is allowed in part, by system call."""
    found = {
        "clone": never(0, NEW_NAMESPACE, errno.EPERM),
        # Its flags are in memory, where no filter sees them; the C library does with clone then.
        "clone3": [refuse(errno.ENOSYS)],
        "unshare": never(0, NEW_NAMESPACE | NEW_TIME, errno.EPERM),
        "socket": sockets(variant),
        "socketpair": only(0, (AF_UNIX,), errno.EAFNOSUPPORT),
        # Typing for somebody else's terminal, and line disciplines, which load kernel modules.
        "ioctl": not_one_of(1, (TIOCSTI, TIOCLINUX, TIOCSETD), errno.EPERM),
        # Connects without connecting.
        "sendto": never(3, MSG_FASTOPEN, errno.EOPNOTSUPP),
        "sendmsg": never(2, MSG_FASTOPEN, errno.EOPNOTSUPP),
        "sendmmsg": never(3, MSG_FASTOPEN, errno.EOPNOTSUPP),
    }
    if variant == "landlock":
        # On oneself only: others of the same user may be the service.
        for name in ("prlimit64", "sched_setaffinity", "sched_setattr", "sched_setparam"):
            found[name] = only(0, (0,), errno.EPERM)
        # libzmq asks so for each of its threads by its number, for what it is anyway, and aborts if that is refused.
        found["sched_setscheduler"] = [*when(0, 0, [allow()]), *when(1, SCHED_OTHER, [pretend()]), refuse(errno.EPERM)]
        oneself = only(1, (0,), errno.EPERM)
        found["setpriority"] = [*only(0, (PRIO_PROCESS, PRIO_PGRP), errno.EPERM), *oneself]
        found["ioprio_set"] = [*only(0, (IOPRIO_PROCESS, IOPRIO_PGRP), errno.EPERM), *oneself]
    return found


@dataclass(frozen=True)
class Architecture:
    """A machine that there are filters for: its name, the kernel's constant, the column of NUMBERS."""

    name: str
    audit: int
    column: int

    def number(self, name: str) -> int | None:
        """The number of a system call; None where it is not one."""
        return NUMBERS[name][self.column]


ARCHITECTURES = (Architecture("x86_64", 0xC000003E, 0), Architecture("aarch64", 0xC00000B7, 1))


def program(architecture: Architecture, variant: str) -> bytes:
    """The whole filter. Programs for another architecture than the machine's own are killed."""
    names = REFUSED if variant == "bwrap" else (*REFUSED, *REFUSED_AMONG_OTHERS)
    refused = [number for name in names if (number := architecture.number(name)) is not None]
    code = [
        Instruction(LOAD, ARCHITECTURE_AT),
        Instruction(IF_EQUAL, architecture.audit, then=1),
        Instruction(RETURN, KILL),
        Instruction(LOAD, NUMBER_AT),
        Instruction(IF_GREATER, NEWEST, otherwise=1),
        refuse(errno.ENOSYS),
        *(Instruction(IF_EQUAL, number, then=len(refused) - at) for at, number in enumerate(refused)),
        Instruction(JUMP, 1),
        refuse(errno.EPERM),
    ]
    for name, body in conditions(variant).items():
        if (number := architecture.number(name)) is not None:
            code += [Instruction(IF_EQUAL, number, otherwise=len(body) + 1), *body, allow()]
    return b"".join(step.encoded() for step in [*code, allow()])


def programs() -> dict[str, bytes]:
    """All files by their names."""
    return {f"{each.name}-{variant}.bpf": program(each, variant) for each in ARCHITECTURES for variant in VARIANTS}


def main() -> int:
    """The exit code."""
    for name, content in programs().items():
        (FOLDER / name).write_bytes(content)
        print(f"{name}: {len(content) // 8} instructions")
    return 0


if __name__ == "__main__":
    sys.exit(main())
