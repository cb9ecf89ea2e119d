"""Much output: kept within told bounds, in order, whole where it must be, and never in the service's memory."""

from __future__ import annotations

import hashlib
import socket
import threading
from pathlib import Path

import httpx
import pytest

from tests.live.conftest import NewContext
from tests.live.reading import (
    SUCCEEDED,
    Event,
    body_of,
    end_of,
    event_of,
    fetch,
    following,
    is_a,
    kinds,
    of_type,
    run,
    running,
    text_of,
)
from tests.live.waiting import eventually
from tests.running_service import RunningService

MIB = 1024 * 1024


def around_the_cut(events: list[Event], stream: str) -> tuple[str, Event, str]:
    """What stands before the `truncated` event of a stream, the event, and what stands after."""
    (cut,) = [event for event in of_type(events, "truncated") if event["stream"] == stream]
    at = events.index(cut)
    return text_of(events[:at], stream), cut, text_of(events[at:], stream)


def test_head_and_tail_are_kept_on_line_ends_and_the_rest_is_counted(tight: httpx.Client) -> None:
    # In one write, and so in one piece: of a piece that begins where the room ends, a line may have to be cut inside.
    events = run(tight, "print(''.join(f'line {number}\\n' for number in range(20_000)), end='')")
    whole = "".join(f"line {number}\n" for number in range(20_000))
    head, cut, tail = around_the_cut(events, "stdout")
    assert whole.startswith(head)
    assert head.endswith("\n")
    assert whole.endswith(tail)
    assert tail.startswith("line ")
    assert len(head) > 8192
    assert 2048 < len(tail) <= 4096
    assert (cut["total_bytes"], cut["dropped_bytes"]) == (len(whole), len(whole) - len(head) - len(tail))
    assert end_of(events) == SUCCEEDED


def test_both_streams_are_counted_apart(tight: httpx.Client) -> None:
    code = (
        "import sys\nfor number in range(5_000):\n    print('out', number)\n    print('err', number, file=sys.stderr)"
    )
    events = run(tight, code)
    for stream, word in (("stdout", "out"), ("stderr", "err")):
        whole = "".join(f"{word} {number}\n" for number in range(5_000))
        head, cut, tail = around_the_cut(events, stream)
        assert whole.startswith(head)
        assert whole.endswith(tail)
        assert (cut["total_bytes"], cut["dropped_bytes"]) == (len(whole), len(whole) - len(head) - len(tail))


def test_bytes_are_counted_where_characters_are_wider(tight: httpx.Client) -> None:
    events = run(tight, "for number in range(5_000): print('\\u00fc\\U0001f600', number)")
    whole = "".join(f"ü\U0001f600 {number}\n" for number in range(5_000))
    head, cut, tail = around_the_cut(events, "stdout")
    kept = len((head + tail).encode())
    assert (cut["total_bytes"], cut["dropped_bytes"]) == (len(whole.encode()), len(whole.encode()) - kept)
    assert whole.startswith(head)
    assert whole.endswith(tail)


def test_one_line_without_an_end_is_cut_inside(tight: httpx.Client) -> None:
    events = run(tight, "print('x' * 1_000_000, end='')")
    head, cut, tail = around_the_cut(events, "stdout")
    assert set(head + tail) == {"x"}
    assert cut["dropped_bytes"] == cut["total_bytes"] - len(head) - len(tail) == 1_000_000 - len(head) - len(tail)


def test_output_that_fits_is_not_touched(tight: httpx.Client) -> None:
    events = run(tight, "print('y' * 8_000)")
    assert text_of(events) == "y" * 8_000 + "\n"
    assert of_type(events, "truncated") == []


def test_errors_and_results_come_through_after_too_much_output(tight: httpx.Client) -> None:
    events = run(tight, "for number in range(20_000): print(number)\n1 / 0")
    assert of_type(events, "error")[0]["error"]["ename"] == "ZeroDivisionError"
    assert end_of(events) == ("failed", "error")


def test_a_large_image_comes_whole(client: httpx.Client) -> None:
    code = """
import base64, hashlib, random
from IPython.display import display
image = base64.b64encode(random.Random(7).randbytes(7_500_000)).decode()
display({"image/png": image, "text/plain": "an image"}, raw=True)
print(len(image), hashlib.sha256(image.encode()).hexdigest())
"""
    events = run(client, code)
    image = of_type(events, "result")[0]["results"]["image/png"]
    assert text_of(events).split() == [str(len(image)), hashlib.sha256(image.encode()).hexdigest()]
    assert len(image) == 10_000_000


def test_a_bundle_that_does_not_fit_is_left_out_whole_and_counted(tight: httpx.Client) -> None:
    code = """
from IPython.display import display
display({"text/plain": "small"}, raw=True)
display({"image/png": "A" * 100_000, "text/plain": "large"}, raw=True)
display({"text/plain": "small again"}, raw=True)
"""
    events = run(tight, code)
    assert [event["results"]["text"] for event in of_type(events, "result")] == ["small", "small again"]
    (cut,) = of_type(events, "truncated")
    assert cut["stream"] == "result"
    assert 100_000 <= cut["dropped_bytes"] < 101_000
    assert cut["total_bytes"] > cut["dropped_bytes"]


def test_many_flushed_lines_arrive_in_order(client: httpx.Client) -> None:
    events = run(client, "for number in range(20_000): print(number, flush=True)")
    assert text_of(events) == "".join(f"{number}\n" for number in range(20_000))


def test_both_streams_keep_their_order_between_them(client: httpx.Client) -> None:
    code = "import sys\nfor number in range(50): print(number, file=(sys.stdout, sys.stderr)[number % 2], flush=True)"
    events = run(client, code)
    both = "".join(event["text"] for event in events if event["type"] in ("stdout", "stderr"))
    assert both.split() == [str(number) for number in range(50)]


