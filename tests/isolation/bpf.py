"""A small interpreter of classic BPF, as the kernel runs it for seccomp: what would a filter say?"""

from __future__ import annotations

import errno
import struct

ALLOWED, KILLED, PRETENDED = "allowed", "killed", "pretended"


def verdict(program: bytes, audit: int, number: int, *arguments: int) -> str:
    """`allowed`, `killed`, `pretended` for a success without the call, or the errno's name that it fails with."""
    padded = (*arguments, *(0,) * (6 - len(arguments)))
    data = struct.pack("<IIQ6Q", number, audit, 0, *(value % 2**64 for value in padded))
    answer = _run(program, data)
    if answer == 0x7FFF0000:
        return ALLOWED
    if answer == 0x80000000:
        return KILLED
    assert answer >> 16 == 5
    return errno.errorcode[answer & 0xFFFF] if answer & 0xFFFF else PRETENDED


def _run(program: bytes, data: bytes) -> int:
    instructions = list(struct.iter_unpack("<HBBI", program))
    accumulator = at = 0
    while True:
        operation, then, otherwise, number = instructions[at]
        at += 1
        match operation:
            case 0x20:
                (accumulator,) = struct.unpack_from("<I", data, number)
            case 0x54:
                accumulator &= number
            case 0x05:
                at += number
            case 0x06:
                return int(number)
            case 0x15:
                at += then if accumulator == number else otherwise
            case 0x25:
                at += then if accumulator > number else otherwise
            case 0x45:
                at += then if accumulator & number else otherwise
            case _:
                raise AssertionError(f"no such operation: {operation:#x}")
