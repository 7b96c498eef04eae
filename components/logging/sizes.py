"""What pods of the log store ask for: numbers that rules need as well, so that nothing is imported here."""

STORE_CPU = "200m"
KIBANA = ("500m", "1Gi")
"""CPU and memory of each pod of Kibana by ECK."""
LOGSTASH = ("500m", "2Gi")
"""CPU and memory of each pod of Logstash by ECK."""


def store_memory(heap: str) -> str:
    """Return the memory of Elasticsearch: the heap, half of it for buffers, and 512Mi for code, threads and launcher.

    `heap` is a number with m or g.
    """
    mebibytes = int(heap[:-1]) * (1024 if heap[-1] == "g" else 1)
    return f"{mebibytes * 3 // 2 + 512}Mi"
