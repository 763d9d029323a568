"""Downloads from servers that cut, ignore ranges, or send other bytes than they published."""

import hashlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest

from veilmark.client.downloads import fetch
from veilmark.client.errors import ClientError, DownloadError

CONTENT = bytes(range(256)) * 4096
DIGEST = f"sha256:{hashlib.sha256(CONTENT).hexdigest()}"


class Handler(BaseHTTPRequestHandler):
    """Serves the server's `content`, at most `n_each` bytes a request, as a proxy does that loses connections."""

    def do_GET(self):
        settings = self.server.settings
        content, asked = settings["content"], self.headers.get("Range")
        settings.setdefault("ranges", []).append(asked)
        first = int(asked.removeprefix("bytes=").rstrip("-")) if asked and settings["speaks_ranges"] else 0
        self.send_response(206 if first else 200)
        self.send_header("Content-Length", str(len(content) - first))
        if first:
            shown = first + settings.get("off_by", 0)
            self.send_header("Content-Range", f"bytes {shown}-{len(content) - 1}/{len(content)}")
        self.end_headers()
        self.wfile.write(content[first : first + settings["n_each"]])
        self.close_connection = True

    def log_message(self, *_):
        pass


@pytest.fixture
def serve():
    """`serve(content=..., n_each=...)`: a client of a server that behaves so."""
    running = []

    def start(**settings):
        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.settings = {"content": CONTENT, "n_each": len(CONTENT), "speaks_ranges": True} | settings
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        http = httpx.Client(base_url=f"http://127.0.0.1:{server.server_port}")
        running.append((server, thread, http))
        return http, server.settings

    yield start
    for server, thread, http in running:
        http.close()
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_connection_that_is_lost_again_and_again_is_taken_up_again_and_again(serve, tmp_path):
    http, seen = serve(n_each=len(CONTENT) // 7)
    done = fetch(http, "/", tmp_path / "a.zip", digest=DIGEST)
    assert done.path.read_bytes() == CONTENT
    assert len(seen["ranges"]) == 8
    assert seen["ranges"][0] is None
    assert all(asked.startswith("bytes=") for asked in seen["ranges"][1:])


def test_a_server_that_ignores_ranges_sends_it_all_again(serve, tmp_path):
    silent, _ = serve(n_each=0)
    with pytest.raises(DownloadError):
        fetch(silent, "/", tmp_path / "a.zip", digest=DIGEST)
    (partial,) = tmp_path.glob(".a.zip.*")
    http, seen = serve(speaks_ranges=False)
    partial.write_bytes(CONTENT[:1000])
    assert fetch(http, "/", tmp_path / "a.zip", digest=DIGEST).path.read_bytes() == CONTENT
    assert seen["ranges"] == ["bytes=1000-"]


def test_a_server_that_sends_nothing_is_given_up_and_what_came_is_kept(serve, tmp_path):
    http, seen = serve(n_each=0)
    with pytest.raises(DownloadError, match="connection was lost at byte 0"):
        fetch(http, "/", tmp_path / "a.zip", digest=DIGEST)
    assert len(seen["ranges"]) == 3
    assert not (tmp_path / "a.zip").exists()


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"content": CONTENT[:-1] + b"?"}, id="other bytes"),
        pytest.param({"content": CONTENT[:-1]}, id="bytes missing"),
        pytest.param({"content": CONTENT + b"?"}, id="bytes too many"),
    ],
)
def test_other_bytes_than_were_published_are_not_kept(serve, tmp_path, change):
    http, _ = serve(**change)
    with pytest.raises(DownloadError, match="not those that were published"):
        fetch(http, "/", tmp_path / "a.zip", digest=DIGEST)
    assert list(tmp_path.iterdir()) == []


def test_an_answer_with_another_range_is_not_appended(serve, tmp_path):
    http, _ = serve(n_each=1000, off_by=5)
    with pytest.raises(DownloadError, match="another range"):
        fetch(http, "/", tmp_path / "a.zip", digest=DIGEST)
    (partial,) = tmp_path.iterdir()
    assert partial.read_bytes() == CONTENT[:1000]


def test_a_folder_that_cannot_be_made_is_named(serve, tmp_path):
    http, _ = serve()
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ClientError, match="cannot be written"):
        fetch(http, "/", tmp_path / "file" / "a.zip", digest=DIGEST)
