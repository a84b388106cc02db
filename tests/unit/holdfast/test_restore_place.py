"""Directories change places, or stay where they were."""

from __future__ import annotations

import http.server
import threading
from types import SimpleNamespace

import pytest
from ansible.module_utils.holdfast import restore_place
from ansible.module_utils.holdfast.errors import HoldfastError, InvalidInput, Refused
from ansible.module_utils.holdfast.model import Place
from ansible.module_utils.holdfast.restore_place import _checked, exchange, exchange_content, probe
from ansible.module_utils.holdfast.restore_request import Assertion


def directory(path, content):
    path.mkdir()
    (path / "file").write_text(content)
    return path


def test_the_restored_data_take_the_place_of_the_live_ones(tmp_path):
    live, staged = directory(tmp_path / "main", "old"), directory(tmp_path / "staged", "new")
    live.chmod(0o750)
    exchange(str(staged), str(live), str(tmp_path / "main.before-x"))
    assert (live / "file").read_text() == "new"
    assert (tmp_path / "main.before-x" / "file").read_text() == "old"
    assert live.stat().st_mode & 0o777 == 0o750
    assert not staged.exists()


def test_data_that_are_gone_need_no_place(tmp_path):
    staged = directory(tmp_path / "staged", "new")
    exchange(str(staged), str(tmp_path / "main"), str(tmp_path / "main.before-x"))
    assert (tmp_path / "main" / "file").read_text() == "new"


def test_nothing_moves_when_the_restored_data_cannot(tmp_path, monkeypatch):
    live, staged = directory(tmp_path / "main", "old"), directory(tmp_path / "staged", "new")
    rename = restore_place.os.rename

    def refuse(source, target):
        if source == str(staged):
            raise PermissionError(1, "Operation not permitted")
        rename(source, target)

    monkeypatch.setattr(restore_place.os, "rename", refuse)
    with pytest.raises(HoldfastError, match="Operation not permitted"):
        exchange(str(staged), str(live), str(tmp_path / "main.before-x"))
    assert (live / "file").read_text() == "old"


def test_the_content_changes_places_where_the_directory_cannot(tmp_path):
    live = directory(tmp_path / "mysql", "old")
    room = live / "#sql-holdfast-shop"
    room.mkdir()
    staged = directory(room / "data", "new")
    (live / "lost+found").mkdir()
    exchange_content(str(staged), str(live), str(live / "#sql-holdfast-before-x"), spare="#sql-holdfast")
    assert (live / "file").read_text() == "new"
    assert (live / "#sql-holdfast-before-x" / "file").read_text() == "old"
    assert sorted(path.name for path in live.iterdir()) == [
        "#sql-holdfast-before-x",
        "#sql-holdfast-shop",
        "file",
        "lost+found",
    ]


@pytest.mark.parametrize("running", [False, True])
def test_nothing_moves_below_a_server_that_somebody_started_meanwhile(tmp_path, monkeypatch, running):
    live = directory(tmp_path / "main", "old")
    (tmp_path / ".holdfast-orders" / "restore").mkdir(parents=True)
    directory(tmp_path / ".holdfast-orders" / "restore" / "data", "new")
    engine = SimpleNamespace(
        place=lambda: Place(str(live), "postgresql@17-main.service", running), create=None, stop=None, start=None
    )
    monkeypatch.setattr(restore_place, "Adapters", lambda instance: SimpleNamespace(engine=engine))
    swap = restore_place.operations(SimpleNamespace(name="orders"))["swap"]
    if running:
        with pytest.raises(Refused, match="started by somebody else"):
            swap("20261121T120000Z")
    else:
        swap("20261121T120000Z")
    assert (live / "file").read_text() == ("old" if running else "new")


@pytest.mark.parametrize("moment", ["", "x", "20261121T120000Z/..", "../20261121T120000Z"])
def test_root_names_what_it_moves_itself(moment):
    with pytest.raises(InvalidInput):
        _checked(moment)
    assert _checked("20261121T120000Z") == "20261121T120000Z"


class Application(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/health" else 503)
        self.end_headers()

    def log_message(self, *args):
        pass


def test_an_application_is_asked():
    server = http.server.HTTPServer(("127.0.0.1", 0), Application)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}"
    try:
        assert probe(Assertion("shop", url=f"{url}/health"))["ok"]
        assert probe(Assertion("shop", url=f"{url}/orders"))["found"] == "status 503"
    finally:
        server.shutdown()
        server.server_close()
    assert not probe(Assertion("shop", url=f"{url}/health"))["ok"]
    for url in ("no address", "file:///etc/hostname"):
        assert not probe(Assertion("shop", url=url))["ok"]
