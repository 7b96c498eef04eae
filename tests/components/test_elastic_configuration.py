"""Filebeat's script in a real JavaScript engine, and Logstash's pipeline as far as it can be read without Logstash.

Neither program is available where only package mirrors are reached: docs/decisions/0007-log-stack.md.
"""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from components.logging.filebeat import filebeat_config

PIPELINE = Path(__file__).parents[2] / "components/logging/pipelines/syslog.conf"
# The options that Elastic's documents give to the plugins that are used (version 9); those of all filters and inputs.
COMMON = {"id", "add_field", "add_tag", "remove_field", "remove_tag", "tags", "type", "codec", "enable_metric"}
OPTIONS: Mapping[str, set[str]] = {
    "input/tcp": {"port", "host", "mode", "ssl_enabled", "ssl_certificate", "ssl_key", "tcp_keep_alive"},
    "input/udp": {"port", "host", "buffer_size", "queue_size", "workers"},
    "filter/grok": {"match", "tag_on_failure", "overwrite", "patterns_dir", "pattern_definitions", "break_on_match",
                    "keep_empty_captures", "named_captures_only", "target", "timeout_millis"},
    "filter/mutate": {"copy", "replace", "rename", "convert", "gsub", "join", "lowercase", "merge", "split", "strip",
                      "update", "uppercase", "coerce", "capitalize"},
    "filter/date": {"match", "target", "timezone", "locale", "tag_on_failure"},
    "filter/fingerprint": {"source", "target", "method", "key", "concatenate_sources", "concatenate_all_fields",
                           "base64encode", "ecs_compatibility"},
    "output/elasticsearch": {"hosts", "user", "password", "ssl_certificate_authorities", "ssl_enabled", "action",
                             "index", "document_id", "manage_template", "data_stream", "ecs_compatibility"},
}  # fmt: skip
# What Logstash's own pattern library says of the patterns that are used.
GROK = {
    "NONNEGINT": r"\b(?:[0-9]+)\b", "POSINT": r"\b(?:[1-9][0-9]*)\b", "NOTSPACE": r"\S+", "DATA": r".*?",
    "GREEDYDATA": r".*",
    "SYSLOGHOST": r"(?:[0-9]{1,3}(?:\.[0-9]{1,3}){3}|\b[0-9A-Za-z][\w-]{0,62}(?:\.[0-9A-Za-z][\w-]{0,62})*\.?)",
    "SYSLOGTIMESTAMP": r"\b[A-Z][a-z]{2} +[0-9]{1,2} [0-9]{2}:[0-9]{2}:[0-9]{2}",
    "TIMESTAMP_ISO8601": r"\d{4}-\d\d-\d\d[T ]\d\d:?\d\d(?::?\d\d(?:[:.,]\d+)?)?(?:Z|[+-]\d\d(?::?\d\d))?",
}  # fmt: skip
TOKEN = re.compile(r'\s+|#[^\n]*|"(?:[^"\\]|\\.)*"|=>|[{}\[\],()]|[A-Za-z_@][\w.]*|-?\d+|==|!=')


def tokens(text: str) -> list[str]:
    """Return the words of a pipeline; raise AssertionError at what is none."""
    place, words = 0, []
    while place < len(text):
        match = TOKEN.match(text, place)
        assert match, text[place : place + 40]
        place = match.end()
        if match[0].strip() and not match[0].startswith("#"):
            words.append(match[0])
    return words


class Reader:
    """Reads a pipeline as Logstash's grammar has it: sections of plugins and conditions; plugins with options."""

    def __init__(self, words: list[str]) -> None:
        self.words, self.plugins = words, []

    plugins: list[tuple[str, dict[str, Any]]]

    def take(self, *expected: str) -> str:
        word = self.words.pop(0)
        assert not expected or word in expected, (word, expected)
        return word

    def sections(self) -> None:
        while self.words:
            self.block(self.take("input", "filter", "output"))

    def block(self, section: str) -> None:
        self.take("{")
        while self.words[0] != "}":
            name = self.take()
            if name == "if":
                while self.words[0] != "{":
                    self.take()
                self.block(section)
                continue
            self.plugins.append((f"{section}/{name}", self.mapping(",")))
        self.take("}")

    def mapping(self, _: str = "") -> dict[str, Any]:
        self.take("{")
        read: dict[str, Any] = {}
        while self.words[0] != "}":
            key = self.take().strip('"')
            self.take("=>")
            assert key not in read, f"{key} twice"
            read[key] = self.value()
        self.take("}")
        return read

    def value(self) -> Any:
        if self.words[0] == "{":
            return self.mapping()
        if self.words[0] != "[":
            return self.take().strip('"')
        self.take("[")
        read = []
        while self.words[0] != "]":
            read.append(self.value())
            if self.words[0] == ",":
                self.take()
        self.take("]")
        return read


@pytest.fixture(scope="module")
def plugins() -> list[tuple[str, dict[str, Any]]]:
    reader = Reader(tokens(PIPELINE.read_text(encoding="utf-8")))
    reader.sections()
    return reader.plugins


def test_the_pipeline_has_known_plugins_with_known_options(plugins: list[tuple[str, dict[str, Any]]]) -> None:
    assert [name for name, _ in plugins if name.startswith(("input", "output"))] == [
        "input/tcp", "input/udp", "output/elasticsearch"
    ]  # fmt: skip
    for name, options in plugins:
        assert options.keys() <= OPTIONS[name] | COMMON, name
    variables = set(re.findall(r"\$\{(\w+)\}", PIPELINE.read_text()))
    # What the operator sets for the store called STORE, and what the pod has.
    operators = {f"STORE_ES_{name}" for name in ("HOSTS", "USER", "PASSWORD", "SSL_CERTIFICATE_AUTHORITY")}
    assert variables == operators | {"ENVIRONMENT", "INDEX"}


