"""nginx, as a server of the files of one folder: sendfile on the way out, its dav module's PUT on the way in."""

from __future__ import annotations

import grp
import os
import pwd
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.errors import NotMeasured, RowFailed

# Debian keeps servers where only root's PATH leads.
_SYSTEM_FOLDERS = "/usr/local/sbin:/usr/sbin"
_CONFIG = """
daemon off;
worker_processes 1;
pid {own}/pid;
{user}
events {{ }}
http {{
  access_log off;
  sendfile on;
  tcp_nopush on;
  client_max_body_size 0;
  client_body_temp_path {folder}/bodies;
  fastcgi_temp_path {own}/fastcgi;
  proxy_temp_path {own}/proxy;
  scgi_temp_path {own}/scgi;
  uwsgi_temp_path {own}/uwsgi;
  server {{
    listen 127.0.0.1:{port};
    root {folder};
    dav_methods PUT;
  }}
}}
"""


@contextmanager
def nginx(folder: Path) -> Iterator[tuple[str, int]]:
    """The host and port of an nginx that serves and takes `folder`'s files as this user, until the block ends.

    Raises NotMeasured where there is none, and lets a RowFailed of the block say what nginx complained of.
    """
    program = shutil.which("nginx", path=f"{os.environ.get('PATH', os.defpath)}:{_SYSTEM_FOLDERS}")
    if program is None:
        raise NotMeasured("apt-get install nginx")
    with TemporaryDirectory(prefix="nginx") as own, socket.create_server(("127.0.0.1", 0)) as listening:
        address: tuple[str, int] = listening.getsockname()
        config, log_file = Path(own) / "nginx.conf", Path(own) / "log"
        config.write_text(_CONFIG.format(own=own, folder=folder, port=address[1], user=_user()))
        process = subprocess.Popen(
            [program, "-e", str(log_file), "-p", own, "-c", str(config)],
            # It takes over the sockets that NGINX names, as it does from the nginx before it: no port can be lost,
            # and connections wait in the socket until it is ready for them.
            env=os.environ | {"NGINX": f"{listening.fileno()};"},
            pass_fds=[listening.fileno()],
        )
        listening.close()
        try:
            yield address
        except RowFailed as failure:
            raise RowFailed(f"{failure}{_complaints(log_file)}") from failure
        finally:
            process.terminate()
            process.wait()


def _complaints(log_file: Path) -> str:
    found = [line for line in log_file.read_text().splitlines() if "[notice]" not in line]
    return "".join(f"; nginx: {line}" for line in found)


def _user() -> str:
    # Started by root, it would work as another user; started by another user, it warns that it ignores this.
    if os.geteuid() != 0:
        return ""
    return f"user {pwd.getpwuid(0).pw_name} {grp.getgrgid(os.getegid()).gr_name};"
