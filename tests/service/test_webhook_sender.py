"""The sender, with real sockets: where it connects to, and what it makes of what it gets."""

from __future__ import annotations

import socket
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from ipaddress import ip_address

import httpx
import pytest

from execd.service.egress_policy import Address
from execd.service.webhook_sender import Outcome, Sender, outcome_of
from execd.service.webhook_url import UrlRules
from execd.settings import Settings
from tests.webhook_receiver import receiving

PUBLIC = "93.184.215.14"


class Names:
    """A resolver that says what it is told to, each time something else, and the last thing again and again."""

    def __init__(self, *answers: list[str]) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []

    async def __call__(self, name: str) -> list[Address]:
        self.asked.append(name)
        found = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if not found:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [ip_address(address) for address in found]


@asynccontextmanager
async def sending(*allowed: str, names: Names | None = None, timeout: float = 30) -> AsyncIterator[Sender]:
    """A sender that may send to these besides."""
    rules = UrlRules.of(Settings(webhook_allow_private=list(allowed), webhook_allow_http=True))
    sender = Sender(rules, timeout, names or Names(["127.0.0.1"]))
    try:
        yield sender
    finally:
        await sender._session.close()


def authority(url: str) -> str:
    """The address and port of a receiver."""
    return f"127.0.0.1:{httpx.URL(url).port}"


async def test_a_message_arrives_as_it_was_given() -> None:
    with receiving(201, host="hooks.example") as receiver:
        names = Names(["127.0.0.1"])
        async with sending(authority(receiver.url), names=names) as sender:
            assert await sender.post(receiver.url + "?a=%2F", {"webhook-id": "msg_1"}, b'{"a":1}') == Outcome(201)
        [got] = receiver.received()
        assert (got.path, got.body, got.id) == ("/hook?a=%2F", b'{"a":1}', "msg_1")
        assert got.headers["content-type"] == "application/json"
        assert got.headers["host"].startswith("hooks.example:")
        assert got.headers["user-agent"].startswith("execd/")
        assert names.asked == ["hooks.example"]


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "::ffff:127.0.0.1", "0.0.0.0", "169.254.169.254", "fd00::1"])
async def test_a_name_that_leads_to_what_is_not_public(address: str) -> None:
    async with sending(names=Names([address])) as sender:
        came = await sender.post("https://hooks.example/", {}, b"")
    assert came.status is None
    assert "is not public but" in (came.error or "")


async def test_a_name_that_leads_elsewhere_once_it_was_checked() -> None:
    """What was allowed in the attempt before counts for nothing in this one."""
    with receiving(host="hooks.example") as receiver:
        async with sending(authority(receiver.url), names=Names(["127.0.0.1"], ["10.0.0.1"])) as sender:
            assert (await sender.post(receiver.url, {}, b"")).delivered
            assert "10.0.0.1" in str((await sender.post(receiver.url, {}, b"")).error)
        assert len(receiver.received()) == 1


async def test_of_several_addresses_those_that_may_be_are_tried() -> None:
    with receiving(host="hooks.example") as receiver:
        names = Names(["10.0.0.1", "::1", "127.0.0.1"])
        async with sending(authority(receiver.url), names=names) as sender:
            assert (await sender.post(receiver.url, {}, b"")).delivered


async def test_an_address_that_was_allowed_once() -> None:
    async with sending() as sender:
        assert "is not public but loopback" in str((await sender.post("http://127.0.0.1/", {}, b"")).error)
        assert "four decimal numbers" in str((await sender.post("http://127.1/", {}, b"")).error)


async def test_names_that_lead_nowhere() -> None:
    async with sending(names=Names([])) as sender:
        came = await sender.post("https://unknown.example/", {}, b"")
    assert came == Outcome(error="its name leads nowhere: Name or service not known")


async def test_proxies_of_the_environment_are_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    with receiving() as proxy, receiving(host="hooks.example") as receiver:
        for name in ("http_proxy", "https_proxy", "all_proxy"):
            monkeypatch.setenv(name, proxy.url)
        async with sending(authority(receiver.url), authority(proxy.url)) as sender:
            assert (await sender.post(receiver.url, {}, b"")).delivered
        assert len(receiver.received()) == 1
        assert proxy._received == []


async def test_a_redirect_is_not_followed() -> None:
    with receiving(307) as receiver, receiving() as other:
        receiver.location = other.url
        async with sending(authority(receiver.url), authority(other.url)) as sender:
            came = await sender.post(receiver.url, {}, b"")
        assert came == Outcome(307, "it answered with a redirect, which is not followed: 307")
        assert other._received == []


async def test_one_that_does_not_answer() -> None:
    with receiving() as receiver:
        receiver.open.clear()
        async with sending(authority(receiver.url), timeout=0.2) as sender:
            came = await sender.post(receiver.url, {}, b"")
    assert came == Outcome(error="it did not answer within 0.2 seconds")


@contextmanager
def saying(answer: bytes, *, hang: bool = False) -> Iterator[str]:
    """A server that says this to whoever comes first, and hangs up unless it is to hang."""
    listening = socket.create_server(("127.0.0.1", 0))
    over = threading.Event()

    def serve() -> None:
        client, _ = listening.accept()
        with client:
            client.recv(65536)
            client.sendall(answer)
            if hang:
                over.wait(30)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/"
    finally:
        over.set()
        thread.join()
        listening.close()


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (b"", "it hung up without an answer"),
        (b"SSH-2.0-OpenSSH_9.9\r\n\r\n", "it gave no answer that could be read: "),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000 + b"\r\n\r\n", "it gave no answer that could be read: "),
        (b"HTTP/1.1 500 No\r\nContent-Length: 5\r\n\r\nabcde", "it answered: 500"),
    ],
)
async def test_answers_that_are_none(answer: bytes, said: str) -> None:
    with saying(answer) as url:
        async with sending(authority(url)) as sender:
            came = await sender.post(url, {}, b"")
    assert (came.error or "").startswith(said)
    assert len(came.error or "") < 600


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc",
    ],
)
async def test_only_the_status_of_an_answer_counts(answer: bytes) -> None:
    with saying(answer, hang=True) as url:
        async with sending(authority(url)) as sender:
            assert (await sender.post(url, {}, b"")) == Outcome(200)


async def test_nobody_there_and_no_tls() -> None:
    with receiving() as receiver:
        url = receiver.url
        async with sending(authority(url)) as sender:
            came = await sender.post(url.replace("http://", "https://"), {}, b"")
            assert (came.error or "").startswith("there is no TLS with it: ")
    async with sending(authority(url)) as sender:
        came = await sender.post(url, {}, b"")
    assert (came.error or "").startswith("it cannot be reached: ")


@pytest.mark.parametrize(
    ("status", "given", "expected"),
    [
        (200, "", Outcome(200)),
        (299, "7", Outcome(299)),
        (301, "", Outcome(301, "it answered with a redirect, which is not followed: 301")),
        (404, "", Outcome(404, "it answered: 404")),
        (410, "", Outcome(410, "it answered: 410", final=True)),
        (429, "7", Outcome(429, "it answered: 429", 7)),
        (503, "99999999999", Outcome(503, "it answered: 503", 10**6)),
        (503, "Fri, 31 Dec 1999 23:59:59 GMT", Outcome(503, "it answered: 503")),
        (503, "-1", Outcome(503, "it answered: 503")),
    ],
)
def test_what_statuses_mean(status: int, given: str, expected: Outcome) -> None:
    assert outcome_of(status, given) == expected
