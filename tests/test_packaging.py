"""What is shipped: pins, version, wheel, image, and what no committed file may say."""

import json
import re
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import metadata
from pathlib import Path
from threading import Thread

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import execd
from execd.settings import Settings

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
EXTRAS = PROJECT["project"]["optional-dependencies"]
RUNTIME = PROJECT["project"]["dependencies"]
BUILD = PROJECT["build-system"]["requires"]
NEEDS = {
    "serving": [*RUNTIME, *EXTRAS["data"], *EXTRAS["bwrap"]],
    "build": BUILD,
    "development": [*RUNTIME, *EXTRAS["data"], *EXTRAS["bwrap"], *EXTRAS["dev"], *BUILD],
}

# Whoever owns the checkout: nothing but names is read.
LIST = ["git", "-c", "safe.directory=*", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]


def committed(*folders: str) -> list[Path]:
    """The files that git keeps, or would keep with the next commit."""
    listing = subprocess.run(
        [*LIST, "--", *folders],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    return [ROOT / name for name in listing.split("\0") if name and (ROOT / name).is_file()]


def pins(name: str) -> dict[str, str]:
    lines = (ROOT / "requirements" / f"{name}.txt").read_text().splitlines()
    return dict(line.split("==") for line in lines if not line.startswith("#"))


class TestPins:
    @pytest.mark.parametrize("name", NEEDS)
    def test_lines_are_plain_pins_in_order(self, name: str) -> None:
        lines = [line for line in (ROOT / "requirements" / f"{name}.txt").read_text().splitlines() if line[0] != "#"]
        assert [line for line in lines if not re.fullmatch(r"[a-z0-9-]+==[0-9][0-9a-z.]*", line)] == []
        assert list(pins(name)) == sorted(pins(name))

    @pytest.mark.parametrize("name", NEEDS)
    def test_every_dependency_has_a_pin_that_it_allows(self, name: str) -> None:
        chosen = pins(name)
        for requirement in map(Requirement, NEEDS[name]):
            version = chosen.get(canonicalize_name(requirement.name))
            assert version is not None, requirement
            assert version in requirement.specifier, requirement

    def test_a_package_has_one_version_in_every_list(self) -> None:
        everything = pins("development").items()
        assert pins("serving").items() <= everything
        assert pins("build").items() <= everything


class TestVersion:
    def test_is_written_once(self) -> None:
        assert "version" not in PROJECT["project"]
        assert PROJECT["tool"]["hatch"]["version"]["path"] == "execd/__init__.py"
        assert metadata.version("execd") == execd.__version__


@pytest.fixture(scope="module")
def names(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """What is inside the wheel that this checkout builds."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    [wheel] = folder.iterdir()
    with zipfile.ZipFile(wheel) as archive:
        return archive.namelist()


class TestWheel:
    def test_holds_the_package_and_the_kernels_and_nothing_else(self, names: list[str]) -> None:
        files = {str(path.relative_to(ROOT)) for path in committed("execd", "kernels")}
        expected = {name if name.startswith("execd/") else f"execd/{name}" for name in files}
        assert {name for name in names if ".dist-info/" not in name} == expected

    def test_holds_the_licence(self, names: list[str]) -> None:
        assert f"execd-{execd.__version__}.dist-info/licenses/LICENSE" in names


def instructions() -> list[tuple[str, str]]:
    """The Dockerfile's instructions and their arguments, long lines joined."""
    text = re.sub(r"^#.*\n", "", (ROOT / "Dockerfile").read_text(), flags=re.MULTILINE)
    lines = re.sub(r"\\\n\s*", "", text).splitlines()
    return [(word, rest) for word, _, rest in (line.partition(" ") for line in lines if line)]


def arguments(word: str) -> list[str]:
    return [rest for each, rest in instructions() if each == word]


class Ping(BaseHTTPRequestHandler):
    """A service that is well at /ping and knows nothing else."""

    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/ping" else 503)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Keeps the test's output clean."""


class TestImage:
    @pytest.fixture
    def port(self) -> Iterator[int]:
        with ThreadingHTTPServer(("127.0.0.1", 0), Ping) as server:
            thread = Thread(target=server.serve_forever, args=(0.01,))
            thread.start()
            yield server.server_address[1]
            server.shutdown()
            thread.join()

    def health(self, address: str) -> int:
        """The exit code of the image's health check, asked of another address, under this Python."""
        [check] = arguments("HEALTHCHECK")
        python, *rest = json.loads(check[check.index("[") :])
        assert python == "/opt/execd/bin/python"
        rest = [part.replace("127.0.0.1:44772/ping", address) for part in rest]
        return subprocess.run([sys.executable, *rest], check=False, capture_output=True).returncode

    def test_is_healthy_when_ping_answers(self, port: int) -> None:
        assert self.health(f"127.0.0.1:{port}/ping") == 0

    def test_is_not_healthy_when_the_answer_is_an_error(self, port: int) -> None:
        assert self.health(f"127.0.0.1:{port}/else") != 0

    def test_runs_as_a_plain_user(self) -> None:
        words = [word for word, _ in instructions()]
        assert arguments("USER") == ["1000:1000"]
        assert words.index("USER") > max(index for index, word in enumerate(words) if word == "RUN")

    def test_serves_on_every_address_of_the_container(self) -> None:
        assert json.loads(arguments("ENTRYPOINT")[0]) + json.loads(arguments("CMD")[-1]) == [
            "execd",
            "serve",
            "--host",
            "0.0.0.0",
        ]
        assert arguments("EXPOSE") == ["44772"]

    def test_its_variables_are_settings_of_the_service(self) -> None:
        names = re.findall(r"\bEXECD_(\w+)=", " ".join(arguments("ENV")))
        assert names
        assert {name.lower() for name in names} <= Settings.model_fields.keys()

    def test_its_python_is_a_supported_one_from_a_plain_name(self) -> None:
        for image in arguments("FROM"):
            found = re.fullmatch(r"python:(3\.\d+)-slim-\w+( AS \w+)?", image)
            assert found is not None
            assert Requirement(f"python{PROJECT['project']['requires-python']}").specifier.contains(found[1])

    def test_what_it_copies_is_not_ignored(self) -> None:
        ignored = (ROOT / ".dockerignore").read_text().splitlines()
        sources = [part for rest in arguments("COPY") if "--from" not in rest for part in rest.split()[:-1]]
        assert "*" in ignored
        assert {f"!{source.partition('/')[0]}" for source in sources} <= {line.rstrip("/") for line in ignored}


def test_what_tests_are_skipped_without_is_installed_before_they_run_on_a_bare_machine() -> None:
    text = "\n".join(path.read_text() for path in committed("tests") if path.suffix == ".py")
    wanted = set(re.findall(r"""which\(['"]([\w-]+)['"]\)""", text)) | {"slirp4netns", "ip"}
    asked = set(re.findall(r"command -v ([\w-]+)", (ROOT / ".ci" / "run").read_text()))
    assert wanted - {"node"} <= asked, "npm brings node"


# In pieces, or this file would be the first to break its own rule.
HOSTS = ["pypi" + ".org", "python" + "hosted.org", "npm" + "js.org", "deb.debian" + ".org", "index" + "-url"]
PLACES = [r"(?<![\w.)}\]*])/wo" + "rk/", "/tmp/w" + "t/", "/root/" + r"\.pyenv"]


@pytest.mark.parametrize("pattern", [*map(re.escape, HOSTS), *PLACES])
def test_no_committed_file_names_a_registry_or_a_path_of_one_machine(pattern: str) -> None:
    found = [str(path.relative_to(ROOT)) for path in committed() if re.search(pattern.encode(), path.read_bytes())]
    assert found == []
