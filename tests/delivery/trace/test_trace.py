"""`stellwerk trace`: every link from real records, both ways, and what contradicts."""

import re
from hashlib import sha256
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from delivery.errors import DeliveryError
from delivery.operations.chain import Kind
from infra.contract.release import Releases
from tests.delivery.trace.conftest import CSV, SUBJECT, World, at, chains
from tests.support.checkout import FIRST, MODEL, SECOND, Checkout
from tests.support.session import Command

GOLDEN = Path(__file__).parent
HTML = "{http://www.w3.org/1999/xhtml}"


def names(link: dict[str, Any]) -> list[str]:
    return [item["name"] for item in link["items"]]


def known(text: str, world: World) -> str:
    """Return a text with names in the place of commits, whose ids have much that is no matter of a trace in them."""
    for index, commit in enumerate(world.commits, 1):
        text = text.replace(commit, f"<commit {index}>").replace(commit[:12], f"<commit {index}>")
    return text.replace(world.releases.load(MODEL, FIRST).serving.image.partition("/")[0], "<registry>")


@pytest.mark.parametrize("form", ["text", "json"])
def test_a_trace_as_people_and_programs_read_it(form: str, world: World, stellwerk: Command) -> None:
    code, out, err = stellwerk("trace", MODEL, "--prediction", "middle", *(["--json"] if form == "json" else []))
    assert (code, err) == (0, "")
    assert known(out, world) == (GOLDEN / f"golden.{form}").read_text()


@pytest.mark.parametrize(("prediction", "release", "record"), [
    ("early", FIRST, at(10)), ("middle", SECOND, at(12)), ("late", FIRST, at(14)),
])  # fmt: skip
def test_a_prediction_leads_to_the_release_that_answered_it_then(
    prediction: str, release: str, record: Any, world: World, stellwerk: Command
) -> None:
    code, out, _ = stellwerk("trace", MODEL, "--prediction", prediction, "--json")
    (chain,) = chains(out)
    assert code == 0
    assert names(chain["release"]) == [release]
    assert names(chain["stack update"]) == [f"prod {record:%Y-%m-%dT%H:%M:%SZ}"]
    assert names(chain["pod"]) == [f"pod-of-{release}"]
    assert [item["about"] for item in chain["pod"]["items"] if release == SECOND] in ([], ["gone since"])
    assert names(chain["prediction"]) == [prediction]


def test_a_client_may_give_one_id_to_requests_of_several_models(world: World, stellwerk: Command) -> None:
    world.predict("middle", FIRST, at(13, 30), **{"stellwerk": {"model": "wages", "release": "v1-00000000"}})
    code, out, _ = stellwerk("trace", MODEL, "--prediction", "middle", "--json")
    assert code == 0
    assert names(chains(out)[0]["release"]) == [SECOND]


def test_a_requirement_leads_to_where_its_releases_run_and_ran(world: World, stellwerk: Command) -> None:
    code, out, _ = stellwerk("trace", MODEL, "--requirement", "ABC-12", "--json")
    (chain,) = chains(out)
    assert code == 0
    assert names(chain["release"]) == [SECOND]
    assert names(chain["commit"])[0] == world.commits[1][:12]
    (stay,) = chain["stack update"]["items"]
    assert "from 2026-02-01T12:00:10Z to 2026-02-01T14:00:10Z" in stay["about"]
    # Down to a prediction, and from there to the requirement again.
    (prediction,) = names(chain["prediction"])
    (back,) = chains(stellwerk("trace", MODEL, "--prediction", prediction, "--json")[1])
    assert "ABC-12" in names(back["requirement"])


@pytest.mark.parametrize(("requirement", "containing"), [
    ("ABC-1", [FIRST, SECOND]), ("ABC-13", [SECOND]), ("ABC-7", [FIRST, SECOND]),
])  # fmt: skip
def test_releases_of_a_requirement_are_those_that_state_it_or_contain_its_commits(
    requirement: str, containing: list[str], world: World, stellwerk: Command
) -> None:
    made = chains(stellwerk("trace", MODEL, "--requirement", requirement, "--json")[1])
    assert [names(chain["release"])[0] for chain in made] == containing


