"""The /etc of sandboxes: one folder on the machine, made once, that all of them see.

One folder, since each thing that bubblewrap mounts takes it a fraction of a millisecond; copies, since what a sandbox
sees must be chosen. There is nothing in it about the machine's users, network or secrets.
"""

from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path

INSIDE = 1000
"""The user and the group that everybody in a sandbox with namespaces is; the name of both is `user`."""

HOME = "/home/user"
HOSTNAME = "sandbox"

COPIED = (
    *("alternatives", "ca-certificates", "ca-certificates.conf", "crypto-policies", "fonts", "pki/ca-trust/extracted"),
    *("pki/tls/certs", "pki/tls/cert.pem", "pki/tls/openssl.cnf", "ssl/certs", "ssl/cert.pem", "ssl/openssl.cnf"),
    *("ld.so.cache", "ld.so.conf", "ld.so.conf.d", "localtime", "timezone", "locale.alias", "locale.conf"),
    *("mime.types", "magic", "magic.mime", "protocols", "services", "rpc", "gai.conf", "host.conf", "inputrc"),
    *("terminfo", "bash.bashrc", "profile", "debian_version", "os-release", "python3", "python3.*", "perl", "R"),
    *("java-*", "ImageMagick-*", "OpenCL", "papersize", "groff", "texmf", "vim", "xattr.conf"),
)
_LARGEST = 8 * 2**20

WRITTEN = {
    "passwd": f"root:x:0:0:root:/root:/usr/sbin/nologin\nuser:x:{INSIDE}:{INSIDE}:user:{HOME}:/bin/bash\n"
    "nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n",
    "group": f"root:x:0:\ntty:x:5:\nuser:x:{INSIDE}:\nnogroup:x:65534:\n",
    "hosts": f"127.0.0.1 localhost {HOSTNAME}\n::1 localhost {HOSTNAME}\n",
    "hostname": f"{HOSTNAME}\n",
    "nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\nservices: files\nprotocols: files\n",
    "resolv.conf": "",
}


def furnish(folder: Path, machine: Path = Path("/etc")) -> None:
    """Make the folder, which must not be there, out of what the machine has. Other users may read it."""
    folder.mkdir()
    for pattern in COPIED:
        for source in sorted(machine.glob(pattern)):
            _copy(source, folder / source.relative_to(machine))
    for name, text in WRITTEN.items():
        (folder / name).write_text(text)
    (folder / "mtab").symlink_to("/proc/self/mounts")
    for parent, _, files in os.walk(folder):
        Path(parent).chmod(0o755)
        for name in files:
            path = Path(parent, name)
            if not path.is_symlink():
                path.chmod(0o644)


def _copy(source: Path, target: Path) -> None:
    # A link stays one: most lead to /usr, which is the same inside.
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_symlink():
        target.symlink_to(os.readlink(source))
    elif source.is_dir():
        if _public(source, 0o005):
            target.mkdir(exist_ok=True)
            for entry in sorted(source.iterdir()):
                _copy(entry, target / entry.name)
    elif _public(source, 0o004) and source.is_file() and source.stat().st_size <= _LARGEST:
        shutil.copyfile(source, target)


def _public(path: Path, bits: int) -> bool:
    return stat.S_IMODE(path.stat().st_mode) & bits == bits
