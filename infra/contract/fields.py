"""Types that documents share: names, quantities, references, digests.

Every description is also the text an error shows as allowed, and the help an editor shows from the JSON Schema.
"""

from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

RELEASE_ID = r"^v[1-9][0-9]*-[0-9a-f]{8}$"

NAME_RULE = "lower-case letters, digits and '-', starting with a letter, at most 40 characters"
NAME = r"^[a-z]([-a-z0-9]{0,38}[a-z0-9])?$"
Name = Annotated[str, Field(pattern=NAME, description=NAME_RULE)]
# Names of namespaces begin with it: `<environment>-<purpose>`.
ENVIRONMENT_NAME = r"^[a-z]([-a-z0-9]{0,22}[a-z0-9])?$"
ENVIRONMENT_RULE = NAME_RULE.replace("40", "24")
EnvironmentName = Annotated[str, Field(pattern=ENVIRONMENT_NAME, description=f"the stack's name: {ENVIRONMENT_RULE}")]
NamespaceName = Annotated[
    str, Field(pattern=r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$", description="the name of a namespace of the cluster")
]
TeamName = Annotated[
    str,
    Field(pattern=ENVIRONMENT_NAME, description=f"whose environment it is; names begin with it: {ENVIRONMENT_RULE}"),
]
ImageReference = Annotated[
    str,
    Field(
        pattern=r"^[a-z0-9][a-zA-Z0-9.:/_-]*(:[A-Za-z0-9_][A-Za-z0-9_.-]*|@sha256:[0-9a-f]{64})$",
        description="an image reference with a tag (name:1.2) or a digest (name@sha256:…)",
    ),
]
Cpu = Annotated[
    str, Field(pattern=r"^([0-9]+(\.[0-9]{1,3})?|[0-9]+m)$", description='CPU cores as quoted text: "2" or "500m"')
]
Memory = Annotated[
    str, Field(pattern=r"^[1-9][0-9]*(Ki|Mi|Gi|Ti)$", description='bytes with a binary unit: "512Mi" or "12Gi"')
]
NodePort = Annotated[int, Field(ge=30000, le=32767, description="a free node port, 30000 to 32767")]
ReleaseId = Annotated[
    str, Field(pattern=RELEASE_ID, description="a release id such as v2-3f2a9c1d (a file in stacks/releases/<model>/)")
]
Digest = Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$", description="sha256: and 64 hexadecimal digits")]
PinnedImage = Annotated[
    str,
    Field(
        pattern=r"^[a-z0-9][a-zA-Z0-9.:/_-]*@sha256:[0-9a-f]{64}$",
        description="an image reference by digest: <registry>/<repository>@sha256:…",
    ),
]
Count = Annotated[int, Field(ge=0, description="a number, at least 0")]


class CapacityType(StrEnum):
    """How machines are paid for, as Karpenter and its labels of nodes call it."""

    ON_DEMAND = "on-demand"
    SPOT = "spot"


class Section(BaseModel):
    """A group of values: immutable, unknown keys refused, keys in camelCase."""

    # Built when it is first needed: most are parts of others, and are built with those.
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, alias_generator=to_camel, defer_build=True)
