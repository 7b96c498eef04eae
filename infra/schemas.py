"""Writes the JSON Schemas of this checkout's documents: `python -m infra.schemas`."""

from infra.contract.schema import documents
from infra.discovery import known

if __name__ == "__main__":
    for file, text in documents(known().document).items():
        file.write_text(text, encoding="utf-8")
