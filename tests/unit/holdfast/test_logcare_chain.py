import gzip
import json
import os

import pytest
from ansible.module_utils.holdfast.errors import HoldfastError
from ansible.module_utils.holdfast.logcare import chain, collect, fleet


class Log:
    """An audit log in a directory, with everything that can happen to it."""

    def __init__(self, root):
        self.root = root
        self.path = root / "audit.log"
        self.chain = str(root / "chain")
        self.path.write_text("")

    def write(self, *lines):
        with self.path.open("a") as stream:
            stream.writelines(f"{line}\n" for line in lines)

    def collect(self, **options):
        return collect.collect(self.chain, collect.parts(str(self.path)), **options)

    def rename(self):
        """Rotate as a server that reopens its file has it."""
        for number in range(8, 0, -1):
            for ending in (f".{number}", f".{number}.gz"):
                if (self.root / f"audit.log{ending}").exists():
                    os.rename(f"{self.path}{ending}", f"{self.path}.{number + 1}{ending[len(str(number)) + 1 :]}")
        os.rename(self.path, f"{self.path}.1")
        self.path.write_text("")

    def empty(self):
        """Rotate as a server that holds its file open has it."""
        (self.root / "audit.log.1").write_bytes(self.path.read_bytes())
        os.truncate(self.path, 0)

    def compress(self, number):
        source = self.root / f"audit.log.{number}"
        status = source.stat()
        with gzip.open(f"{source}.gz", "wb") as stream:
            stream.write(source.read_bytes())
        os.utime(f"{source}.gz", (status.st_atime, status.st_mtime))
        source.unlink()

    @property
    def copied(self):
        """Everything in the chain, in order."""
        links, _ = chain.read(self.chain)
        return b"".join(
            gzip.decompress((self.root / "chain" / chain.segment_name(link["number"])).read_bytes())
            for link in links
            if link["kind"] == chain.SEGMENT
        ).decode()

    @property
    def findings(self):
        return [(item.check, item.subject, item.found) for item in chain.verify(self.chain).findings]


@pytest.fixture
def log(tmp_path):
    return Log(tmp_path)


def lines(*words):
    return "".join(f"{word}\n" for word in words)


def test_every_line_is_copied_once(log):
    log.write("a", "b")
    assert len(log.collect().links) == 1
    assert log.collect().links == []
    log.write("c")
    log.collect()
    assert log.copied == lines("a", "b", "c")
    assert log.findings == []


def test_a_line_that_is_being_written_waits_for_its_end(log):
    log.write("a")
    with log.path.open("a") as stream:
        stream.write("half")
    log.collect()
    assert log.copied == "a\n"
    log.write(" and half")
    log.collect()
    assert log.copied == "a\nhalf and half\n"


@pytest.mark.parametrize("rotate", [Log.rename, Log.empty])
def test_rotation_loses_and_repeats_nothing(log, rotate):
    log.write("a")
    log.collect()
    log.write("b")
    rotate(log)
    log.write("c")
    log.collect()
    assert log.copied == lines("a", "b", "c")
    assert log.findings == []


def test_several_rotations_between_two_copies(log):
    log.write("a")
    log.collect()
    for word in ("b", "c", "d"):
        log.write(word)
        log.rename()
    log.write("e")
    for number, moment in ((3, 100), (2, 200), (1, 300)):
        os.utime(f"{log.path}.{number}", (moment, moment))
    log.collect()
    assert log.copied == lines("a", "b", "c", "d", "e")
    assert log.findings == []


def test_what_was_compressed_meanwhile_is_known_again(log):
    log.write("a")
    log.collect()
    log.write("b")
    log.rename()
    log.compress(1)
    log.write("c")
    log.collect()
    assert log.copied == lines("a", "b", "c")
    assert log.findings == []


def test_a_rotated_file_that_is_gone_is_a_gap_with_its_place(log):
    log.write("a")
    log.collect()
    log.write("b")
    log.rename()
    os.unlink(f"{log.path}.1")
    log.write("c")
    log.collect()
    ((check, subject, found),) = log.findings
    assert check == "LG09"
    assert str(log.path) in subject
    assert "read up to byte 2" in found
    assert log.copied == lines("a", "c")
    assert log.collect().links == []
    assert len(log.findings) == 1, "a gap is told for as long as the chain is there"


def test_a_log_that_was_emptied_is_a_gap(log):
    log.write("a", "b")
    log.collect()
    os.truncate(log.path, 0)
    log.write("c")
    log.collect()
    ((check, _, found),) = log.findings
    assert (check, "was emptied" in found) == ("LG09", True)
    assert log.copied == lines("a", "b", "c")


def test_a_line_that_was_changed_is_found_with_its_bytes_and_copied_as_it_is_now(log):
    log.write("first")
    log.collect()
    log.write("grant all to mallory")
    log.collect()
    log.path.write_text(log.path.read_text().replace("mallory", "nobody1"))
    log.write("last")
    log.collect()
    ((check, _, found),) = log.findings
    assert check == "LG10"
    assert "bytes 6 to 27 are not those that were copied as link 2" in found
    assert log.copied.endswith(lines("first", "grant all to nobody1", "last"))
    assert "mallory" in log.copied


