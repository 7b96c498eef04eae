"""Where a release comes from: training, data and tracked run, or whoever imported it."""

from typing import Annotated, Any

from pydantic import Field

from infra.contract.fields import Count, Digest, PinnedImage, Section

Time = Annotated[
    str,
    Field(
        pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$",
        description="an RFC 3339 time in quotes: '2026-01-31T12:00:00Z'",
    ),
]


class TrainingRecord(Section):
    """What trained the artefact."""

    image: PinnedImage
    job: str
    parameters: dict[str, Any]
    commit: str = Field(
        pattern=r"^([0-9a-f]{7,64}(\+[0-9a-f]{12})?|unknown|uncommitted)$",
        description="the commit that the image was built from: <hex>, <hex>+<12 hex> with changes, or unknown",
    )


class Rows(Section):
    """Rows per split."""

    train: Count
    held_out: Count


class Data(Section):
    """The data snapshot."""

    name: str
    digest: Digest
    rows: Rows
    # Absent where the model's own code has loaded it.
    source: str | None = Field(default=None, description="the file that it was read from; its digest is this file's")


class Run(Section):
    """The tracking run."""

    experiment: str
    run_id: str
    model_version: str


class Imported(Section):
    """Who brought a model that no training Job of this project has made, when, and from where."""

    by: str = Field(min_length=1, description="who imported it")
    from_: str = Field(alias="from", min_length=1, description="where the model comes from: a file, an address")
    note: str | None = Field(default=None, description="a few words")
    created: Time


class Origin(Section):
    """Where a release without a training run comes from."""

    imported: Imported
