"""`stellwerk diff`: every difference between two environments, and whether somebody intends it."""

import json

import pytest

from infra.contract.differences import FILE
from tests.support.checkout import FIRST, MODEL, SECOND, Checkout
from tests.support.documents import TEAM
from tests.support.session import Command

HEAD = "apiVersion: stellwerk.dev/v1\nkind: Differences\nintended:\n"


def declare(project: Checkout, *lines: str) -> None:
    (project.root / FILE).write_text(HEAD + "".join(f"  - {line}\n" for line in lines))


def listed(stellwerk: Command, *names: str) -> tuple[int, dict[str, str | None]]:
    """Return the exit code, and the reason of each difference by key."""
    code, out, _ = stellwerk("diff", *names, "--json")
    document = json.loads(out)
    assert document["environments"] == list(names)
    assert all(each["intended"] == (each["reason"] is not None) for each in document["differences"])
    return code, {each["key"]: each["reason"] for each in document["differences"]}


def test_the_team_s_environments_differ_in_nothing_unintended(project: Checkout, stellwerk: Command) -> None:
    (project.root / FILE).write_text((TEAM / "differences.yaml").read_text())
    for pair in (("test", "prod"), ("dev", "prod"), ("dev", "test")):
        assert stellwerk("diff", *pair)[0] == 0


def test_names_ports_and_pointers_differ_by_their_nature(
    project: Checkout, releases: object, stellwerk: Command
) -> None:
    project.edit("prod", lambda values: values["roles"].update(developers=["ml-engineers"]))
    project.point("test", SECOND, FIRST)
    code, reasons = listed(stellwerk, "test", "prod")
    assert code == 0
    pointers = {f"models.{MODEL}.previous", f"models.{MODEL}.release"}
    assert reasons.keys() == {"environment", "gateway.nodePort", "objectStore.nodePort", "releasesFrom", *pointers}


def test_another_difference_is_not_intended_unless_somebody_says_why(project: Checkout, stellwerk: Command) -> None:
    project.edit("prod", lambda values: values["models"][MODEL].update(replicas=3))
    code, out, err = stellwerk("diff", "test", "prod")
    assert (code, err) == (1, "")
    assert out.splitlines()[:2] == [
        f"models.{MODEL}.replicas: test 1, prod 3 (not intended)",
        'roles.developers: test ["ml-engineers"], prod [] (not intended)',
    ]
    assert out.endswith("6 differences, 2 of them not intended\nmake the values equal, or say in "
                        "stacks/differences.yaml why they differ\n")  # fmt: skip
    declare(project, "{key: models.*.replicas, reason: there are more users}", "{key: roles, reason: fewer people}")
    code, reasons = listed(stellwerk, "test", "prod")
    assert code == 0
    assert reasons[f"models.{MODEL}.replicas"] == "there are more users"
    assert reasons["roles.developers"] == "fewer people"


def test_a_reason_of_one_environment_is_none_of_others(project: Checkout, stellwerk: Command) -> None:
    declare(project, "{key: roles, environment: dev, reason: people}")
    assert listed(stellwerk, "test", "prod")[1]["roles.developers"] is None
    assert listed(stellwerk, "dev", "prod")[1]["roles.developers"] == "people"


def test_a_default_that_is_written_is_no_difference(project: Checkout, stellwerk: Command) -> None:
    project.edit("prod", lambda values: values["models"][MODEL].update(replicas=1))
    assert f"models.{MODEL}.replicas" not in listed(stellwerk, "test", "prod")[1]


def test_a_key_that_one_environment_lacks_is_named_as_a_whole(project: Checkout, stellwerk: Command) -> None:
    project.edit("prod", lambda values: values["models"].update(letters={"release": None}))
    code, out, _ = stellwerk("diff", "test", "prod")
    assert code == 1
    (line,) = [line for line in out.splitlines() if line.startswith("models.letters")]
    assert line.startswith('models.letters: prod {"release": null, ')
    assert line.endswith(", test has no such key (not intended)")
    # null is a value: an absent key is none.
    (entry,) = [each for each in json.loads(stellwerk("diff", "test", "prod", "--json")[1])["differences"]
                if each["key"] == "models.letters"]  # fmt: skip
    assert entry["values"].keys() == {"prod"}


def test_things_of_a_list_are_compared_by_their_names(project: Checkout, stellwerk: Command) -> None:
    project.edit("prod", lambda values: values["nodePools"][0].update(nodes=5))
    assert "nodePools.gpu-sim.nodes" in listed(stellwerk, "test", "prod")[1]


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("test", "prd"), 'environment "prd": unknown; allowed: dev, test, prod; did you mean prod?'),
        (("prod", "prod"), "prod and prod are one environment; name two"),
    ],
    ids=["unknown", "one"],
)
def test_what_cannot_be_compared_is_refused(
    names: tuple[str, ...], message: str, project: Checkout, stellwerk: Command
) -> None:
    code, out, err = stellwerk("diff", *names)
    assert (code, out) == (1, "")
    assert message in " ".join(err.split())


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("{key: qouta.cpu, reason: more}", ("intended.0.key", '"qouta"', "did you mean quota?")),
        ("{key: quota, environment: prd, reason: more}", ("intended.0.environment", '"prd"', "did you mean prod?")),
        ("{key: quota, reason: ''}", ("intended.0.reason", "why environments differ in it")),
        ("{key: 'quota..cpu', reason: more}", ("intended.0.key", "joined by '.'")),
        ("{key: quota}", ("intended.0.reason", "why environments differ in it")),
    ],
    ids=["key", "environment", "empty reason", "form of the key", "no reason"],
)
def test_a_wrong_entry_is_named_by_file_and_line(
    line: str, expected: tuple[str, ...], project: Checkout, stellwerk: Command
) -> None:
    declare(project, line)
    code, out, err = stellwerk("diff", "test", "prod")
    assert (code, out) == (1, "")
    for text in (f"{FILE}:4: ", *expected):
        assert text in err
