"""NVIDIA's cards: memory, and into which instances one can be divided (MIG).

Profiles, how many of each a card has, and where an instance may begin are those of NVIDIA's MIG User Guide ("Supported
MIG Profiles", https://docs.nvidia.com/datacenter/tesla/mig-user-guide/); the names of products and the memory in MiB
are what GPU feature discovery puts into the labels of a node with the card's SXM form, or its only one.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Profile:
    """An instance of a GPU: memory slices that it takes, where it may begin, how many of it a card has at most."""

    slices: int
    starts: tuple[int, ...]
    most: int


@dataclass(frozen=True)
class Card:
    """A card: product label, memory in MiB, family and compute capability as labels say them, profiles by name."""

    product: str
    memory: int
    family: str
    compute: str
    profiles: Mapping[str, Profile] = field(default_factory=dict)

    @property
    def shown(self) -> str:
        """Return the profiles with how many of each a card has: `1g.10gb (7), …`."""
        return ", ".join(f"{name} ({profile.most})" for name, profile in self.profiles.items())

    def fits(self, layout: Mapping[str, int]) -> bool:
        """Return whether a card has room for so many instances of each profile at once."""
        media = sum(count for name, count in layout.items() if name.endswith("+me"))
        wanted = [self.profiles[name] for name, count in layout.items() for _ in range(count)]
        # What takes most is placed first: of equal ones the order makes no difference.
        return media <= 1 and _placed(sorted(wanted, key=lambda each: -each.slices), frozenset())


def _placed(wanted: list[Profile], taken: frozenset[int]) -> bool:
    """Return whether each profile finds memory slices that nobody has taken, from one of its starts on."""
    if not wanted:
        return True
    first, rest = wanted[0], wanted[1:]
    places = (frozenset(range(start, start + first.slices)) for start in first.starts)
    return any(not place & taken and _placed(rest, taken | place) for place in places)


def _eight(small: int, double: int, half: int, whole: int) -> dict[str, Profile]:
    """Return the profiles of a card with seven compute and eight memory slices, by the memory in GB."""
    any_place = tuple(range(7))
    return {
        f"1g.{small}gb": Profile(1, any_place, 7),
        f"1g.{small}gb+me": Profile(1, any_place, 1),
        f"1g.{double}gb": Profile(2, (0, 2, 4, 6), 4),
        f"2g.{double}gb": Profile(2, (0, 2, 4), 3),
        f"3g.{half}gb": Profile(4, (0, 4), 2),
        f"4g.{half}gb": Profile(4, (0,), 1),
        f"7g.{whole}gb": Profile(8, (0,), 1),
    }


_A30 = {
    "1g.6gb": Profile(1, (0, 1, 2, 3), 4),
    "1g.6gb+me": Profile(1, (0, 1, 2, 3), 1),
    "2g.12gb": Profile(2, (0, 2), 2),
    "2g.12gb+me": Profile(2, (0, 2), 1),
    "4g.24gb": Profile(4, (0,), 1),
}

CARDS: Mapping[str, Card] = {
    "nvidia-t4": Card("Tesla-T4", 15360, "turing", "7.5"),
    "nvidia-v100-32gb": Card("Tesla-V100-SXM2-32GB", 32768, "volta", "7.0"),
    "nvidia-a10": Card("NVIDIA-A10", 23028, "ampere", "8.6"),
    "nvidia-a10g": Card("NVIDIA-A10G", 23028, "ampere", "8.6"),
    "nvidia-a30": Card("NVIDIA-A30", 24576, "ampere", "8.0", _A30),
    "nvidia-a40": Card("NVIDIA-A40", 46068, "ampere", "8.6"),
    "nvidia-a100-40gb": Card("NVIDIA-A100-SXM4-40GB", 40960, "ampere", "8.0", _eight(5, 10, 20, 40)),
    "nvidia-a100-80gb": Card("NVIDIA-A100-SXM4-80GB", 81920, "ampere", "8.0", _eight(10, 20, 40, 80)),
    "nvidia-l4": Card("NVIDIA-L4", 23034, "ada-lovelace", "8.9"),
    "nvidia-l40s": Card("NVIDIA-L40S", 46068, "ada-lovelace", "8.9"),
    "nvidia-h100-80gb": Card("NVIDIA-H100-80GB-HBM3", 81559, "hopper", "9.0", _eight(10, 20, 40, 80)),
    "nvidia-h100-94gb": Card("NVIDIA-H100-NVL", 95830, "hopper", "9.0", _eight(12, 24, 47, 94)),
    "nvidia-h200": Card("NVIDIA-H200", 143771, "hopper", "9.0", _eight(18, 35, 71, 141)),
    "nvidia-b200": Card("NVIDIA-B200", 183359, "blackwell", "10.0", _eight(23, 45, 90, 180)),
}
# What people call a card of which there are several, or one that is known by a longer name.
_ALSO = {"nvidia-h100": "nvidia-h100-80gb", "nvidia-h200-141gb": "nvidia-h200", "nvidia-b200-180gb": "nvidia-b200"}


def card(accelerator: str) -> Card | None:
    """Return the card of an accelerator's name, None of one that is not in the table."""
    return CARDS.get(_ALSO.get(accelerator, accelerator))


def divisible() -> list[str]:
    """Return the names of the cards that can be divided into instances."""
    return [name for name, each in CARDS.items() if each.profiles]
