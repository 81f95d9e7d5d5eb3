"""Keys: their form, their file with hashes only, and what happens to it when writing fails."""

import json
import os
import re
import stat
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zlib import crc32

import pytest
from click.testing import CliRunner, Result

from service.access import keys
from service.access.keys import KEY_PATTERN, KeyFile, KeyFileError, KeyGrant, KeyRing, KeyStore, NewKey
from visavis.cli.main import main

NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)
GRANT = KeyGrant("app", ("verify",))
ROOT = Path(__file__).parents[2]


@pytest.fixture
def file(tmp_path: Path) -> KeyFile:
    return KeyFile(tmp_path / "keys.json", now=lambda: NOW)


def command(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["keys", *map(str, arguments)])


def test_a_key_has_256_random_bits_and_a_form_that_scanners_find(file: KeyFile) -> None:
    texts = [file.create(GRANT).text for _ in range(20)]
    assert len(set(texts)) == 20
    assert all(re.fullmatch(r"visavis_[0-9A-Za-z]{8}_[0-9A-Za-z]{43}_[0-9A-Za-z]{6}", text) for text in texts)
    assert 62**43 > 2**256
    document = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    assert KEY_PATTERN.pattern.replace("(", "").replace(")", "") in document


def test_the_checksum_is_the_crc_of_the_rest(file: KeyFile) -> None:
    body, _, checksum = file.create(GRANT).text.rpartition("_")
    value = sum(keys.BASE62.index(digit) * 62**place for place, digit in enumerate(reversed(checksum)))
    assert value == crc32(body.encode())


def test_the_file_is_private_and_has_no_key(file: KeyFile) -> None:
    made = file.create(GRANT)
    assert stat.S_IMODE(file.path.stat().st_mode) == 0o600
    content = file.path.read_text(encoding="utf-8")
    assert made.text.split("_")[2] not in content
    assert made.text not in repr(made)
    assert made.record.hash not in repr(made)


def test_equal_keys_would_have_different_hashes() -> None:
    assert keys.hash_of("key", "00" * 16) != keys.hash_of("key", "01" * 16)


def test_a_valid_key_is_found_and_no_other(file: KeyFile) -> None:
    first, second = file.create(GRANT), file.create(GRANT)
    ring = KeyRing(file.read())
    assert ring.find(first.text, NOW) == first.record
    assert ring.find(second.text, NOW) == second.record
    body, _, checksum = first.text.rpartition("_")
    wrong = f"{body[:-1]}{'a' if body[-1] != 'a' else 'b'}_{checksum}"
    mixed = "_".join(["visavis", first.record.id, *second.text.split("_")[2:]])
    unknown = "_".join(["visavis", "00000000", *first.text.split("_")[2:]])
    for odd in (wrong, mixed, unknown, keys._ABSENT.text, first.text + "\n", f" {first.text}", "", "ä" * 90):
        assert ring.find(odd, NOW) is None


