"""`stellwerk migrate`: older files get today's form, and nothing else of them changes."""

from pathlib import Path

import pytest

from delivery.errors import DeliveryError
from delivery.operations import migrate
from tests.support.documents import TEAM
from tests.support.models import MODELS

OLD = """\
# The team's comment.
config:
  stellwerk:environment: dev
  stellwerk:models:
    digits:
      release: v1-0a1b2c3d   # a note
      canary: null
      replicas: 2
    letters: {release: null, canary: ~, replicas: 1}
    numbers:
      canary:
      release: null
encryptionsalt: v1:abc
"""
NEW = """\
# The team's comment.
config:
  stellwerk:environment: dev
  stellwerk:models:
    digits:
      release: v1-0a1b2c3d   # a note
      replicas: 2
    letters: {release: null, replicas: 1}
    numbers:
      release: null
encryptionsalt: v1:abc
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "stacks" / "releases" / "digits").mkdir(parents=True)
    return tmp_path / "stacks" / "Pulumi.dev.yaml"


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_null_canaries_are_removed_and_every_other_character_stays(newline: str, file: Path) -> None:
    root = file.parents[1]
    file.write_bytes(OLD.replace("\n", newline).encode())
    (change,) = migrate.changes(root)
    assert (change.name, change.reasons) == ("stacks/Pulumi.dev.yaml", ("canary: null has no meaning and is removed",))
    assert file.read_bytes() == OLD.replace("\n", newline).encode(), "looking changes nothing"
    migrate.apply([change], root)
    assert file.read_bytes() == NEW.replace("\n", newline).encode()
    assert migrate.changes(root) == []


@pytest.mark.parametrize("text", [NEW, "config:\n  a: 1\n", "config:\n", "config:\n  stellwerk:models: null\n"])
def test_todays_form_is_left_alone(text: str, file: Path) -> None:
    file.write_text(text)
    assert migrate.changes(file.parents[1]) == []


def test_a_canary_that_is_set_is_left_to_be_refused(file: Path) -> None:
    file.write_text(OLD.replace("canary: null", "canary: 10").replace(", canary: ~", "").replace("      canary:\n", ""))
    assert migrate.changes(file.parents[1]) == []


WHOLE = "".join(f"  stellwerk:{key}: {{}}\n" for key in
                ("cluster", "quota", "roles", "registry", "objectStore", "logging", "gateway", "models"))  # fmt: skip


@pytest.mark.parametrize(("name", "origin"), [("test", "dev"), ("prod", "test")])
def test_the_three_environments_of_before_say_where_their_releases_come_from(
    name: str, origin: str, file: Path
) -> None:
    root = file.parents[1]
    file.write_text(f"config:\n  stellwerk:environment: {name}  # ours\n{WHOLE}encryptionsalt: v1:abc\n")
    (change,) = migrate.changes(root)
    assert change.reasons == ("releasesFrom names the environment that accepts a release before this one",)
    assert change.after == change.before.replace("# ours\n", f"# ours\n  stellwerk:releasesFrom: {origin}\n")
    migrate.apply([change], root)
    assert migrate.changes(root) == []


@pytest.mark.parametrize(
    "text",
    [
        f"config:\n  stellwerk:environment: dev\n{WHOLE}",
        f"config:\n  stellwerk:environment: staging\n{WHOLE}",
        f"config:\n  stellwerk:environment: prod\n  stellwerk:releasesFrom: null\n{WHOLE}",
        "config:\n  stellwerk:environment: prod\n  stellwerk:models: {}\n",
    ],
)
def test_where_releases_enter_is_left_as_it_is(text: str, file: Path) -> None:
    file.write_text(text)
    assert migrate.changes(file.parents[1]) == []


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("{enabled: true}", "{mode: embedded}"),
        ("{enabled: false }  # ours", "{mode: off }  # ours"),
        ("\n    # MLflow.\n    enabled: true   # ours", "\n    # MLflow.\n    mode: embedded   # ours"),
    ],
)
def test_the_tracking_server_has_a_mode(before: str, after: str, file: Path) -> None:
    text = "config:\n  stellwerk:tracking: {section}\n  stellwerk:training: {{}}\n"
    file.write_text(text.format(section=before))
    root = file.parents[1]
    (change,) = migrate.changes(root)
    assert change.reasons == ("tracking has a mode instead of enabled: external is one, too",)
    migrate.apply([change], root)
    assert file.read_text() == text.format(section=after)
    assert migrate.changes(root) == []


def test_releases_are_never_rewritten(file: Path) -> None:
    (file.parent / "releases" / "digits" / "v1-0a1b2c3d.yaml").write_text(OLD)
    assert migrate.changes(file.parents[1]) == []


@pytest.mark.parametrize(
    "models",
    [
        "    digits: &d\n      canary: null\n      release: null\n    letters: *d\n",
        "    digits: &d\n      canary: null\n      release: null\n    letters:\n      <<: *d\n      replicas: 1\n",
        "    digits:\n      canary: null\n",
    ],
)
def test_what_cannot_be_edited_alone_is_named_and_stays_or_is_right(models: str, file: Path) -> None:
    """Whatever the way it is written: the result has today's form, or the file stays and is named."""
    text = f"config:\n  stellwerk:models:\n{models}"
    file.write_text(text)
    root = file.parents[1]
    try:
        migrate.apply(migrate.changes(root), root)
    except DeliveryError as error:
        assert str(error).startswith("stacks/Pulumi.dev.yaml: canary: null has no meaning and is removed: ")
        assert file.read_text() == text
    else:
        assert migrate.changes(root) == []


def test_a_file_that_changed_meanwhile_stays(file: Path) -> None:
    root = file.parents[1]
    file.write_text(OLD)
    pending = migrate.changes(root)
    file.write_text(f"{OLD}more: 1\n")
    with pytest.raises(DeliveryError, match="it has changed meanwhile and stays as it is"):
        migrate.apply(pending, root)
    assert file.read_text() == f"{OLD}more: 1\n"


def test_files_in_todays_form_stay_as_they_are() -> None:
    assert [*(TEAM / "stacks").iterdir(), *MODELS.iterdir()]
    assert migrate.changes(TEAM) == []
