"""What is written of an instance on its host is what is read there."""

from __future__ import annotations

from datetime import timedelta

import pytest
from ansible.module_utils.holdfast import config
from ansible.module_utils.holdfast.model import Job, Keep, Retention
from fakes import instance, service_level

FULL = Keep(count=3, age=timedelta(days=14), weekly=4)
DEVELOPMENT = service_level(
    name="development",
    keep=Retention(FULL, Keep(), FULL, timedelta(0), Keep(), Keep(), minimum_full=1),
    schedule={Job.FULL: "0 1 * * *"},
    log_interval=None,
)


@pytest.mark.parametrize("level", [service_level(), DEVELOPMENT], ids=lambda level: level.name)
def test_an_instance_is_read_as_it_was_written(tmp_path, monkeypatch, level):
    monkeypatch.setattr(config, "INSTANCES", str(tmp_path / "instances"))
    monkeypatch.setattr(config, "KEYS", str(tmp_path / "keys"))
    written = instance(tmp_path, service_level=level, databases=("a",), options={"compress_level": "3"})
    for file in config.render(written):
        path = tmp_path / file.path
        path.parent.mkdir(exist_ok=True)
        path.write_text(file.content)
    assert config.load("orders") == written
