# A step of Pipelines may push to its own repository.