def test_a_commit_leads_to_the_releases_that_contain_it(world: World, stellwerk: Command) -> None:
    made = chains(stellwerk("trace", MODEL, "--commit", world.commits[1][:10], "--json")[1])
    assert [names(chain["release"]) for chain in made] == [[SECOND]]
    made = chains(stellwerk("trace", MODEL, "--commit", world.commits[0], "--json")[1])
    assert [names(chain["release"])[0] for chain in made] == [FIRST, SECOND]
    assert all(world.commits[0][:12] in names(chain["commit"]) for chain in made)


def test_an_environment_leads_to_what_it_serves_now(world: World, stellwerk: Command) -> None:
    code, out, _ = stellwerk("trace", MODEL, "--env", "prod", "--json")
    (chain,) = chains(out)
    assert code == 0
    assert [kind for kind in chain if chain[kind]["state"] != "proved"] == []
    assert list(chain) == [kind for kind in Kind if kind not in (Kind.PAGE, Kind.FEEDBACK)]
    assert names(chain["prediction"]) == ["late"]
    assert len(names(chain["stack update"])) == 2


def test_what_cannot_be_asked_is_said_and_is_no_error(world: World, stellwerk: Command) -> None:
    world.silent = {"tracking server", "log store"}
    world.cluster.refused = DeliveryError("cluster of prod does not answer")
    code, out, _ = stellwerk("trace", MODEL, "--env", "prod", "--json")
    (chain,) = chains(out)
    assert code == 0
    unknown = {kind: link["unknown"] for kind, link in chain.items() if link["unknown"]}
    assert set(unknown) == {"run", "pod", "log line", "prediction"}
    assert "connection refused" in unknown["run"]
    assert "cluster of prod does not answer" in unknown["pod"]
    assert chain["run"]["state"] == "partly looked at"
    assert "not looked at: prod: cluster of prod does not answer" in stellwerk("trace", MODEL, "--env", "prod")[1]


def test_without_its_log_line_nobody_knows_what_answered(world: World, stellwerk: Command) -> None:
    world.silent = {"log store"}
    code, out, _ = stellwerk("trace", MODEL, "--prediction", "middle", "--json")
    (chain,) = chains(out)
    assert code == 1
    assert {link["state"] for link in chain.values()} == {"not looked at"}
    assert "connection refused" in chain["log line"]["unknown"]


def test_a_release_that_failed_may_have_answered_until_it_was_taken_back(world: World, stellwerk: Command) -> None:
    world.apply(SECOND, at(16), result="failed")
    world.apply(FIRST, at(16, 5))
    world.predict("meanwhile", SECOND, at(16, 2))
    world.predict("after", SECOND, at(17))
    assert stellwerk("trace", MODEL, "--prediction", "meanwhile")[0] == 0
    assert stellwerk("trace", MODEL, "--prediction", "late")[0] == 0
    assert stellwerk("trace", MODEL, "--prediction", "after")[0] == 1


def test_data_in_git_are_held_against_their_digest(world: World, stellwerk: Command) -> None:
    digest = f"sha256:{sha256(CSV).hexdigest()}"
    world.edit(SECOND, "data", source="rows.csv", digest=digest)
    world.runs["run-2"]["stellwerk.data.digest"] = digest
    data = chains(stellwerk("trace", MODEL, "--prediction", "middle", "--json")[1])[0]["data"]
    assert (data["state"], data["record"]) == ("proved", f"`data` of the release file, models/{MODEL}/rows.csv in git")


def test_links_are_what_the_templates_make_of_ids(project: Checkout, world: World, stellwerk: Command) -> None:
    templates = {
        name: f"https://{name}.example.test/{{id}}" for name in ("commit", "requirement", "page", "run", "log")
    }
    for name in ("dev", "test", "prod"):
        project.edit(name, lambda config: config.update(links=templates))
    (chain,) = chains(stellwerk("trace", MODEL, "--prediction", "middle", "--json")[1])
    links = {kind: chain[kind]["items"][0]["url"] for kind in ("page", "requirement", "commit", "run", "log line")}
    assert links == {
        "page": "https://page.example.test/ABC-7",
        "requirement": "https://requirement.example.test/ABC-7",
        "commit": f"https://commit.example.test/{world.commits[1]}",
        "run": "https://run.example.test/run-2",
        "log line": "https://log.example.test/middle",
    }


