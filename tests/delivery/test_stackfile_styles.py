"""Stack files as people write them: a promotion edits one model's pointers, or refuses and says what to write."""

import copy
import random
import stat
from dataclasses import dataclass, field
from typing import Any

import pytest
from ruamel.yaml import YAML

from delivery import stackfile
from delivery.errors import DeliveryError
from delivery.project import Pointers
from infra.contract.errors import StellwerkError
from infra.values import file_name
from tests.support.checkout import FIRST, SECOND, Checkout

CERTIFICATE = "-----BEGIN CERTIFICATE-----\nMIIC\n-----END CERTIFICATE-----\n"
HEAD = "config:\n  stellwerk:environment: prod\n  stellwerk:models:\n"


def values(text: str) -> Any:
    """By another loader than the code's: YAML 1.1 in C."""
    return YAML(typ="safe").load(text.removeprefix("\ufeff"))


def models(text: str) -> Any:
    return values(text)["config"]["stellwerk:models"]


def put(project: Checkout, text: str) -> None:
    project.file("prod").write_bytes(text.encode())


def refusal(project: Checkout, text: str, model: str = "letters") -> str:
    put(project, text)
    with pytest.raises(DeliveryError) as raised:
        project.project().point("prod", model, Pointers(SECOND, FIRST))
    assert project.text("prod") == text.encode()
    return str(raised.value)


ANCHORED = HEAD + f"    digits: &d\n      release: {FIRST}\n      previous: null\n"


@pytest.mark.parametrize("letters", ["letters: {<<: *d}", "letters:\n      <<: *d\n      replicas: 2"])
def test_a_release_that_is_merged_in_is_refused(letters: str, project: Checkout) -> None:
    message = refusal(project, ANCHORED + f"    {letters}\n")
    assert message.startswith("stacks/Pulumi.prod.yaml:")
    assert "letters takes its release from elsewhere (`<<:` in line " in message
    assert "`release: null` and `previous: null`" in message


def test_an_alias_is_refused_with_what_to_write(project: Checkout) -> None:
    message = refusal(project, ANCHORED + "    letters: *d\n")
    assert message.startswith("stacks/Pulumi.prod.yaml:7: letters is an alias, *d: ")
    assert "write it out instead: letters: with its own `release:` and `previous:`" in message


@pytest.mark.parametrize("letters", ["letters: *d", "letters: {<<: *d, replicas: 2}"])
def test_what_another_model_shares_is_not_moved_with_it(letters: str, project: Checkout) -> None:
    message = refusal(project, ANCHORED + f"    {letters}\n", "digits")
    assert "would change stellwerk:models.letters.previous, stellwerk:models.letters.release, too" in message


def test_a_merge_with_pointers_of_its_own_is_moved(project: Checkout) -> None:
    text = ANCHORED + f"    letters: {{<<: *d, release: null, previous: {FIRST}}}\n"
    put(project, text)
    after = project.project().point("prod", "letters", Pointers(SECOND, None))
    assert after == text.replace(f"release: null, previous: {FIRST}", f"release: {SECOND}, previous: null")


def test_a_previous_that_is_merged_in_gets_a_line_of_its_own(project: Checkout) -> None:
    text = ANCHORED + "    letters:\n      <<: *d\n      release: null\n"
    put(project, text)
    after = project.project().point("prod", "letters", Pointers(SECOND, FIRST))
    assert after == text.removesuffix("release: null\n") + f"release: {SECOND}\n      previous: {FIRST}\n"
    assert models(after)["digits"] == {"release": FIRST, "previous": None}


def test_a_pointer_that_repeats_another_is_replaced_and_one_that_is_repeated_is_refused(project: Checkout) -> None:
    text = HEAD + f"    digits: {{release: &r {FIRST}, previous: null}}\n    letters: {{release: *r, previous: null}}\n"
    put(project, text)
    assert project.project().point("prod", "letters", Pointers(SECOND, None)) == text.replace("*r", SECOND)
    message = refusal(project, text, "digits")
    assert message.startswith("stacks/Pulumi.prod.yaml:4: release is the anchor &r, and what repeats it would move too")


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        (HEAD + "    letters:\n      release: null\n      release: null\n", 6, 'found duplicate key "release"'),
        (HEAD + "    letters:\n      release: null\n    letters: {}\n", 6, 'found duplicate key "letters"'),
        (HEAD + "    letters:\n\trelease: null\n", 5, "write spaces, not tabs"),
        (HEAD + f"    letters:\n      release: >-\n        {FIRST}\n", 5, "must be one word on its line"),
        (HEAD + "    letters:\n      previous: null\n", 5, "has no `release:` of its own; write `release: null`"),
        (HEAD + "    letters: [release]\n", 4, "letters must be a mapping"),
        (HEAD + "    letters: {release, previous}\n", 4, "release has no colon; write `release: null`"),
    ],
)
def test_what_cannot_be_edited_names_file_line_and_what_to_write(
    text: str, line: int, reason: str, project: Checkout
) -> None:
    message = refusal(project, text)
    assert message.startswith(f"stacks/Pulumi.prod.yaml:{line}: ")
    assert reason in message


