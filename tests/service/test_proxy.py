"""Which ports may be reached."""

from __future__ import annotations

import pytest

from execd.errors import InvalidPort
from execd.service.proxy import Proxy

OWN = 44772


@pytest.mark.parametrize(("given", "port"), [("1", 1), ("8000", 8000), ("65535", 65535), ("00080", 80)])
async def test_ports(given: str, port: int) -> None:
    async with Proxy.opened(OWN) as proxy:
        assert proxy.port(given) == port


@pytest.mark.parametrize(
    "given", ["", "0", "65536", "100000", "000080", "-1", "+1", " 1", "1 ", "http", "²", "٣", "9" * 5000, "44772"]
)
async def test_others_are_refused(given: str) -> None:
    async with Proxy.opened(OWN) as proxy:
        with pytest.raises(InvalidPort, match="bad port"):
            proxy.port(given)
