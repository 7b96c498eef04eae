"""Each client against a local server that takes nothing but what the forge has published."""

import pytest

from delivery.clients.forges.forge import LABEL, Check, State
from delivery.errors import DeliveryError
from tests.delivery.forges.conftest import client
from tests.support.forges.server import TOKEN, serve
from tests.support.forges.state import Pull

BRANCH, COMMIT = "stellwerk/promote-digits-prod-v3", "1" * 40


def test_a_pull_request_is_opened_once_and_then_brought_up_to_date(server):
    forge = client(server)
    assert forge.pull_request(BRANCH) is None
    first = forge.open_pull_request(BRANCH, "main", "digits: v3", "the plan")
    assert (first.source, first.target, first.title, first.commit) == (BRANCH, "main", "digits: v3", "0" * 40)
    assert forge.pull_request(BRANCH) == first
    second = forge.open_pull_request(BRANCH, "release", "digits: v3 again", "another plan")
    assert (second.number, second.url) == (first.number, first.url)
    [kept] = server.state.pulls
    assert (kept.target, kept.title, kept.body) == ("release", "digits: v3 again", "another plan")


def test_that_of_a_fork_with_the_same_branch_is_another(server):
    server.state.pulls.append(Pull(1, BRANCH, "main", "a fork's", "", fork=True))
    forge = client(server)
    assert forge.pull_request(BRANCH) is None
    assert forge.open_pull_request(BRANCH, "main", "ours", "").number == 2


def test_there_is_one_comment_of_each_marker_however_many_others_stand_there(server):
    forge = client(server)
    number = forge.open_pull_request(BRANCH, "main", "t", "b").number
    [pull] = server.state.pulls
    first = forge.comment(number, "preview-prod", "would change 3")
    # More than a page of a hundred, on both sides, and one that quotes it.
    for index in range(230):
        server.state.add_comment(pull, f"> {pull.comments[0].body}\n\nremark {index}")
    other = forge.comment(number, "preview-test", "would change nothing")
    assert forge.comment(number, "preview-prod", "would change 4") == first != other
    assert len(pull.comments) == 232
    ours = [each.body for each in pull.comments if "remark" not in each.body]
    assert [each.partition("\n\n")[2] for each in ours] == ["would change 4", "would change nothing"]


@pytest.mark.parametrize(
    ("state", "shown"),
    [
        (State.SUCCESS, {"github": "success", "gitlab": "success", "bitbucket": "SUCCESSFUL"}),
        (State.FAILURE, {"github": "failure", "gitlab": "failed", "bitbucket": "FAILED"}),
        (State.NEUTRAL, {"github": "neutral", "gitlab": "success", "bitbucket": "SUCCESSFUL"}),
    ],
)
def test_a_check_is_set_and_replaced(server, state, shown):
    forge, name = client(server), "stellwerk preview of a rather long environment"
    forge.check(COMMIT, Check(name, State.FAILURE, "wrong", "first"))
    forge.check(COMMIT, Check(name, state, "t" * 200, "second", "https://ci.example.com/1"))
    [check] = server.state.checks.values()
    assert check["state"] == shown[server.host.name.partition("-")[0]]


def test_an_issue_is_found_by_its_marker_and_closed(issue_server):
    forge, state = client(issue_server), issue_server.state
    for index in range(120):
        state.add_issue(f"another {index}", "body", (LABEL,))
    assert forge.find_issue("drift-prod") is None
    opened = forge.open_issue("drift-prod", "prod has drifted", "what differs", ("drift",))
    assert forge.find_issue("drift-prod") == opened
    assert forge.find_issue("drift-test") is None
    assert state.issue(opened.number).labels == (LABEL, "drift")
    forge.update_issue(opened.number, "drift-prod", "prod has drifted further", "more differs")
    assert forge.find_issue("drift-prod").title == state.issue(opened.number).title == "prod has drifted further"
    assert state.issue(opened.number).body.endswith("more differs")
    forge.close_issue(opened.number, "nothing differs any more")
    assert forge.find_issue("drift-prod") is None
    assert [each.body for each in state.issue(opened.number).comments] == ["nothing differs any more"]


def test_a_ticket_is_an_issue_by_its_number_and_nothing_else(issue_server):
    forge = client(issue_server)
    issue_server.state.add_issue("recognise sevens", "they have bars", ())
    ticket = forge.ticket("#1")
    assert (ticket.key, ticket.title, ticket.state[:4]) == ("#1", "recognise sevens", "open")
    assert ticket.url.endswith("/issues/1")
    assert forge.ticket("1").title == "recognise sevens"
    assert forge.ticket("2") is None
    assert forge.ticket("ABC-12") is None