def test_every_key_is_hashed_and_compared_once(file: KeyFile, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    hash_of, compare = keys.hash_of, keys.hmac.compare_digest
    made, revoked = file.create(GRANT), file.create(GRANT)
    file.revoke(revoked.record.id)
    ring = KeyRing(file.read())

    def hashed(key: str, salt: str) -> str:
        calls.append(f"hash {len(key)} {len(salt)}")
        return hash_of(key, salt)

    def compared(one: str, other: str) -> bool:
        calls.append(f"compare {len(one)} {len(other)}")
        return compare(one, other)

    monkeypatch.setattr(keys, "hash_of", hashed)
    monkeypatch.setattr(keys.hmac, "compare_digest", compared)
    unknown = "visavis_00000000" + made.text[16:]
    for presented in (made.text, made.text[:-1] + "_", unknown, revoked.text, "", "x" * 10_000):
        calls.clear()
        ring.find(presented, NOW)
        assert calls == [f"hash {len(made.text)} 32", "compare 64 64"]


def test_a_key_ends_by_the_clock_when_it_is_used(file: KeyFile) -> None:
    made = file.create(KeyGrant("app", ("verify",), expires=NOW + timedelta(days=1)))
    ring = KeyRing(file.read())
    assert ring.find(made.text, NOW + timedelta(hours=23, minutes=59)) == made.record
    assert ring.find(made.text, NOW + timedelta(days=1)) is None


def test_a_revoked_key_is_refused(file: KeyFile) -> None:
    made = file.create(GRANT)
    assert file.revoke(made.record.id).revoked == NOW
    assert KeyRing(file.read()).find(made.text, NOW) is None
    with pytest.raises(KeyFileError, match="no key with this id"):
        file.revoke("00000000")


def test_a_rotated_key_lives_on_until_the_overlap_ends(file: KeyFile) -> None:
    old = file.create(KeyGrant("app", ("verify", "embed"), NOW + timedelta(days=90), "60/minute", "1000/day"))
    new = file.rotate(old.record.id, timedelta(hours=24))
    ring = KeyRing(file.read())
    assert ring.find(old.text, NOW + timedelta(hours=23)) is not None
    assert ring.find(old.text, NOW + timedelta(hours=24)) is None
    assert ring.find(new.text, NOW + timedelta(days=89)) == new.record
    alike = ("name", "scopes", "expires", "rate", "quota")
    assert [getattr(new.record, name) for name in alike] == [getattr(old.record, name) for name in alike]


def test_rotating_never_makes_a_key_live_longer(file: KeyFile) -> None:
    old = file.create(KeyGrant("app", ("verify",), NOW + timedelta(hours=1)))
    file.rotate(old.record.id, timedelta(hours=24))
    assert file.read()[0].expires == NOW + timedelta(hours=1)
    file.revoke(old.record.id)
    with pytest.raises(KeyFileError, match="expired or revoked"):
        file.rotate(old.record.id, timedelta(hours=24))


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o777])
def test_a_file_that_others_may_use_is_refused(mode: int, file: KeyFile) -> None:
    file.create(GRANT)
    file.path.chmod(mode)
    with pytest.raises(KeyFileError, match=f"{mode:04o}.*chmod 600"):
        file.read()


def test_a_link_a_folder_and_a_pipe_are_refused(file: KeyFile, tmp_path: Path) -> None:
    file.create(GRANT)
    (tmp_path / "link").symlink_to(file.path)
    os.mkfifo(tmp_path / "pipe", 0o600)
    for name in ("link", "pipe", "."):
        with pytest.raises(KeyFileError, match="plain file"):
            KeyFile(tmp_path / name).read()
    with pytest.raises(KeyFileError, match="plain file"):
        KeyFile(tmp_path / "link").create(GRANT)
    assert len(file.read()) == 1


def test_a_file_in_a_linked_folder_is_read(file: KeyFile, tmp_path: Path) -> None:
    """As Kubernetes mounts it: ..data is a link to the folder of the newest version."""
    made = file.create(GRANT)
    (tmp_path / "..data").symlink_to(tmp_path)
    assert KeyFile(tmp_path / "..data" / "keys.json").read() == (made.record,)


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda text: text[: len(text) // 2], "Invalid JSON"),
        (lambda _: "", "Invalid JSON"),
        (lambda _: "[]", "malformed"),
        (lambda text: text.replace('"version": 1', '"version": 2'), "version"),
        (lambda text: text.replace('"verify"', '"root"'), "scopes"),
        (lambda text: text.replace('"name"', '"nmae"'), "keys.0"),
        (lambda text: text.replace('"salt": "', '"salt": "zz'), "salt"),
        (lambda text: json.dumps({"keys": json.loads(text)["keys"] * 2}), "two keys have one id"),
        (lambda text: text + " " * 2**20, "bytes"),
    ],
)
def test_a_malformed_file_is_told_without_its_content(damage: Callable[[str], str], reason: str, file: KeyFile) -> None:
    made = file.create(GRANT)
    file.path.write_text(damage(file.path.read_text(encoding="utf-8")), encoding="utf-8")
    with pytest.raises(KeyFileError, match=reason) as refusal:
        file.read()
    assert made.record.hash not in str(refusal.value)
    assert made.record.salt not in str(refusal.value)


