"""The embedded single-node Kubernetes: one state directory, supervised processes, nothing left after `down`."""
