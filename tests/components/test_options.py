"""What the children of all components have in common."""

import pulumi

from components.kit.options import child
from tests.components.mocks import declared


def test_the_provider_decides_whether_an_object_is_deleted_before_it_is_replaced() -> None:
    """Where a name is fixed, the replacement made first would be what the deletion then removes."""
    options = list[pulumi.ResourceOptions]()
    declared(lambda: options.append(child(pulumi.ComponentResource("stellwerk:index:Any", "any"))))
    assert [each.delete_before_replace for each in options] == [None]
