"""Made-up houses."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

HOUSES = 400


def houses() -> dict[str, NDArray[Any]]:
    random = np.random.default_rng(11)
    area, rooms = random.uniform(40, 200, HOUSES), random.integers(1, 8, HOUSES)
    garden, street = random.random(HOUSES) < 0.4, random.integers(0, 80, HOUSES)
    price = 3 * area + 10 * rooms + 40 * garden + random.normal(0, 10, HOUSES) + 50
    region = np.array(["north", "south"])[street % 2]
    return {"area": area, "rooms": rooms, "garden": garden, "street": street, "region": region, "price_paid": price}
