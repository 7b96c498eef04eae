"""Programs of stacks that make a cluster: environments stand on them."""
