"""A promotion's edit: two lines of one file, whatever else stands in it."""

import difflib

import pytest

from delivery import stackfile
from delivery.errors import DeliveryError
from infra.services.serving import models
from infra.values import ROOT, file_name, from_file
from tests.delivery.conftest import ENVIRONMENTS, FIRST, MODEL, SECOND, Project

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
def test_a_real_stack_file_changes_in_its_two_pointers_alone(environment: str, project: Project) -> None:
    text = (ROOT / file_name(environment)).read_text()
    project.file(environment).write_text(text)
    empty = stackfile.point(environment, MODEL, None, None)
    project.file(environment).write_text(empty)
    moved = stackfile.point(environment, MODEL, SECOND, FIRST)
    assert changed(empty, moved) == [
        "-      release: null",
        "-      previous: null",
        f"+      release: {SECOND}",
        f"+      previous: {FIRST}",
    ]
    project.file(environment).write_text(moved)
    assert stackfile.point(environment, MODEL, None, None) == empty
    assert {line.split(":")[0].strip("+- ") for line in changed(text, empty)} <= {"release", "previous"}


def test_secrets_certificates_comments_and_other_models_stay(project: Project) -> None:
    project.file("prod").write_text(MADE)
    assert changed(MADE, stackfile.point("prod", MODEL, SECOND, FIRST)) == [
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
def test_lines_in_another_style_stay(written: str, otherwise: str, project: Project) -> None:
    text = MADE.replace(written, otherwise)
    assert text != MADE
    project.file("prod").write_text(text)
    assert changed(text, stackfile.point("prod", MODEL, SECOND, None)) == [
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
def test_a_pointer_is_found_however_it_is_written(line: str, moved: str, project: Project) -> None:
    text = MADE.replace(f"release: {FIRST}", line)
    project.file("prod").write_text(text)
    after = stackfile.point("prod", MODEL, SECOND, None)
    assert changed(text, after) == [f"-      {line}", f"+      {moved}"]
    project.file("prod").write_text(after)
    assert stackfile.config("prod")["stellwerk:models"][MODEL]["release"] == SECOND


def test_a_pointer_to_where_it_points_changes_nothing(project: Project) -> None:
    project.file("prod").write_text(MADE)
    assert stackfile.point("prod", MODEL, FIRST, None) == MADE


def test_pointing_writes_nothing(project: Project) -> None:
    before = project.text("prod")
    stackfile.point("prod", MODEL, FIRST, None)
    assert project.text("prod") == before
    assert [file.name for file in project.file("prod").parent.iterdir() if file.suffix != ".yaml"] == []


def test_a_model_without_a_previous_line_gets_one(project: Project, releases: object) -> None:
    project.edit("prod", lambda config: config["models"].update({MODEL: {"release": FIRST}}))
    stackfile.write("prod", stackfile.point("prod", MODEL, SECOND, FIRST))
    model = models(from_file("prod").environment)[MODEL]
    assert (model.release, model.previous) == (SECOND, FIRST)


def test_an_unknown_model_is_named_with_those_there(project: Project) -> None:
    with pytest.raises(DeliveryError) as raised:
        stackfile.point("prod", "letters", FIRST, None)
    assert str(raised.value) == (
        "stacks/Pulumi.prod.yaml: stellwerk:models has no 'letters'; models there: digits; add it first"
    )


CERTIFICATE = "-----BEGIN CERTIFICATE-----\nMIIC\n-----END CERTIFICATE-----\n"


def test_a_changed_value_leaves_all_other_lines(project: Project) -> None:
    project.file("prod").write_text(MADE)
    stackfile.add("prod", {"caCertificate": CERTIFICATE})
    after = project.file("prod").read_text()
    assert changed(MADE, after) == [
        "-    MIIBdjCCARugAwIBAgIUK5vSh5n3Uu0mZp3p0c5T1bI2r9EwCgYIKoZIzj0EAwIw",
        "+    MIIC",
    ]
    assert stackfile.config("prod")["stellwerk:caCertificate"] == CERTIFICATE


def test_a_new_certificate_is_written_line_by_line(project: Project) -> None:
    before = project.file("prod").read_text()
    stackfile.add("prod", {"caCertificate": CERTIFICATE})
    assert changed(before, project.file("prod").read_text()) == [
        "+  stellwerk:caCertificate: |",
        "+    -----BEGIN CERTIFICATE-----",
        "+    MIIC",
        "+    -----END CERTIFICATE-----",
    ]


def test_a_file_is_replaced_in_one_step(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    before = project.text("prod")

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(stackfile.os, "replace", interrupt)
    with pytest.raises(KeyboardInterrupt):
        stackfile.write("prod", "config: {}\n")
    assert project.text("prod") == before
