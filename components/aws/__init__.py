"""What a cluster in AWS is made of. These components are not in the package: they need the SDK of AWS."""
