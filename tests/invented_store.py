"""Invented object store: what S3 answers to a listing, a reading and a writing, signed for one region and one key."""

import contextlib
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape, unescape

import yaml

from tests.invented_cluster import Table

RECORDED = Path(__file__).parent / "cluster" / "access" / "recorded"
RELEASES = ("2.14.3", "2.15.0", "2.17.0")


def recorded(release: str, table: Table, *, namespace: str = "here") -> None:
    """Let an API server answer for the object store as an installation of that release does."""
    for path, content in yaml.safe_load((RECORDED / f"kfp-{release}.yaml").read_text()).items():
        table.answers["GET", f"/api/v1/namespaces/{namespace}/{path}"] = (200, content)


@contextlib.contextmanager
def store(objects: dict[str, bytes], *, region: str, key: str) -> Iterator[str]:
    """`127.0.0.1:port` of a store with these objects (bucket/key -> content) for who signs with that key.

    What is removed there goes from `objects`.
    """

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            path, query = unquote(parts.path).lstrip("/"), parse_qs(parts.query)
            signed = f"Credential={key}/" in self.headers.get("Authorization", "")
            if not (signed and f"/{region}/s3/" in self.headers["Authorization"]):
                self.answer(403, b"<Error><Code>SignatureDoesNotMatch</Code></Error>")
            elif "list-type" in query:
                prefix = f"{path}/{query.get('prefix', [''])[0]}"
                found = [name.removeprefix(f"{path}/") for name in objects if name.startswith(prefix)]
                rows = "".join(
                    f"<Contents><Key>{escape(name)}</Key><Size>{len(objects[f'{path}/{name}'])}</Size>"
                    "<LastModified>2026-07-08T10:00:00.000Z</LastModified></Contents>"
                    for name in found
                )
                self.answer(200, f"<ListBucketResult>{rows}</ListBucketResult>".encode())
            elif path in objects:
                self.answer(200, objects[path])
            else:
                self.answer(404, b"<Error><Code>NoSuchKey</Code></Error>")

        do_HEAD = do_GET

        def do_PUT(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            objects[unquote(urlsplit(self.path).path).lstrip("/")] = body
            self.answer(200, b"")

        def do_POST(self) -> None:
            bucket = urlsplit(self.path).path.strip("/")
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            for key in re.findall("<Key>(.*?)</Key>", body):
                del objects[f"{bucket}/{unescape(key)}"]
            self.answer(200, b"<DeleteResult/>")

        def answer(self, status: int, content: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            """The tests' screen stays clean."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
