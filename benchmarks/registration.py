"""What one process of the start-up measurement does: nothing but the imports, or a whole program under mocks.

`python benchmarks/registration.py <program> <values.json>`, for programs of older checkouts, too. The last line of the
output says what the program declared.
"""

import asyncio
import hashlib
import json
import runpy
import sys
from typing import Any


def main(program: str, values: str) -> None:
    """Run `program`, a file or folder, as the engine's language host does, with the values as configuration."""
    import pulumi
    from pulumi.runtime import mocks
    from pulumi.runtime.stack import run_pulumi_func

    declared: list[Any] = []

    class Answers(mocks.Mocks):
        def new_resource(self, args: mocks.MockResourceArgs) -> tuple[str | None, dict[Any, Any]]:
            state = dict(args.inputs)
            declared.append((args.typ, args.name, state))
            if args.typ.startswith("kubernetes:"):
                state = state | {"metadata": {"name": f"{args.name}-generated"} | state.get("metadata", {})}
            return f"{args.name}-id", state

        def call(self, args: mocks.MockCallArgs) -> tuple[dict[Any, Any], list[tuple[str, str]] | None]:
            return {}, []

    with open(values, encoding="utf-8") as file:
        given = json.load(file)
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    pulumi.runtime.set_mocks(Answers(), given["project"], given["stack"], preview=False)
    pulumi.runtime.set_all_config(given["config"], given["secret"])

    def start() -> None:
        runpy.run_path(program, run_name="__main__")

    loop.run_until_complete(run_pulumi_func(start))
    loop.close()
    _report(declared)


def _report(declared: list[Any]) -> None:
    """Print how many resources other than components there were, a digest of them all, and this project's modules."""
    texts = sorted(json.dumps(item, sort_keys=True) for item in declared if not item[0].startswith("stellwerk:"))
    modules = sorted(name for name in sys.modules if name.startswith(("components.", "infra.")))
    digest = hashlib.sha256("".join(texts).encode()).hexdigest()
    print(json.dumps({"objects": len(texts), "digest": digest, "modules": modules}))


if __name__ == "__main__":
    main(*sys.argv[1:])
