"""A stack of one elastic pool, whose arguments are the variable POOL."""

import json
import os

import pulumi
import pulumi_kubernetes as kubernetes

from components.cluster.elastic_pool import ElasticPool

provider = kubernetes.Provider("cluster", kubeconfig="")
given = json.loads(os.environ["POOL"])
pool = ElasticPool(given.pop("name"), given, pulumi.ResourceOptions(providers=[provider]))
pulumi.export("pool", pool.pool)
