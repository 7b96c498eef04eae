"""The console script's entry, `stellwerk`."""

from delivery.commands.app import main

__all__ = ["main"]

if __name__ == "__main__":
    main()