def test_file_descriptors_and_children_are_heard_too(client: httpx.Client) -> None:
    code = "import os, subprocess\nos.write(1, b'from fd 1\\n')\nsubprocess.run(['echo', 'from a child'])"
    run_id = run(client, code)[0]["execution_id"]
    eventually(lambda: "from a child\n" in text_of(fetch(client, run_id) + late(client, run_id)))
    assert "from fd 1\n" in text_of(fetch(client, run_id) + late(client, run_id))


def late(client: httpx.Client, run_id: str) -> list[Event]:
    """What came after the end of a run."""
    return fetch(client, run_id, fetch(client, run_id)[-1]["seq"])


WAITERS = {
    "a thread": """
import threading
go = threading.Event()
thread = threading.Thread(target=lambda: (go.wait(), print('from the first', flush=True)))
thread.start()
end = thread.join
""",
    "a task": """
import asyncio
go = asyncio.Event()
async def wait():
    await go.wait()
    print('from the first', flush=True)
task = asyncio.create_task(wait())
async def end(): await task
""",
    "a pool": """
import threading
from concurrent.futures import ThreadPoolExecutor
go = threading.Event()
job = ThreadPoolExecutor(1).submit(lambda: (go.wait(), print('from the first', flush=True)))
end = job.result
""",
}


@pytest.mark.parametrize("what", WAITERS)
def test_late_output_goes_to_its_own_run_and_says_so(client: httpx.Client, context_id: str, what: str) -> None:
    first = run(client, WAITERS[what] + "print('first')", id=context_id)
    ending = "await end()" if what == "a task" else "end()"
    second = run(client, f"go.set()\n_ = {ending}\nprint('second')", id=context_id)
    assert text_of(first) == "first\n"
    assert text_of(second) == "second\n"
    run_id, end = first[0]["execution_id"], first[-1]["seq"]
    eventually(lambda: text_of(late(client, run_id)).endswith("\n"))
    after = late(client, run_id)
    assert text_of(after) == "from the first\n"
    assert all(event["late"] is True and event["seq"] > end for event in after)
    assert fetch(client, run_id) == first
    assert client.get(f"/code/executions/{run_id}").json()["status"] == "succeeded"


def test_a_pools_thread_works_for_the_run_that_gave_it_the_job(client: httpx.Client, context_id: str) -> None:
    made = "from concurrent.futures import ThreadPoolExecutor\npool = ThreadPoolExecutor(1)"
    first = run(client, f"{made}\npool.submit(print, 'first').result()", id=context_id)
    second = run(client, "pool.submit(print, 'second').result()", id=context_id)
    assert (text_of(first), text_of(second)) == ("first\n", "second\n")


def test_three_readers_of_one_run_see_the_same(client: httpx.Client, context_id: str) -> None:
    seen: list[list[Event]] = []

    def read(run_id: str) -> None:
        seen.append(fetch(client, run_id))

    with running(client, "for number in range(5_000): print(number, flush=True)", id=context_id) as stream:
        stream.until(is_a("stdout"))
        readers = [threading.Thread(target=read, args=(stream.execution_id,)) for _ in range(3)]
        for reader in readers:
            reader.start()
        for reader in readers:
            reader.join()
    assert seen[0] == seen[1] == seen[2]
    assert text_of(seen[0]) == "".join(f"{number}\n" for number in range(5_000))


def peak_memory(service: RunningService) -> int:
    """The largest resident size of the service since `forget_peak`, in bytes."""
    status = Path(f"/proc/{service.process.pid}/status").read_text()
    return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM:"))


def forget_peak(service: RunningService) -> None:
    Path(f"/proc/{service.process.pid}/clear_refs").write_text("5")


def test_a_client_that_does_not_read_costs_the_service_no_memory(
    service: RunningService, client: httpx.Client, new_context: NewContext
) -> None:
    context_id = new_context()
    run(client, "line = 'x' * 99_999 + '\\n'", id=context_id)
    request = client.build_request(
        "POST", "/code", json=body_of("import sys\nfor _ in range(2_000): sys.stdout.write(line)", id=context_id)
    )
    host, port = service.authority.split(":")
    forget_peak(service)
    before = peak_memory(service)
    with socket.create_connection((host, int(port))) as idle_reader:
        fields = "".join(f"{name}: {value}\r\n" for name, value in request.headers.items())
        head = f"POST /code HTTP/1.1\r\n{fields}\r\n"
        idle_reader.sendall(head.encode() + request.read())
        assert idle_reader.recv(64).startswith(b"HTTP/1.1 200 ")
        assert end_of(run(client, "'the next one'", id=context_id)) == SUCCEEDED
        grown = peak_memory(service) - before
    assert grown < 64 * MIB
    (record, *_) = client.get("/code/executions", params={"context_id": context_id, "limit": "2"}).json()[1:]
    with following(client, record["id"]) as stream:
        total = sum(len(event["text"]) for event in stream.events if event["type"] == "stdout")
    assert total == 200_000_000
    assert peak_memory(service) - before < 64 * MIB


def test_a_client_that_reads_little_by_little_misses_nothing(service: RunningService, client: httpx.Client) -> None:
    with client.stream("POST", "/code", json=body_of("for number in range(100_000): print(number)")) as answer:
        raw = b"".join(answer.iter_bytes(777))
    events = [event_of(frame) for frame in raw.removesuffix(b"\n\n").split(b"\n\n")]
    assert text_of(events) == "".join(f"{number}\n" for number in range(100_000))
    assert kinds(events)[-1] == "execution_complete"
