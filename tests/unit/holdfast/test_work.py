"""What jobs do with their tools."""

from __future__ import annotations

import pytest
from ansible.module_utils.holdfast import work
from ansible.module_utils.holdfast.model import Job
from fakes import FakeAdapters, instance, service_level


@pytest.mark.parametrize(
    ("schedule", "there", "made"),
    [
        ({}, False, ["local"]),
        ({}, True, []),
        # A repository that site.yml made and that is gone must not be replaced by an empty one.
        ({Job.LOGICAL: "0 1 * * 0"}, False, []),
    ],
)
def test_a_dump_that_is_on_no_schedule_makes_its_repository(tmp_path, monkeypatch, schedule, there, made):
    fake = FakeAdapters(instance(tmp_path, service_level=service_level(schedule=schedule)))
    monkeypatch.setattr(work, "Adapters", fake)
    initialised = []
    monkeypatch.setattr(fake.logical, "is_initialised", lambda _repository: there)
    monkeypatch.setattr(
        fake.logical, "initialise", lambda repository: initialised.append(repository.name), raising=False
    )
    found = work.take_backup(fake.instance, {"job": "logical"})
    assert found["backup"]["type"] == "logical"
    assert initialised == made