def edit(log, number, change):
    path = log.root / "chain" / chain.CHAIN
    found = [json.loads(line) for line in path.read_text().splitlines()]
    change(found, number - 1)
    path.write_text("".join(json.dumps(link) + "\n" for link in found))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda links, at: links.pop(at), "link 2 is missing before it"),
        (lambda links, at: links[at].update(lines=7), "is not what its hash was made of"),
        (
            lambda links, at: (
                links.insert(at, chain.seal(links[at - 1], {"kind": "gap", "what": "x"})) or links.pop(at + 1)
            ),
            "does not follow",
        ),
        (lambda links, at: links.insert(at, {"a": 1}), "it is no link"),
    ],
)
def test_a_chain_that_was_touched_is_found(log, change, words):
    for word in ("a", "b", "c"):
        log.write(word)
        log.collect()
    edit(log, 2, change)
    found = log.findings
    assert found[-1][0] == "LG10"
    assert words in found[-1][2]


def test_a_copy_that_was_touched_is_found_and_ends_the_copying(log):
    log.write("a")
    log.collect()
    segment = log.root / "chain" / chain.segment_name(1)
    segment.write_bytes(gzip.compress(b"b\n"))
    assert log.findings[0][0] == "LG10"
    assert "was altered" in log.findings[0][2]
    log.write("b")
    with pytest.raises(HoldfastError, match="chain of copies was altered"):
        log.collect()
    segment.unlink()
    assert "is missing" in log.findings[0][2]


def test_a_crash_in_the_middle_of_a_link_costs_nothing(log):
    log.write("a")
    log.collect()
    with (log.root / "chain" / chain.CHAIN).open("a") as stream:
        stream.write('{"number": 2, "kin')
    log.write("b")
    log.collect()
    assert log.copied == lines("a", "b")
    assert log.findings == []


def test_a_full_disk_leaves_no_half_copy(log, monkeypatch):
    log.write("a")
    log.collect()
    log.write("b")
    monkeypatch.setattr(os, "replace", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(HoldfastError, match="No space left"):
        log.collect()
    monkeypatch.undo()
    assert sorted(os.listdir(log.chain)) == [chain.segment_name(1), chain.CHAIN]
    log.collect()
    assert log.copied == lines("a", "b")


def fetched(log, root, known):
    """What the control host has after it fetched, and what the host said."""
    links, _ = chain.read(log.chain)
    new = chain.unseen(links, known)
    place = root / "chain" / "orders" / fleet.INCOMING
    place.mkdir(parents=True, exist_ok=True)
    for link in new:
        if link["kind"] == chain.SEGMENT:
            name = chain.segment_name(link["number"])
            (place / name).write_bytes((log.root / "chain" / name).read_bytes())
    same = next((link["hash"] for link in links if link["number"] == known), "")
    return {"instance": "orders", "links": new, "segments": [], "at_known": same}


def receive(log, root):
    directory = str(root / "chain")
    known = fleet.heads(directory).get("orders", {"number": 0})["number"]
    return fleet.receive(directory, fetched(log, root, known), change=True)


def test_the_control_host_takes_what_goes_on_from_what_it_knows(log, tmp_path):
    root = tmp_path / "control"
    log.write("a")
    log.collect()
    assert receive(log, root).links == 1
    log.write("b")
    log.collect()
    done = receive(log, root)
    assert (done.links, done.findings) == (1, [])
    head = fleet.heads(str(root / "chain"))["orders"]
    assert (head["number"], head["findings"]) == (2, [])
    assert receive(log, root).links == 0


def test_what_is_elsewhere_is_removed_from_the_host_and_the_chain_stays(log, tmp_path):
    log.write("a")
    log.collect()
    receive(log, tmp_path / "control")
    log.write("b")
    log.collect(forget=1)
    assert not (log.root / "chain" / chain.segment_name(1)).exists()
    assert receive(log, tmp_path / "control").findings == []
    log.write("c")
    log.collect(forget=2)
    assert receive(log, tmp_path / "control").findings == []


def test_a_host_whose_chain_was_made_anew_is_found(log, tmp_path):
    root = tmp_path / "control"
    log.write("a", "grant all to mallory")
    log.collect()
    receive(log, root)
    for name in os.listdir(log.chain):
        os.unlink(os.path.join(log.chain, name))
    log.path.write_text("a\n")
    log.collect()
    log.write("b")
    log.collect()
    (finding,) = receive(log, root).findings
    assert finding.check == "LG10"
    assert "a new chain was made" in finding.found
    copies = sorted(os.listdir(root / "chain" / "orders"))
    assert copies == [chain.segment_name(1), chain.CHAIN, fleet.INCOMING], "nothing takes the place of the good copy"


def test_a_copy_that_was_altered_on_its_way_is_not_taken(log, tmp_path):
    root = tmp_path / "control"
    log.write("a")
    log.collect()
    told = fetched(log, root, 0)
    (root / "chain" / "orders" / fleet.INCOMING / chain.segment_name(1)).write_bytes(gzip.compress(b"other\n"))
    done = fleet.receive(str(root / "chain"), told, change=True)
    assert [item.check for item in done.findings] == ["LG10"]
    assert fleet.heads(str(root / "chain"))["orders"]["number"] == 0
