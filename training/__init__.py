"""What runs in a training Job: data contract, loop, evaluation, export, tracking and publication of a candidate."""