def test_writers_at_the_same_time_lose_nothing(file: KeyFile) -> None:
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: file.create(GRANT), range(24)))
    assert {each.record.id for each in made} == {record.id for record in file.read()}


class Fault(OSError):
    """Raised in place of one call to the system."""


def failing(monkeypatch: pytest.MonkeyPatch, fails: int) -> list[str]:
    """Let call number `fails` of those by which a file is written fail; return the calls, as they come."""
    calls: list[str] = []

    def watched(name: str, real: Callable[..., object]) -> Callable[..., object]:
        def call(*given: object, **named: object) -> object:
            calls.append(name)
            if len(calls) == fails + 1:
                raise Fault(28, "No space left on device")
            return real(*given, **named)

        return call

    for name in ("open", "fdopen", "fsync"):
        monkeypatch.setattr(os, name, watched(name, getattr(os, name)))
    monkeypatch.setattr(Path, "replace", watched("replace", Path.replace))
    return calls


def changes(file: KeyFile, key_id: str) -> tuple[Callable[[], object], ...]:
    return lambda: file.create(GRANT), lambda: file.revoke(key_id), lambda: file.rotate(key_id, timedelta(hours=1))


def test_a_file_never_grows_beyond_what_is_read(file: KeyFile, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keys, "MAX_FILE_BYTES", 1_000)  # three keys
    made = tuple(file.create(GRANT).record for _ in range(3))
    with pytest.raises(KeyFileError, match="delete keys from it that are expired or revoked"):
        file.create(GRANT)
    assert file.read() == made


def test_a_key_that_ends_in_the_last_year_is_rotated(file: KeyFile) -> None:
    old = file.create(KeyGrant("app", ("verify",), datetime(9999, 12, 31, tzinfo=UTC)))
    new = file.rotate(old.record.id, timedelta(days=3 * 10**6))
    assert new.record.is_valid(NOW)
    assert file.read()[0].expires == old.record.expires


@pytest.mark.parametrize("which", range(3))
def test_after_any_failed_call_the_file_is_whole_and_keeps_what_was_acknowledged(which: int, file: KeyFile) -> None:
    old = file.create(GRANT)
    before = file.read()
    for n_fails in range(30):
        with pytest.MonkeyPatch.context() as patch:
            calls = failing(patch, n_fails)
            try:
                done = changes(file, old.record.id)[which]()
            except KeyFileError:
                done = None
        now = file.read()
        assert old.record.id in {record.id for record in now}
        if done is not None:
            break
        if "replace" not in calls[:-1]:  # after it the folder alone is not on the disk: the new file is whole too
            assert now == before
        file.path.write_text(keys.KeyFileContent(keys=before).model_dump_json(), encoding="utf-8")
    assert n_fails == len(calls) >= 7, calls
    if isinstance(done, NewKey):
        assert KeyRing(now).find(done.text, NOW) == done.record


def test_a_full_disk_leaves_the_old_file(file: KeyFile) -> None:
    made = file.create(GRANT)
    program = (
        "import resource, sys; from pathlib import Path; from service.access.keys import KeyFile, KeyGrant\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (300, 300))\n"  # the file has some 300 bytes for each key
        "KeyFile(Path(sys.argv[1])).create(KeyGrant('app', ('verify',)))"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program, file.path], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert "KeyFileError: the file of keys cannot be changed: File too large" in ended.stderr
    assert file.read() == (made.record,)


