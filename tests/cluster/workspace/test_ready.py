"""A program's first line arrives also where it shares a TLS record with what came before it."""

import base64
import hashlib
import re
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from kubernetes.client import Configuration
from kubernetes.stream.ws_client import WSClient

from precisionflow.cluster.workspace.inside import READY
from precisionflow.cluster.workspace.volume import _ready
from tests.manifests.database import DEV, script

KEY_OF_THE_PROTOCOL = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
BINARY, PING, PONG = 0x82, 0x89, 0x8A
STDOUT = b"\x01"


def frame(kind: int, payload: bytes) -> bytes:
    """A WebSocket frame of a server (RFC 6455) of fewer than 126 bytes."""
    return bytes([kind, len(payload)]) + payload


def answer_pings(server: ssl.SSLSocket, line: bytes) -> None:
    """Take a client, send an empty frame and the line in one record, then an answer to each ping."""
    client, _ = server.accept()
    with client:
        asked = client.recv(65536)
        found = re.search(rb"Sec-WebSocket-Key: (\S+)", asked)
        assert found is not None
        accepted = base64.b64encode(hashlib.sha1(found[1] + KEY_OF_THE_PROTOCOL).digest())
        head = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        client.sendall(head + b"Sec-WebSocket-Accept: " + accepted + b"\r\n\r\n")
        client.sendall(frame(BINARY, STDOUT) + frame(BINARY, STDOUT + line))
        while received := client.recv(65536):
            if received[0] == PING:
                client.sendall(frame(PONG, b""))


@contextmanager
def remote(folder: Path, line: bytes) -> Iterator[WSClient]:
    """A client of `answer_pings`."""
    contents = script(DEV / "make_certificate.py").certificate()
    for name in ("tls.crt", "tls.key"):
        (folder / name).write_text(contents[name])
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "tls.crt", folder / "tls.key")
    with (
        socket.create_server(("127.0.0.1", 0)) as plain,
        context.wrap_socket(plain, server_side=True) as server,
    ):
        thread = threading.Thread(target=answer_pings, args=(server, line))
        thread.start()
        configuration = Configuration()
        configuration.verify_ssl = False
        client = WSClient(configuration, f"wss://127.0.0.1:{server.getsockname()[1]}/", {}, True)
        try:
            yield client
        finally:
            client.close()
            thread.join()


@pytest.mark.parametrize(("line", "wanted"), [(READY + "\n", True), ('{"state": "there"}\n', False)])
def test_a_line_behind_the_socket_is_heard(line: str, wanted: bool, tmp_path: Path) -> None:
    with remote(tmp_path, line.encode()) as client:
        assert _ready(client) is wanted