def test_a_wrong_pipeline_is_seen() -> None:
    for wrong in ("input { tcp { port => 1 }", "filter { mutate { copy { } } }", "outputs { }", "input { 'x' }"):
        with pytest.raises((AssertionError, IndexError)):
            Reader(tokens(wrong)).sections()


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("<165>1 2026-01-02T03:04:05.678Z gate-1 nginx 812 ID47 - it works",
         {"log.syslog.priority": "165", "@metadata.time": "2026-01-02T03:04:05.678Z", "host.name": "gate-1",
          "process.name": "nginx", "process.id": "812", "event.code": "ID47", "@metadata.text": "it works"}),
        ('<14>1 2026-01-02T03:04:05+01:00 10.0.0.7 - - - [a b="c"][d e="f"] two parts',
         {"host.name": "10.0.0.7", "process.name": None, "@metadata.text": "two parts"}),
        ("<13>Jan  2 03:04:05 switch-7 sshd[22]: accepted: a key",
         {"@metadata.time": "Jan  2 03:04:05", "process.name": "sshd", "process.id": "22",
          "@metadata.text": "accepted: a key"}),
        ("<13>Jan 12 03:04:05 switch-7 kernel: up", {"process.name": "kernel", "process.id": None}),
    ],
)  # fmt: skip
def test_lines_of_syslog_are_taken_apart(
    plugins: list[tuple[str, dict[str, Any]]], line: str, expected: dict[str, str | None]
) -> None:
    (grok,) = [options for name, options in plugins if name == "filter/grok"]
    taken = next(filter(None, (parsed(pattern, line) for pattern in grok["match"]["message"])))
    assert expected.items() <= taken.items(), taken


def parsed(pattern: str, line: str) -> dict[str, str | None] | None:
    names: list[str] = []

    def group(match: re.Match[str]) -> str:
        names.append(match[2].strip("[]").replace("][", "."))
        return f"({GROK[match[1]]})"

    text = re.sub(r"%\{(\w+):((?:\[[@\w]+\])+)(?::\w+)?\}", group, pattern)
    assert "%{" not in text, text
    match = re.search(text, line)
    return dict(zip(names, match.groups(), strict=True)) if match else None


RUN = """
var events = JSON.parse(process.argv[2]);
%s
console.log(JSON.stringify(events.map(function (fields) {
  var kept = true;
  process_event({
    Get: function (key) { return fields[key] === undefined ? null : fields[key]; },
    Put: function (key, value) { fields[key] = value; },
    Delete: function (key) { delete fields[key]; },
    Cancel: function () { kept = false; },
  });
  return kept ? fields : null;
})));
"""


@pytest.fixture(scope="module")
def script() -> Iterator[Any]:
    node = shutil.which("node")
    if node is None:
        pytest.skip("no node here")
    (processor, _) = filebeat_config("log-store", "1Gi")["processors"]
    text = RUN % processor["script"]["source"].replace("function process(", "function process_event(")

    def run(*events: dict[str, Any]) -> list[dict[str, Any] | None]:
        answer = subprocess.run([node, "-", json.dumps(events)], input=text, capture_output=True, text=True, check=True)
        given: list[dict[str, Any] | None] = json.loads(answer.stdout)
        return given

    yield run


def event(place: str = "test-serving_digits-1_uid-1/main/0.log", **fields: Any) -> dict[str, Any]:
    return {"log.file.path": f"/var/log/pods/{place}", "log.offset": 7, **fields}


def test_filebeats_script_knows_a_line_by_its_place(script: Any) -> None:
    forged = {"service.environment": "prod", "kubernetes": {"namespace": "prod-serving"}}
    own, rotated, other, nowhere = script(
        event(**forged), event("test-serving_digits-1_uid-1/main/0.log.20260102-030405"),
        event("kube-system_dns_uid-2/dns/3.log"), {"log.file.path": "/var/log/syslog"},
    )  # fmt: skip
    assert own == {
        "log.file.path": "/var/log/pods/test-serving_digits-1_uid-1/main/0.log", "log.offset": 7,
        "kubernetes.namespace": "test-serving", "kubernetes.pod.name": "digits-1", "kubernetes.container.name": "main",
        "service.environment": "test", "@metadata.place": "-test", "@metadata.line": "uid-1/main/0/7",
    }  # fmt: skip
    assert rotated["@metadata.line"] == own["@metadata.line"]
    assert (other["@metadata.place"], "service.environment" in other) == ("", False)
    assert nowhere is None


def test_filebeat_leaves_out_what_a_program_ships_and_keeps_the_ids_of_the_rest(script: Any) -> None:
    shipped, back, forged = script(
        event(**{"stellwerk.shipping": "application", "event.id": "uid-1/main/5/1"}),
        event(**{"event.id": "uid-1/main/5/2"}), event(**{"event.id": "uid-2/main/5/3"}),
    )  # fmt: skip
    assert shipped is None and back["@metadata._id"] == "uid-1/main/5/2" and "@metadata._id" not in forged
    (_, fingerprint) = filebeat_config("log-store", "1Gi")["processors"]
    assert fingerprint["fingerprint"]["when"] == {"not": {"has_fields": ["@metadata._id"]}}