def test_two_documents_and_a_file_that_is_not_text_are_refused(project: Checkout) -> None:
    assert "yaml:7: not YAML: but found another document" in refusal(project, ANCHORED + "---\nconfig: {}\n")
    assert "must be one document with a mapping" in refusal(project, "- config\n")
    project.file("prod").write_bytes(b"config: \xff\n")
    with pytest.raises(StellwerkError, match="not UTF-8 at byte 8; save it as UTF-8"):
        project.project().point("prod", "letters", Pointers(None, None))


@pytest.mark.parametrize("ending", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_line_endings_mark_and_mode_stay(ending: str, mark: str, project: Checkout) -> None:
    text = mark + ANCHORED.replace("\n", ending).removesuffix(ending)
    put(project, text)
    project.file("prod").chmod(0o640)
    moved = project.project().point("prod", "digits", Pointers(SECOND, FIRST))
    assert moved == text.replace(FIRST, SECOND).replace("previous: null", f"previous: {FIRST}")
    project.project().write("prod", moved)
    assert project.text("prod") == moved.encode()
    assert stat.S_IMODE(project.file("prod").stat().st_mode) == 0o640
    # As whoever reads with line endings made equal gives it back.
    project.project().write("prod", text.replace("\r\n", "\n"))
    assert project.text("prod") == text.encode()


def test_secrets_and_certificate_in_other_styles(project: Checkout) -> None:
    salt, secret = "encryptionsalt: v1:a=:b:c==", "stellwerk:credentials:\r\n    secure: v1:abc=="
    rest = "\ufeffconfig:\r\n  # Ours.\r\n  stellwerk:environment: prod\r\n  stellwerk:quota: {pods: 4}  # few"
    put(project, f"{rest}\r\n  {secret}\r\n{salt}")
    without = stackfile.without_secrets(project.project().text("prod"), "prod")
    assert without == f"{rest}\r\n"
    assert stackfile.without_secrets(without, "prod") == without
    text = stackfile.add(without, "prod", {"caCertificate": CERTIFICATE})
    lines = "".join(f"\r\n    {line}" for line in CERTIFICATE.splitlines())
    assert text == f"{rest}\r\n  stellwerk:caCertificate: |{lines}\r\n"
    assert stackfile.add(text, "prod", {"caCertificate": CERTIFICATE}) == text


def test_secrets_and_certificate_in_flow_style() -> None:
    credentials = '"stellwerk:credentials": {"secure": "a"}'
    text = f'{{"encryptionsalt": "v1:a", "config": {{"stellwerk:environment": "prod", {credentials}}}}}'
    without = stackfile.without_secrets(text, "prod")
    assert without == '{"config": {"stellwerk:environment": "prod"}}'
    assert values(stackfile.add(without, "prod", {"caCertificate": CERTIFICATE}))["config"] == {
        "stellwerk:environment": "prod", "stellwerk:caCertificate": CERTIFICATE,
    }  # fmt: skip


def test_the_loader_takes_what_the_edit_takes(project: Checkout, releases: object) -> None:
    text = project.text("prod").decode()
    digits = "    digits:\n      release: null\n      previous: null\n"
    assert digits in text
    text = text.replace(digits, "    letters: {<<: *e, release: null}\n" + digits)
    put(project, text.replace("config:\n", "config:\n  other:base: &e {previous: null, replicas: 3}\n"))
    opened = project.project()
    opened.write("prod", opened.point("prod", "digits", Pointers(SECOND, FIRST)))
    served = opened.served("prod")
    assert (served["digits"].release, served["digits"].previous) == (SECOND, FIRST)
    assert (served["letters"].release, served["letters"].replicas) == (None, 3)


@dataclass
class Writer:
    """Writes a stack file in a random style; `own` are the models whose pointers can be moved alone."""

    random: random.Random
    own: list[str] = field(default_factory=list)
    shared: list[str] = field(default_factory=list)

    def one(self, *choices: str) -> str:
        return self.random.choice(choices)

    def key(self, name: str) -> str:
        return self.one(name, name, f'"{name}"', f"'{name}'")

    def release(self, flow: bool) -> str:
        number = self.random.randrange(1, 99)
        text = f"v{number}-{self.random.randrange(1 << 32):08x}"
        return self.one(text, f'"{text}"', f"'{text}'", "null", "~", *([] if flow else [""]))

    def comment(self) -> str:
        return self.one("", "", "", "  # why: {so}", " # release: null")

    def model(self, name: str, indent: int) -> list[str]:
        pad = " " * indent
        inner = " " * (indent + self.random.choice([1, 2, 4]))
        flow = self.random.random() < 0.3
        space = self.one(" ", " ", "   ")
        entries = [(self.key("release"), self.release(flow)), (self.key("previous"), self.release(flow))]
        if self.random.random() < 0.3:
            entries.pop()
        entries += [("replicas", "2"), ("canary", "null")][: self.random.randrange(3)]
        self.random.shuffle(entries)
        style = self.random.random()
        if style < 0.1:
            self.shared.append(name)
            return [f"{pad}{name}: *base"]
        if style < 0.2:
            self.shared.append(name)
            return [f"{pad}{name}: {{<<: *base, replicas: 3}}"]
        self.own.append(name)
        if style < 0.3 and any("previous" in key for key, _ in entries):
            entries.insert(0, ("<<", "*base"))
        if flow:
            comma = self.one(", ", ",", ",\n" + inner)
            body = comma.join(f"{key}:{space}{value}" for key, value in entries)
            return [f"{pad}{self.key(name)}: {{{body}}}{self.comment()}"]
        lines = [f"{pad}{self.key(name)}:{self.comment()}"]
        for key, value in entries:
            if self.random.random() < 0.2:
                lines.append(f"{self.one(inner, pad)}# a comment: with a colon")
            lines.append(f"{inner}{key}:{space}{value}{self.comment()}")
            if self.random.random() < 0.1:
                lines.append("")
        return lines

    def file(self) -> str:
        pad = " " * self.random.choice([1, 2, 4])
        lines = [self.one("", "---", "# A file."), "config:"]
        base = [f"{pad}other:base: &base {{release: {FIRST}, previous: null}}"]
        block = [f"{pad}stellwerk:caCertificate: |", f"{pad}    release: null", "", f"{pad}    b", ""]
        several = [f"{pad}other:text: several", f"{pad}  lines", f"{pad}other:list: [a,", f"{pad} b]"]
        served = [f"{pad}{self.key('stellwerk:models')}:{self.comment()}"]
        for number in range(self.random.randrange(1, 5)):
            served += self.model(f"model-{number}", len(pad) + 2)
        rest = [block, several, served]
        self.random.shuffle(rest)
        lines += base + [line for part in rest for line in part]
        lines.append(self.one("encryptionsalt: v1:a=", "# The end."))
        text = self.one("", "", "\ufeff") + "\n".join(lines).lstrip("\n") + self.one("", "\n", "\n\n")
        return text.replace("\n", "\r\n") if self.random.random() < 0.3 else text


@pytest.mark.parametrize("seed", range(60))
def test_any_style_is_edited_exactly_or_refused(seed: int, project: Checkout) -> None:
    writer = Writer(random.Random(seed))  # noqa: S311
    text = writer.file()
    put(project, text)
    before = values(text)
    for model in writer.shared:
        assert refusal(project, text, model).startswith(f"{file_name('prod')}:")
    for model in writer.own:
        wanted = writer.random.choice([(SECOND, FIRST), (SECOND, None), (None, FIRST), (None, None)])
        moved = project.project().point("prod", model, Pointers(*wanted))
        after = values(moved)
        pointers = after["config"]["stellwerk:models"][model]
        assert (pointers["release"], pointers.get("previous")) == wanted
        assert without(after, model) == without(before, model), moved
        assert kept(text, moved) <= 2
        assert ("\r\n" in moved, moved[:1], moved[-1:]) == ("\r\n" in text, text[:1], text[-1:])


def without(tree: Any, model: str) -> Any:
    """A copy of the values without the pointers of a model."""
    rest = copy.deepcopy(tree)
    for key in ("release", "previous"):
        rest["config"]["stellwerk:models"][model].pop(key, None)
    return rest


def kept(before: str, after: str) -> int:
    """How many lines of the text are not in the other any more."""
    left = after.splitlines(keepends=True)
    gone = 0
    for line in before.splitlines(keepends=True):
        if line in left:
            left.remove(line)
        else:
            gone += 1
    return gone
