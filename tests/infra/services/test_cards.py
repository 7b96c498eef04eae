"""Into which instances cards can be divided: what NVIDIA's tables and placements say."""

import pytest

from infra.services.node_pools.cards import CARDS, card, divisible


@pytest.mark.parametrize("name", divisible())
def test_as_many_of_each_profile_fit_as_the_table_says_and_no_more(name: str) -> None:
    known = CARDS[name]
    for profile, about in known.profiles.items():
        assert known.fits({profile: about.most}), profile
        assert not known.fits({profile: about.most + 1}), profile


@pytest.mark.parametrize(
    ("layout", "possible"),
    [
        ({"4g.40gb": 1, "3g.40gb": 1}, True),
        ({"3g.40gb": 2}, True),
        ({"2g.20gb": 3, "1g.10gb": 1}, True),
        ({"2g.20gb": 2, "1g.10gb": 3}, True),
        ({"3g.40gb": 1, "2g.20gb": 1, "1g.10gb": 1}, True),
        ({"4g.40gb": 1, "2g.20gb": 1, "1g.10gb": 1}, True),
        ({"3g.40gb": 1, "1g.20gb": 2}, True),
        ({"1g.10gb+me": 1, "1g.10gb": 6}, True),
        ({"2g.20gb": 3, "1g.10gb": 2}, False),
        ({"3g.40gb": 2, "1g.10gb": 1}, False),
        ({"4g.40gb": 1, "3g.40gb": 1, "1g.10gb": 1}, False),
        ({"7g.80gb": 1, "1g.10gb": 1}, False),
    ],
)
def test_instances_of_several_profiles_share_an_h100(layout: dict[str, int], possible: bool) -> None:
    assert CARDS["nvidia-h100-80gb"].fits(layout) is possible


def test_a_card_has_one_set_of_media_engines() -> None:
    assert not CARDS["nvidia-a30"].fits({"1g.6gb+me": 1, "2g.12gb+me": 1})


def test_a_card_is_known_by_its_short_name() -> None:
    assert card("nvidia-h100") is CARDS["nvidia-h100-80gb"]
    assert card("tpu-v5") is None
