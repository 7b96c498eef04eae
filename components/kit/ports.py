"""The ports that components listen on, each in this place only; importing them costs nothing.

Node ports are values of an environment. What an image's own files must repeat is held against these by tests.
"""

GATEWAY = 8443
GATEWAY_HEALTH = 8081
GATEWAY_ALIVE = 8082
KSERVE_WEBHOOK = 9443
KSERVE_HEALTH = 8081
KSERVE_METRICS = 8080
LOG_STORE = 9200
LOG_STORE_READY = 9399
MODEL = 8080
OBJECT_STORE = 7070
OBJECT_STORE_READER = 7071
REGISTRY = 5000
REGISTRY_BACKEND = 5001
TENSORBOARD = 6006
TRACKING = 5000
TRACKING_DATABASE = 5432
WORKERS = 29500
