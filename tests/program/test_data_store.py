"""A store of somebody else's with data: training Jobs reach it, by a login of its own, and nobody else does."""

from tests.program.conftest import Run
from tests.program.harness import SENTINEL, leaks, stack_values


def test_training_jobs_alone_reach_it(run: Run) -> None:
    given = stack_values("dev")
    given["dataStore"] = {"bucket": "lake", "endpoint": "https://s3.example.com", "region": "eu-central-1"}
    given["credentials"]["dataStore"] = {"accessKey": "lake", "secretKey": f"{SENTINEL}-lake"}
    recording = run(given, "dev")
    job = recording.of_kind("CronJob")["train-digits"]["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    variables = {each["name"]: each for each in job["containers"][0]["env"]}
    stated = {name: each["value"] for name, each in variables.items() if name.startswith("DATA_") and "value" in each}
    assert stated == {
        "DATA_BUCKET": "lake",
        "DATA_ENDPOINT_URL": "https://s3.example.com",
        "DATA_REGION": "eu-central-1",
    }
    sources = {name: variables[name]["valueFrom"]["secretKeyRef"]["key"] for name in variables.keys() - stated.keys()
               if name.startswith("DATA_")}  # fmt: skip
    assert sources == {"DATA_ACCESS_KEY_ID": "data-access", "DATA_SECRET_ACCESS_KEY": "data-secret"}
    assert [key for key, inputs in recording.inputs.items() if "DATA_SECRET_ACCESS_KEY" in str(inputs)] == [
        "kubernetes:batch/v1:CronJob::train-digits"
    ]
    assert list(leaks(recording.inputs)) == []