@pytest.mark.parametrize("kind", ["bitbucket-cloud", "bitbucket-data-center"])
def test_bitbucket_says_that_it_has_no_issues(kind):
    with serve(kind) as server:
        forge = client(server)
        assert forge.ticket("1") is None and not forge.has_issues
        for ask in (
            lambda: forge.find_issue("m"),
            lambda: forge.open_issue("m", "t", "b"),
            lambda: forge.update_issue("1", "m", "t", "b"),
            lambda: forge.close_issue("1", "c"),
        ):
            with pytest.raises(DeliveryError, match="no issues"):
                ask()


def test_what_is_too_long_is_not_sent(server):
    forge = client(server)
    number = forge.open_pull_request(BRANCH, "main", "t", "x" * forge.comment_limit).number
    forge.comment(number, "m" * 60, "x" * forge.comment_limit)
    before = len(server.requests)
    for ask in (
        lambda: forge.comment(number, "m", "x" * (forge.comment_limit + 1)),
        lambda: forge.open_pull_request(BRANCH, "main", "t", "x" * (forge.comment_limit + 1)),
    ):
        with pytest.raises(DeliveryError, match=f"allowed: at most {forge.comment_limit:,}"):
            ask()
    assert len(server.requests) == before


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_a_forge_that_fails_for_a_while_is_asked_again(server, status):
    server.failing = [status] * 3
    assert client(server).pull_request(BRANCH) is None
    assert len(server.requests) == 4


def test_github_s_limit_is_waited_for_and_is_no_matter_of_the_token():
    with serve("github") as server:
        server.failing, server.failing_words = [403] * 3, "API rate limit exceeded for installation"
        assert client(server).pull_request(BRANCH) is None
        assert len(server.requests) == 4
        server.failing = [403] * 9
        with pytest.raises(DeliveryError, match="try again later") as caught:
            client(server).pull_request(BRANCH)
        assert len(server.requests) == 8
        assert "pull requests: write" not in str(caught.value)


def test_a_forge_that_goes_on_failing_is_given_up(server):
    server.failing = [503] * 9
    with pytest.raises(DeliveryError, match=r"gave up after 4 attempts .*503.*try again later"):
        client(server).pull_request(BRANCH)
    assert len(server.requests) == 4


@pytest.mark.parametrize(("status", "sent"), [(429, 2), (502, 1)])
def test_what_makes_something_new_is_sent_again_only_where_nothing_was_done(server, status, sent):
    forge = client(server)
    number = forge.open_pull_request(BRANCH, "main", "t", "b").number
    before = server.sent("POST")
    server.failing, server.failing_method = [status], "POST"
    if sent == 1:
        with pytest.raises(DeliveryError, match="502"):
            forge.comment(number, "m", "text")
    else:
        forge.comment(number, "m", "text")
    assert server.sent("POST") - before == sent


@pytest.mark.parametrize(
    ("status", "words"),
    [(401, "FORGE_TOKEN is not accepted"), (403, "FORGE_TOKEN may not"), (404, "not found, or the token")],
)
def test_a_refusal_says_what_was_wanted_and_what_the_token_needs(server, status, words):
    server.refused = {"/": status}
    forge = client(server)
    for ask, needed in (
        (lambda: forge.pull_request(BRANCH), ("pull requests: write", "api", "pullrequest:write", "may write")),
        (
            lambda: forge.check(COMMIT, Check("c", State.SUCCESS, "t", "s")),
            ("checks: write", "api", "repository:write", "may write"),
        ),
    ):
        with pytest.raises(DeliveryError) as caught:
            ask()
        text = str(caught.value)
        assert words in text and str(status) in text and forge.name in text
        assert any(each in text for each in needed)
        assert TOKEN not in text


def test_a_wrong_token_and_a_wrong_repository_are_refused_by_the_server_itself(server):
    with pytest.raises(DeliveryError, match="401"):
        client(server, token="wrong-canary").pull_request(BRANCH)
    with pytest.raises(DeliveryError, match="404"):
        client(server, repository="team/others").pull_request(BRANCH)


def test_a_forge_that_is_not_there_is_not_reached(server):
    server.state.url = "http://127.0.0.1:9"
    with pytest.raises(DeliveryError, match=r"not reached \(\[Errno 111\] Connection refused\)") as caught:
        client(server).pull_request(BRANCH)
    assert TOKEN not in str(caught.value)
