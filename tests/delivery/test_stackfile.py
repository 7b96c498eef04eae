"""A promotion's edit: two lines of one file, whatever else stands in it."""

import difflib

import pytest

from delivery import stackfile
from delivery.errors import DeliveryError
from delivery.project import Pointers
from infra.values import file_name
from tests.support.checkout import FIRST, MODEL, SECOND, Checkout
from tests.support.documents import ENVIRONMENTS, TEAM

SECURE = "v1:8jQ2fJc7dQ0=:" + "A1b2/C3d4+" * 900 + "=="
MADE = f"""\
encryptionsalt: v1:0123456789a=:v1:abcd/efgh:ij+kl==
# By hand, and by `stellwerk init`.
config:
  stellwerk:caCertificate: |
    -----BEGIN CERTIFICATE-----
    MIIBdjCCARugAwIBAgIUK5vSh5n3Uu0mZp3p0c5T1bI2r9EwCgYIKoZIzj0EAwIw
    -----END CERTIFICATE-----
  stellwerk:credentials:
    secure: {SECURE}

  # The quota of a small team.
  stellwerk:quota:  # per namespace
    cpu: "8"
    memory: '12Gi'
  stellwerk:roles:
    developers: [ml-engineers, data-scientists]
    operators:
      - platform-team  # on call
  stellwerk:models:
    # Reads a digit.
    digits:
      release: {FIRST}
      # Before the retraining.
      previous: null
      canary: null
      replicas: 1
    # Not there yet.
    letters:
      release: null
      previous: null
  pulumi:disable-default-providers: ["*"]
# The end.
"""


def changed(before: str, after: str) -> list[str]:
    """The lines that differ, as a diff shows them."""
    lines = difflib.unified_diff(before.splitlines(keepends=True), after.splitlines(keepends=True), n=0)
    # The first two name the files.
    return [line.rstrip("\n") for line in list(lines)[2:] if not line.startswith("@@")]


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_a_real_stack_file_changes_in_its_two_pointers_alone(environment: str, project: Checkout) -> None:
    text = (TEAM / file_name(environment)).read_text()
    project.file(environment).write_text(text)
    empty = project.project().point(environment, MODEL, Pointers(None, None))
    project.file(environment).write_text(empty)
    moved = project.project().point(environment, MODEL, Pointers(SECOND, FIRST))
    assert changed(empty, moved) == [
        "-      release: null",
        "-      previous: null",
        f"+      release: {SECOND}",
        f"+      previous: {FIRST}",
    ]
    project.file(environment).write_text(moved)
    assert project.project().point(environment, MODEL, Pointers(None, None)) == empty
    assert {line.split(":")[0].strip("+- ") for line in changed(text, empty)} <= {"release", "previous"}


def test_secrets_certificates_comments_and_other_models_stay(project: Checkout) -> None:
    project.file("prod").write_text(MADE)
    assert changed(MADE, project.project().point("prod", MODEL, Pointers(SECOND, FIRST))) == [
        f"-      release: {FIRST}",
        f"+      release: {SECOND}",
        "-      previous: null",
        f"+      previous: {FIRST}",
    ]


@pytest.mark.parametrize(
    ("written", "otherwise"),
    [
        ("canary: null", "canary: ~"),
        ("canary: null", "canary:"),
        ("replicas: 1\n", "replicas:   1   # one\n"),
        ("[ml-engineers, data-scientists]", "[ml-engineers,\n      data-scientists]"),
        ("      - platform-team", "    - platform-team"),
        ("encryptionsalt:", "---\nencryptionsalt:"),
    ],
)
def test_lines_in_another_style_stay(written: str, otherwise: str, project: Checkout) -> None:
    text = MADE.replace(written, otherwise)
    assert text != MADE
    project.file("prod").write_text(text)
    assert changed(text, project.project().point("prod", MODEL, Pointers(SECOND, None))) == [
        f"-      release: {FIRST}",
        f"+      release: {SECOND}",
    ]


@pytest.mark.parametrize(
    ("line", "moved"),
    [
        ("release:", f"release: {SECOND}"),
        ("release: ~", f"release: {SECOND}"),
        (f'release: "{FIRST}"', f'release: "{SECOND}"'),
        (f"release: '{FIRST}'  # tried by hand", f"release: '{SECOND}'  # tried by hand"),
        ("release:   null   # none yet", f"release:   {SECOND}   # none yet"),
        ("release:   # none yet", f"release: {SECOND}   # none yet"),
        ('"release": null', f'"release": {SECOND}'),
    ],
)
def test_a_pointer_is_found_however_it_is_written(line: str, moved: str, project: Checkout) -> None:
    text = MADE.replace(f"release: {FIRST}", line)
    project.file("prod").write_text(text)
    after = project.project().point("prod", MODEL, Pointers(SECOND, None))
    assert changed(text, after) == [f"-      {line}", f"+      {moved}"]
    project.file("prod").write_text(after)
    assert project.config("prod")["models"][MODEL]["release"] == SECOND


