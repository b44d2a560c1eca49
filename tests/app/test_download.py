"""`precisionflow data get`: whole and checked before it appears, from a server of this machine."""

import hashlib
import threading
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest
from command_line import Line

from precisionflow.app import download as module
from precisionflow.app.download import download, get_data
from precisionflow.app.published import PUBLISHED, Published

FILES = {"data.txt": b"1 2\n3 4\n" * 30_000, "index_features.txt": b"0\n", "index_target.txt": b"1\n"}


class Server(BaseHTTPRequestHandler):
    """Serves `FILES`; answers for some paths are broken."""

    asked: ClassVar[Counter] = Counter()
    broken: ClassVar[dict[str, str]] = {}

    def do_GET(self) -> None:
        name = self.path.strip("/")
        Server.asked[name] += 1
        match Server.broken.get(name):
            case "missing":
                self.send_error(404)
                return
            case "elsewhere":
                self.send_response(302)
                self.send_header("Location", "http://example.com/data.txt")
                self.end_headers()
                return
            case kind:
                content = FILES[name] if kind != "other" else b"5 6\n"
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content if kind != "cut" else content[: len(content) // 2])

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""


@pytest.fixture
def published() -> Iterator[Published]:
    Server.asked.clear()
    Server.broken.clear()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    lines = "".join(
        f"{hashlib.sha256(FILES[n]).hexdigest()}  {n}\n" for n in sorted(FILES) if n != "index_target.txt"
    )
    blob = hashlib.sha1(b"blob 2\0" + FILES["index_target.txt"]).hexdigest()
    yield Published(
        folder="uci/toy",
        addresses={name: f"http://127.0.0.1:{server.server_port}/{name}" for name in FILES},
        listing=hashlib.sha256(lines.encode()).hexdigest(),
        licence="as you like",
        use="{kind: uci_folder, path: uci/toy}",
        blobs={"index_target.txt": blob},
    )
    server.shutdown()
    thread.join()
    server.server_close()


def held(root: Path) -> dict[str, bytes]:
    return {
        path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()
    }


WHOLE = {f"uci/toy/{name}": content for name, content in FILES.items()}


def test_it_comes_whole_once_and_its_licence_is_told(published, tmp_path, capsys) -> None:
    download(published, tmp_path, name="toy")
    assert held(tmp_path) == WHOLE
    out = capsys.readouterr().out
    assert "toy: as you like" in out
    assert "toy: 3 files, 0.2 MB fetched" in out
    assert (
        f"{tmp_path / 'uci/toy'}: written, checksum compared; read it with task.source {{kind: uci_folder"
        in out
    )
    download(published, tmp_path, name="toy")
    assert "is there already, checksum compared" in capsys.readouterr().out
    assert set(Server.asked.values()) == {1}


@pytest.mark.parametrize(
    ("broken", "problem"),
    [
        ({"index_features.txt": "missing"}, "cannot be fetched (HTTPError: Not Found); check the network and run"),
        ({"index_features.txt": "elsewhere"}, "sends on to http://example.com/data.txt, no https"),
        ({"data.txt": "cut"}, "cannot be fetched ("),
    ],
)  # fmt: skip
def test_what_does_not_come_whole_does_not_appear_and_goes_on(published, tmp_path, broken, problem) -> None:
    Server.broken |= broken
    with pytest.raises(ValueError, match=r".") as caught:
        download(published, tmp_path, name="toy")
    assert problem in str(caught.value)
    assert not (tmp_path / "uci/toy").exists()
    assert not list(tmp_path.rglob("*.partial"))
    Server.broken.clear()
    download(published, tmp_path, name="toy")
    assert held(tmp_path) == WHOLE
    if "data.txt" not in broken:
        assert Server.asked["data.txt"] == 1


@pytest.mark.parametrize("name", ["data.txt", "index_target.txt"])
def test_other_bytes_are_refused_and_leave_nothing(published, tmp_path, name) -> None:
    Server.broken[name] = "other"
    with pytest.raises(ValueError, match="what came is not what was published"):
        download(published, tmp_path, name="toy")
    assert held(tmp_path) == {}


def test_files_of_the_users_stay(published, tmp_path) -> None:
    (tmp_path / "uci/toy").mkdir(parents=True)
    (tmp_path / "uci/toy/mine.txt").write_text("mine")
    download(published, tmp_path, name="toy")
    assert held(tmp_path) == WHOLE | {"uci/toy/mine.txt": b"mine"}
    (tmp_path / "uci/toy/data.txt").write_text("mine")
    with pytest.raises(ValueError, match="holds other files of these names; move it away"):
        download(published, tmp_path, name="toy")
    assert (tmp_path / "uci/toy/data.txt").read_text() == "mine"


def test_a_server_that_is_away_is_told(tmp_path) -> None:
    away = Published("x", {"data.txt": "http://127.0.0.1:1/data.txt"}, "", "", "")
    with pytest.raises(ValueError, match=r"http://127\.0\.0\.1:1/data\.txt: cannot be fetched \(URLError"):
        download(away, tmp_path, name="x")
    with pytest.raises(ValueError, match="is not https"):
        download(Published("x", {"a": "http://example.com/a"}, "", "", ""), tmp_path, name="x")


def test_names_and_the_folder(line: Line, monkeypatch, tmp_path) -> None:
    listed = line("data", "get").out
    assert [row.split(":")[0] for row in listed.splitlines()] == list(PUBLISHED)
    assert "did you mean 'sst2'?" in line.fails("data", "get", "sst")
    monkeypatch.delenv("PRECISIONFLOW_DATA", raising=False)
    assert "PRECISIONFLOW_DATA is not set" in line.fails("data", "get", "sst2")
    asked = []
    monkeypatch.setenv("PRECISIONFLOW_DATA", str(tmp_path))
    monkeypatch.setattr(module, "download", lambda *given, **named: asked.append((given, named)))
    get_data("sst2")
    assert asked == [((PUBLISHED["sst2"], tmp_path), {"name": "sst2"})]


def test_every_address_is_of_a_fixed_version_and_encrypted() -> None:
    for name, published in PUBLISHED.items():
        assert len(published.listing) == 64
        for file, address in published.addresses.items():
            assert address.startswith("https://raw.githubusercontent.com/")
            assert len(address.split("/")[5]) == 40
            assert "/" not in file
        if name.startswith("uci/"):
            assert published.folder == name


def test_the_digests_are_those_of_the_raw_data(raw_data: Path) -> None:
    compared = 0
    for published in PUBLISHED.values():
        folder = raw_data / published.folder
        if all((folder / file).is_file() for file in published.addresses):
            assert module.is_published(folder, published), published.folder
            compared += 1
    assert compared