def test_a_writer_that_is_killed_leaves_the_old_file(file: KeyFile) -> None:
    made = file.create(GRANT)
    program = (
        "import os, sys; from pathlib import Path; from service.access.keys import KeyFile, KeyGrant\n"
        "os.fsync = lambda handle: os.kill(os.getpid(), 9)\n"
        "KeyFile(Path(sys.argv[1])).create(KeyGrant('app', ('verify',)))"
    )
    ended = subprocess.run([sys.executable, "-c", program, file.path], cwd=ROOT, check=False)
    assert ended.returncode == -9
    assert file.read() == (made.record,)
    file.create(GRANT)
    assert len(file.read()) == 2


def test_a_changed_file_is_read_anew(file: KeyFile) -> None:
    first = file.create(GRANT)
    store = KeyStore(file)
    second = file.create(GRANT)
    assert store.find(second.text) is None
    store.refresh()
    assert store.find(second.text) == second.record
    file.revoke(first.record.id)
    store.refresh()
    assert store.find(first.text) is None


def test_a_broken_new_file_keeps_the_old_keys_and_is_logged_once(
    file: KeyFile, caplog: pytest.LogCaptureFixture
) -> None:
    made = file.create(GRANT)
    store, whole = KeyStore(file), file.path.read_bytes()
    for broken in (b"{", None):
        caplog.clear()
        file.path.unlink() if broken is None else file.path.write_bytes(broken)
        for _ in range(3):
            store.refresh()
        assert store.find(made.text) == made.record
        assert len(caplog.records) == 1
        assert str(file.path) not in caplog.text
    file.path.touch(mode=0o600)
    file.path.write_bytes(whole)
    file.revoke(made.record.id)
    store.refresh()
    assert store.find(made.text) is None


def test_a_store_does_not_start_without_its_file(file: KeyFile) -> None:
    with pytest.raises(KeyFileError, match="visavis keys create"):
        KeyStore(file)


def test_the_command_shows_a_key_once_and_alone(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    made = command("create", "app", "--scope", "verify", "--scope", "embed", "--expires", "90d", "--file", path)
    assert made.exit_code == 0
    key = made.stdout.rstrip("\n")
    assert KEY_PATTERN.fullmatch(key)
    assert key not in made.stderr
    listed = command("list", "--file", path)
    assert re.fullmatch(r"\w{8}  valid until \S+  verify,embed  app\n", listed.output)
    assert key.split("_")[2] not in listed.output
    (facts,) = json.loads(command("list", "--json", "--file", path).stdout)
    assert set(facts) == {"id", "name", "scopes", "created", "expires", "revoked", "rate", "quota", "state"}


def test_the_command_prints_json(tmp_path: Path) -> None:
    made = command("create", "app", "--scope", "verify", "--quota", "9/day", "--json", "--file", tmp_path / "keys.json")
    facts = json.loads(made.stdout)
    assert KEY_PATTERN.fullmatch(facts["key"])
    assert (facts["quota"], facts["scopes"], facts["state"]) == ("9/day", ["verify"], "valid")


def test_the_command_revokes_and_rotates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VISAVIS_KEYS", str(tmp_path / "keys.json"))
    old = json.loads(command("create", "app", "--scope", "verify", "--json").stdout)
    new = command("rotate", old["id"], "--overlap", "0").stdout.strip()
    states = {each["id"]: each["state"] for each in json.loads(command("list", "--json").stdout)}
    assert states == {old["id"]: "expired", new.split("_")[1]: "valid"}
    assert "is revoked" in command("revoke", new.split("_")[1]).output
    refused = command("revoke", "00000000")
    assert (refused.exit_code, refused.stdout) == (2, "")


@pytest.mark.parametrize(
    "odd",
    [
        ("--expires", "yesterday"),
        ("--expires", "2001-01-01"),
        ("--expires", "0d"),
        ("--rate", "fast"),
        ("--rate", "0/minute"),
        ("--quota", "1/week"),
        ("--scope", "root"),
    ],
)
def test_the_command_refuses_what_it_cannot_grant(odd: tuple[str, str], tmp_path: Path) -> None:
    refused = command("create", "app", "--scope", "verify", "--file", tmp_path / "keys.json", *odd)
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert not (tmp_path / "keys.json").exists()
