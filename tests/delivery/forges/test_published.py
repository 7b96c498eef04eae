"""What the local forges take: nothing that the published documents do not allow."""

import pytest

from tests.support.forges.published import published
from tests.support.forges.server import HOSTS
from tests.support.forges.state import Remembered

PULLS = {
    "github": "/repos/team/models/pulls",
    "gitlab": "/projects/team%2Fmodels/merge_requests",
    "bitbucket-cloud": "/repositories/team/models/pullrequests",
    "bitbucket-data-center": "/projects/team/repos/models/pull-requests",
}


@pytest.mark.parametrize("name", sorted(HOSTS))
def test_each_request_that_a_local_forge_answers_is_published(name):
    document = published(name)
    for method, path in HOSTS[name](Remembered("http://127.0.0.1")).routes:
        operation = document.operation(method, path.replace("{", "1").replace("}", ""))
        assert operation is not None and operation[0] == path


@pytest.mark.parametrize(("name", "path"), sorted(PULLS.items()))
def test_what_is_not_published_is_named(name, path):
    document = published(name)
    assert document.problems("GET", path, {}, None) == []
    assert document.problems("GET", f"{path}/1/nothing", {}, None) == [f"GET {path}/1/nothing is not published"]
    assert document.problems("GET", path, {"colour": "red"}, None) == ["query colour is not published"]
    assert "query state" in document.problems("GET", path, {"state": "asleep"}, None)[0]
    assert document.problems("GET", path, {}, {"title": "t"}) == ["no body is published"]
    assert document.problems("POST", path, {}, None) == ["a body is needed"]
    wrong = document.problems("POST", path, {}, {"title": 1, "colour": "red"})
    assert "body: colour is not published" in wrong
    assert any(each.startswith("body title:") for each in wrong)
    assert any("required" in each for each in wrong)
