"""`stellwerk roles`: who has which part in what, and where git, forge and cluster let somebody else do it."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from delivery.clients.forges.forge import Forge
from delivery.clients.forges.protection import protection
from delivery.errors import DeliveryError
from delivery.operations.roles import checked
from tests.delivery.forges.conftest import client
from tests.support.checkout import Checkout
from tests.support.documents import whole_values
from tests.support.forges.server import ForgeServer, serve
from tests.support.repository import Repository, repository
from tests.support.session import Bench, Command

ENGINEERS = whole_values("dev")["roles"]["developers"][0]
PLATFORM = whole_values("dev")["roles"]["operators"][0]
MAY = {"responsible": [PLATFORM], "accountable": PLATFORM}
RIGHT = {
    "train": {"responsible": [ENGINEERS, PLATFORM], "accountable": ENGINEERS, "informed": ["auditors"]},
    "release": {"responsible": [ENGINEERS], "accountable": ENGINEERS},
    "promote": MAY,
    "rollback": MAY,
}
OWNERS = f"* @team/{ENGINEERS}\n/stacks/Pulumi.*.yaml @team/{PLATFORM}\n"


@pytest.fixture
def git(project: Checkout) -> Repository:
    """A repository of GitHub in which values and CODEOWNERS agree."""
    for name in ("dev", "test", "prod"):
        say(project, name)
    made = repository(project.root)
    made.run("remote", "add", "origin", "https://github.com/team/models.git")
    write(project, OWNERS)
    return made


def say(project: Checkout, environment: str, **steps: Any) -> None:
    project.edit(environment, lambda values: values.update(responsibilities={**RIGHT, **steps}))


def write(project: Checkout, text: str) -> None:
    (project.root / "CODEOWNERS").write_text(text)


def contradictions(stellwerk: Command, *arguments: str) -> list[tuple[str, str, str, str]]:
    """Return what is contradicted; the forge is not asked, for there is no token."""
    code, out, err = stellwerk("roles", "--check", "--json", *arguments)
    document = json.loads(out)
    assert (code, err) == (2 if document["contradictions"] else 0, "")
    assert any("environment protection: GitHub: " in each for each in document["unchecked"])
    return [tuple(each.values()) for each in document["contradictions"]]


def test_who_has_which_part_is_shown(project: Checkout, stellwerk: Command) -> None:
    code, out, _ = stellwerk("roles", "--env", "prod", "--json")
    assert code == 0
    # Nothing is trained there.
    assert [(part["step"], part["accountable"]) for part in json.loads(out)["parts"]] == [
        ("promote", None), ("rollback", None),
    ]  # fmt: skip
    for name in ("dev", "prod"):
        say(project, name)
    steps = [part["step"] for part in json.loads(stellwerk("roles", "--env", "prod", "--json")[1])["parts"]]
    assert steps == ["promote", "rollback"]
    code, out, _ = stellwerk("roles", "--env", "dev")
    assert code == 0
    assert all(word in out for word in ("responsible", "accountable", "consulted", "informed", "auditors", PLATFORM))
    (train,) = (part for part in json.loads(stellwerk("roles", "--json")[1])["parts"] if part["step"] == "train")
    assert train == {"environment": "dev", "step": "train", "consulted": [], **RIGHT["train"]}


def test_where_all_places_agree_nothing_is_said(git: Repository, stellwerk: Command) -> None:
    assert contradictions(stellwerk) == []
    code, out, _ = stellwerk("roles", "--check")
    assert code == 0
    assert "not checked: environment protection: GitHub" in " ".join(out.split())


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (f"* @team/{ENGINEERS}\n", f"CODEOWNERS:1: @team/{ENGINEERS} may approve stacks/Pulumi.prod.yaml"),
        (f"* @a/{PLATFORM} @team/{ENGINEERS}\n", f"CODEOWNERS:1: @team/{ENGINEERS}, too, may approve"),
        (f"/models/ @a/{PLATFORM}\n", "CODEOWNERS: no line is about stacks/Pulumi.prod.yaml"),
        (None, "there is none (.github/CODEOWNERS, CODEOWNERS, docs/CODEOWNERS in"),
    ],
    ids=["another", "one more", "nobody", "no file"],
)
def test_codeowners_that_let_others_approve_are_named_by_line(
    text: str | None, said: str, project: Checkout, git: Repository, stellwerk: Command
) -> None:
    if text is None:
        (project.root / "CODEOWNERS").unlink()
    else:
        write(project, text)
    known = contradictions(stellwerk, "--env", "prod")
    assert {(environment, step, place) for environment, step, place, _ in known} == {
        ("prod", "promote", "CODEOWNERS"), ("prod", "rollback", "CODEOWNERS"),
    }  # fmt: skip
    assert all(text.startswith(said) for *_, text in known)


def test_releases_have_owners_of_their_own(project: Checkout, git: Repository, stellwerk: Command) -> None:
    write(project, f"{OWNERS}/stacks/releases/ @team/{PLATFORM}\n")
    (known,) = set(contradictions(stellwerk, "--env", "dev"))
    assert known[:3] == ("dev", "release", "CODEOWNERS")


def test_each_step_of_a_file_may_have_somebody_of_its_own(
    project: Checkout, git: Repository, stellwerk: Command
) -> None:
    say(project, "prod", rollback={"responsible": [PLATFORM], "accountable": "on-call"})
    write(project, f"{OWNERS}/stacks/Pulumi.prod.yaml @team/{PLATFORM} @team/on-call\n")
    assert contradictions(stellwerk) == []


def test_a_checkout_below_the_top_has_its_path_in_codeowners(
    project: Checkout, git: Repository, stellwerk: Command
) -> None:
    (project.root / ".git").rename(project.root.parent / ".git")
    (project.root / "CODEOWNERS").rename(project.root.parent / "CODEOWNERS")
    assert [said[3] for said in contradictions(stellwerk, "--env", "prod")] == [
        f"CODEOWNERS:1: @team/{ENGINEERS} may approve {project.root.name}/stacks/Pulumi.prod.yaml, but accountable is "
        f"{PLATFORM}"
    ] * 2


def test_rights_in_the_cluster_are_compared(project: Checkout, git: Repository, stellwerk: Command) -> None:
    say(project, "dev", train={"responsible": ["guests"], "accountable": ENGINEERS})
    assert contradictions(stellwerk, "--env", "dev") == [
        ("dev", "train", "RBAC",
         f"{PLATFORM} may create jobs in dev-training (roles.operators), but has no part in it"),
        ("dev", "train", "RBAC", "guests is responsible, but may not create jobs in dev-training: no role has it"),
    ]  # fmt: skip
    say(project, "dev")
    project.edit("prod", lambda values: values["roles"].update(operators=[PLATFORM, "guests"]))
    assert contradictions(stellwerk) == [
        ("prod", step, "RBAC",
         "guests may update inferenceservices in prod-serving (roles.operators), but has no part in it")
        for step in ("promote", "rollback")
    ]  # fmt: skip


@pytest.fixture(params=["github", "gitlab"])
def server(request: pytest.FixtureRequest) -> Iterator[ForgeServer]:
    with serve(request.param) as made:
        yield made


def protected(bench: Bench, forge: Forge) -> list[str]:
    made = checked(bench.session(), "prod", lambda: forge)
    return [each.text for each in made.contradictions if each.place == "environment protection"]


def test_who_approves_a_pipeline_s_update_is_compared(git: Repository, bench: Bench, server: ForgeServer) -> None:
    forge = client(server)
    nobody = f"{forge.name}: the environment prod has no required reviewers: nobody has to approve; {PLATFORM} should"
    assert protected(bench, forge) == [nobody]
    server.state.approvers["prod"] = []
    assert protected(bench, forge) == [nobody]
    server.state.approvers["prod"] = [("group", PLATFORM)]
    assert protected(bench, forge) == []
    server.state.approvers["prod"] = [("user", "somebody")]
    assert protected(bench, forge) == [
        f"{forge.name}: @somebody may approve updates of prod, but accountable is {PLATFORM}"
    ]


def test_github_takes_one_approval_and_gitlab_one_of_each_rule(server: ForgeServer) -> None:
    server.state.approvers["prod"] = [("group", "one"), ("user", "two")]
    expected = {"github": (("@one", "@two"),), "gitlab": (("@one",), ("@two",))}
    assert protection(client(server), "prod") == expected[server.host.name]


def test_a_forge_without_such_approvals_says_so() -> None:
    with serve("bitbucket-cloud") as made, pytest.raises(DeliveryError, match="does not say who approves"):
        protection(client(made), "prod")


def test_wrong_values_are_named_by_line(project: Checkout, stellwerk: Command) -> None:
    say(project, "prod", promote={"responsible": [], "acountable": PLATFORM})
    code, _, err = stellwerk("roles")
    assert code == 1
    assert "stellwerk:responsibilities.promote.accountable" in err
    assert "did you mean accountable?" in err
    assert "a list of groups that do it, at least one" in err