def test_a_pointer_to_where_it_points_changes_nothing(project: Checkout) -> None:
    project.file("prod").write_text(MADE)
    assert project.project().point("prod", MODEL, Pointers(FIRST, None)) == MADE


def test_pointing_writes_nothing(project: Checkout) -> None:
    before = project.text("prod")
    project.project().point("prod", MODEL, Pointers(FIRST, None))
    assert project.text("prod") == before
    assert [file.name for file in project.file("prod").parent.iterdir() if file.suffix != ".yaml"] == []


def test_a_model_without_a_previous_line_gets_one(project: Checkout, releases: object) -> None:
    project.edit("prod", lambda config: config["models"].update({MODEL: {"release": FIRST}}))
    opened = project.project()
    opened.write("prod", opened.point("prod", MODEL, Pointers(SECOND, FIRST)))
    assert opened.pointers("prod", MODEL) == Pointers(SECOND, FIRST)


def test_an_unknown_model_is_named_with_those_there(project: Checkout) -> None:
    with pytest.raises(DeliveryError) as raised:
        project.project().point("prod", "letters", Pointers(FIRST, None))
    assert str(raised.value) == (
        "stacks/Pulumi.prod.yaml: stellwerk:models has no 'letters'; models there: digits; add it first"
    )


CERTIFICATE = "-----BEGIN CERTIFICATE-----\nMIIC\n-----END CERTIFICATE-----\n"


def test_a_changed_value_leaves_all_other_lines(project: Checkout) -> None:
    after = stackfile.add(MADE, "prod", {"caCertificate": CERTIFICATE})
    project.file("prod").write_text(after)
    assert changed(MADE, after) == [
        "-    MIIBdjCCARugAwIBAgIUK5vSh5n3Uu0mZp3p0c5T1bI2r9EwCgYIKoZIzj0EAwIw",
        "+    MIIC",
    ]
    assert project.config("prod")["caCertificate"] == CERTIFICATE


def test_a_new_certificate_is_written_line_by_line(project: Checkout) -> None:
    before = project.file("prod").read_text()
    assert changed(before, stackfile.add(before, "prod", {"caCertificate": CERTIFICATE})) == [
        "+  stellwerk:caCertificate: |",
        "+    -----BEGIN CERTIFICATE-----",
        "+    MIIC",
        "+    -----END CERTIFICATE-----",
    ]


def test_a_file_that_cannot_be_replaced_stays(project: Checkout) -> None:
    """A folder stands where the new text is put first: that stops root, too."""
    before = project.text("prod")
    project.file("prod").with_suffix(".partial").mkdir()
    with pytest.raises(DeliveryError, match=r"^writing stacks/Pulumi\.prod\.yaml failed: .*Is a directory"):
        project.project().write("prod", "config: {}\n")
    assert project.text("prod") == before


def test_a_model_is_taken_out_with_its_lines_alone() -> None:
    edited = stackfile.without_model(MADE, "prod", "letters")
    assert changed(MADE, edited) == ["-    letters:", "-      release: null", "-      previous: null"]
    assert stackfile.without_model(edited, "prod", "letters") == edited


def test_the_last_model_leaves_an_empty_mapping() -> None:
    text = MADE.replace("stellwerk:models:", "stellwerk:models:  # of the team")
    edited = stackfile.without_model(stackfile.without_model(text, "prod", "letters"), "prod", MODEL)
    assert "  stellwerk:models: {}  # of the team\n    # Reads a digit.\n    # Not there yet.\n  pulumi:" in edited


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("{letters: {release: null}, digits: {release: null}}", "{letters: {release: null}}"),
        ("{digits: {release: null}}", "{}"),
    ],
)
def test_a_model_is_taken_out_of_a_mapping_in_braces(before: str, after: str) -> None:
    text = "config:\n  stellwerk:training: {}\n  stellwerk:models: %s\n"
    assert stackfile.without_model(text % before, "prod", MODEL) == text % after


def test_a_model_that_is_merged_in_is_not_taken_out() -> None:
    text = (
        "config:\n  stellwerk:quota: &q {digits: {release: null}}\n  stellwerk:models:\n    <<: *q\n    letters: {}\n"
    )
    with pytest.raises(DeliveryError, match="prod:3: stellwerk:models has digits from elsewhere"):
        stackfile.without_model(text, "prod", MODEL)
