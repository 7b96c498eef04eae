"""Entry point of `pulumi preview` and `pulumi up`."""

import gc
import os
import signal

if __name__ == "__main__":
    # Ctrl-C is the engine's to answer: it cancels the update; a traceback of the program would bury its message.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    # Before anything is loaded. What a program loads and declares stays until its end: there is nothing to collect. And
    # no plugin for its documents is looked for among all installed packages.
    gc.disable()
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")

    import pulumi

    from infra.program import main

    # Several for each resource, sent to the engine one by one and waited for: lines of the SDK's own that `--debug`
    # alone would show. With it, those of the engine and its providers are left.
    pulumi.log.debug = lambda *_, **__: None

    main()
