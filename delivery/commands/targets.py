"""What `stellwerk doctor --target` prints of clusters."""

from dataclasses import asdict

import typer

from delivery.terminal import answer, print_json, session

_STYLES = {"ok": "green", "missing": "red", "too old": "red", "in the way": "red"}


def look(context: typer.Context, environment: str | None, json: bool) -> int:
    """Print what the cluster of an environment, or of each, lacks; return 1 where one cannot come up."""
    from delivery.clients.cluster_api import AskedCluster
    from delivery.clients.reachable import problem
    from delivery.operations.target import Look

    work = session(context)
    names = [environment] if environment else list(work.project.environments)
    by_name = {
        name: Look(AskedCluster(work.kubectl(name)), work.project.environment(name), problem).findings()
        for name in names
    }
    if json:
        print_json({name: [asdict(each) for each in findings] for name, findings in by_name.items()})
    else:
        for name, findings in by_name.items():
            answer.print(f"{name}:", markup=False)
            for each in findings:
                todo = f" — {each.fix}" if each.fix else ""
                answer.print(
                    f"  {each.verdict:10} {each.name}: {each.detail}{todo}",
                    style=_STYLES.get(each.verdict, "yellow"), soft_wrap=True, markup=False,
                )  # fmt: skip
    return int(any(each.stops for findings in by_name.values() for each in findings))