def test_the_page_is_well_formed_whole_and_loads_nothing(
    project: Checkout, world: World, stellwerk: Command, tmp_path: Path
) -> None:
    for name in ("dev", "test", "prod"):
        project.edit(name, lambda config: config.update(links={"commit": "https://git.example.test/{id}"}))
    world.predict("odd\x1b<b>", SECOND, at(11))
    for prediction, code in (("middle", 0), ("odd\x1b<b>", 1)):
        file = tmp_path / "page.html"
        assert stellwerk("trace", MODEL, "--prediction", prediction, "--html", str(file))[0] == code
        text = file.read_text()
        root = ElementTree.fromstring(text)  # noqa: S314 - it was just written by the command
        rows = [cell.text for cell in root.iter(f"{HTML}th") if cell.get("scope") == "row"]
        assert rows == [kind for kind in Kind if kind not in (Kind.PAGE, Kind.FEEDBACK)]
        assert not [
            each.tag for each in root.iter() if each.tag.rpartition("}")[2] in ("script", "link", "img", "iframe")
        ]
        assert not {"src", "srcset", "data", "poster", "background"} & {
            name for each in root.iter() for name in each.attrib
        }
        assert not re.search(r"@import|url\(", text)
        assert SUBJECT in "".join(root.itertext())
        assert "<script" not in text
        drawn = [each for each in root.iter("{http://www.w3.org/2000/svg}svg")]
        assert [each.get("role") for each in drawn] == ["img"]
        words = "".join("".join(each.itertext()) for each in drawn)
        assert all(kind in words for kind in rows if kind)
        # Whole, over as many lines as it takes.
        wrong = [f"by the history of prod it was {FIRST} then".replace(" ", "")] if code else []
        assert [each for each in wrong if each not in words.replace(" ", "")] == []
        assert ("contradiction" in words) == (code == 1)
        assert "prefers-color-scheme: dark" in text
        hrefs = {each.get("href") for each in root.iter(f"{HTML}a")}
        assert f"https://git.example.test/{world.commits[1]}" in hrefs


@pytest.mark.parametrize(("arguments", "code", "message"), [
    ((), 2, "give one"),
    (("--commit", "a", "--prediction", "b"), 2, "give one"),
    (("--env", "prd"), 1, "did you mean prod?"),
    (("--env", "test"), 1, "no update of test has a release of it"),
    (("--prediction", "nobody"), 1, "the log store has no line with this request id"),
    (("--requirement", "ABC-99"), 1, "no release of digits contains it"),
    (("--commit", "nowhere"), 1, "git knows no such revision"),
])  # fmt: skip
def test_what_cannot_be_traced_is_refused(
    arguments: tuple[str, ...], code: int, message: str, world: World, stellwerk: Command
) -> None:
    ended, out, err = stellwerk("trace", MODEL, *arguments)
    assert (ended, out) == (code, "")
    assert message in " ".join(err.split())


def test_a_model_without_a_release_has_no_chain(project: Checkout, releases: Releases, stellwerk: Command) -> None:
    for release in (FIRST, SECOND):
        releases.file(MODEL, release).unlink()
    code, _, err = stellwerk("trace", MODEL, "--env", "prod")
    assert code == 1
    assert "has no release yet; run `stellwerk release digits`" in " ".join(err.split())


def test_a_killed_update_may_have_brought_any_release(world: World, stellwerk: Command) -> None:
    killed = "Ada@here, process 7, since 2026-02-01 16:00:00"
    world.apply(FIRST, at(16, 10), message=f"stellwerk, by Ada; after a killed update: {killed}")
    world.predict("meanwhile", SECOND, at(16, 5))
    code, out, _ = stellwerk("trace", MODEL, "--prediction", "meanwhile", "--json")
    assert code == 0
    (update,) = chains(out)[0]["stack update"]["items"]
    assert "an unknown release" in update["about"]
    assert "killed" in update["about"]


def test_what_was_said_of_a_prediction_s_release_is_shown(world: World, stellwerk: Command) -> None:
    said = ("--kind", "error", "--title", "Sevens are ones", "--prediction", "early")
    assert stellwerk("feedback", "add", MODEL, *said, "--release", FIRST)[0] == 0
    (chain,) = chains(stellwerk("trace", MODEL, "--prediction", "early", "--json")[1])
    (item,) = chain["feedback"]["items"]
    assert "Sevens are ones" in item["about"]
    assert "open" in item["about"]
