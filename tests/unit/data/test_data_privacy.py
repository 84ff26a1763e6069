"""What names a person is masked, replaced or dropped, and found again by those who hold the key."""

from __future__ import annotations

import stat
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from kedge.core.artifact import ArtifactKind
from kedge.core.errors import Conflict, Invalid
from kedge.core.manifest import write_artifact
from kedge.data.keyed import to_batch
from kedge.data.privacy.index import SUBJECTS, encode_subjects, fill_vault, find_subject, open_pseudonym
from kedge.data.privacy.keys import PrivacyKey, spelt
from kedge.data.privacy.rows import find_all, open_privacy
from kedge.data.privacy.stage import privacy_stage
from kedge.data.privacy.types import PrivacyOptions
from kedge.data.stage import Passed
from kedge.testing.blobs import MemoryBlobs
from kedge.testing.data import MemoryRows, make_rows
from kedge.text.spans import Span

SECRET = b"0123456789abcdef0123456789abcdef"
KEY = PrivacyKey(secret=SECRET)
TEXT = "Write to ann@example.com or call (212) 555-0123."


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    path = tmp_path / "key"
    path.write_bytes(SECRET)
    return path


def look(key_file: Path, *texts: str, **options: object) -> Passed:
    chosen = PrivacyOptions(**options)  # type: ignore[arg-type]  # from keywords
    return open_privacy(privacy_stage(chosen, KEY.id, str(key_file)).options)(to_batch(make_rows(*texts)))


def test_masking_writes_the_kind(key_file: Path) -> None:
    assert look(key_file, TEXT).batch.column("input").to_pylist() == ["Write to [email] or call [phone]."]


def test_a_pseudonym_is_the_same_for_the_same_content_however_it_is_spelt(key_file: Path) -> None:
    first, second = look(key_file, TEXT, "ANN@Example.com", action="pseudonym").batch.column("input").to_pylist()
    assert second == KEY.pseudonym("email", "ann@example.com")
    assert second in first
    assert PrivacyKey(secret=b"x" * 32).pseudonym("email", "ann@example.com") != second


def test_actions_may_differ_by_kind(key_file: Path) -> None:
    passed = look(key_file, TEXT, "call (212) 555-0123", action="keep", actions={"email": "drop", "phone": "mask"})
    assert passed.batch.column("input").to_pylist() == ["call [phone]"]
    assert [(reject.reason, reject.detail) for reject in passed.rejects] == [("privacy:email", "it holds email")]


def test_secrets_follow_their_own_action(key_file: Path) -> None:
    text = "postgres://ann:s3cr3t-pw@db.example.com/x"
    assert look(key_file, text, action="keep", actions={"secrets": "mask"}).batch.column("input").to_pylist() == [
        "postgres://ann:[url_password]@db.example.com/x"
    ]


def test_targets_are_looked_through_as_well(key_file: Path) -> None:
    batch = to_batch(make_rows("who?", target="ann@example.com"))
    passed = open_privacy(privacy_stage(PrivacyOptions(), KEY.id, str(key_file)).options)(batch)
    assert passed.batch.column("target").to_pylist() == ["[email]"]


def test_the_index_finds_the_rows_of_a_person_and_tells_nothing_without_the_key(
    key_file: Path, blobs: MemoryBlobs
) -> None:
    rows = MemoryRows(made := make_rows(TEXT, "nothing", "phone: +1 212.555.0123"))
    rows.batch = open_privacy(privacy_stage(PrivacyOptions(), KEY.id, str(key_file)).options)(rows.batch).batch
    index, counts = encode_subjects(rows, np.arange(3))
    assert counts == {"email": 1, "phone": 2}
    assert b"ann" not in index
    dataset = write_artifact(blobs, ArtifactKind.DATASET, {}, {SUBJECTS: index}).digest
    assert [entry.row for entry in find_subject(blobs, dataset, KEY, "Ann@Example.com")] == [made[0].id]
    assert find_subject(blobs, dataset, PrivacyKey(secret=b"y" * 32), "ann@example.com") == []


def test_a_vault_opens_pseudonyms_for_the_key_alone(key_file: Path, tmp_path: Path) -> None:
    rows = MemoryRows(make_rows(TEXT))
    options = PrivacyOptions(action="pseudonym", vault=True)
    rows.batch = open_privacy(privacy_stage(options, KEY.id, str(key_file)).options)(rows.batch).batch
    vault = tmp_path / "vault" / "d.db"
    assert fill_vault(vault, rows, np.arange(1)) == fill_vault(vault, rows, np.arange(1)) == 2
    assert stat.S_IMODE(vault.stat().st_mode) == 0o600
    assert b"ann@" not in vault.read_bytes()
    assert open_pseudonym(vault, KEY, KEY.pseudonym("email", "ann@example.com")) == "ann@example.com"
    assert open_pseudonym(vault, KEY, "[email:unknown]") is None


def test_detectors_add_what_patterns_cannot_know() -> None:
    def names(texts: object) -> list[list[Span]]:
        return [[Span(0, 3, "name"), Span(9, 20, "name")]]

    (found,) = find_all([TEXT], PrivacyOptions(), [names])
    assert [(span.kind, TEXT[span.begin : span.end]) for span in found] == [
        ("name", "Wri"),
        ("email", "ann@example.com"),
        ("phone", "(212) 555-0123"),
    ]


def test_a_key_that_changed_or_is_short_is_refused(key_file: Path) -> None:
    with pytest.raises(Conflict):
        open_privacy(privacy_stage(PrivacyOptions(), "another", str(key_file)).options)
    with pytest.raises(Invalid, match="16 bytes"):
        PrivacyKey(secret=b"short")


def test_options_that_make_no_sense_are_refused() -> None:
    with pytest.raises(Invalid, match="vault"):
        PrivacyOptions(vault=True)
    with pytest.raises(Invalid, match="kind"):
        PrivacyOptions(kinds=("shoe-size",))


def test_identifiers_have_one_spelling() -> None:
    assert spelt("phone", "+44 20 7946-0958") == "442079460958"
    assert spelt("email", "A\u200bnn@Example.COM") == "ann@example.com"
    assert spelt("iban", "DE89 3704 0044") == "de8937040044"


def test_nothing_found_leaves_batches_alike(key_file: Path) -> None:
    passed = look(key_file, "nothing here")
    assert passed.batch.schema.field("_private").type == pa.binary()
