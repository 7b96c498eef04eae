"""The interface between a target and what runs on it: environment variables, and a kubeconfig that one of them names.

A target is a place where environments run: the embedded cluster (`infra/local`), a company cluster, a cloud. The
program and the command know it by these variables alone; `stellwerk env` prints those of the embedded cluster. What the
user has set always wins. A variable that is absent means: the tool's own default, or that the target has no such thing.
"""

# The context of the embedded cluster; an environment that names another one runs on a cluster of somebody else's.
LOCAL_CONTEXT = "stellwerk"

# Files that kubectl and the providers read (separated like PATH); default: ~/.kube/config.
KUBECONFIG = "KUBECONFIG"
# Folder in which kubectl keeps what it has read of the API.
KUBECACHEDIR = "KUBECACHEDIR"
# Folder with the buildx builder called `stellwerk`.
DOCKER_CONFIG = "DOCKER_CONFIG"

# The engine's folder of plugins and logins; default: ~/.pulumi.
PULUMI_HOME = "PULUMI_HOME"
# Where the engine keeps its state; default: where `pulumi login` leads.
PULUMI_BACKEND_URL = "PULUMI_BACKEND_URL"
# Whether the engine saves its state once, at the end of an update, instead of twice per resource. Only for a target on
# which every resource can be made again without harm by an update that knows nothing of it (decision 13).
PULUMI_SKIP_CHECKPOINTS = "PULUMI_SKIP_CHECKPOINTS"
# Whether the engine compares resources side by side.
PULUMI_PARALLEL_DIFF = "PULUMI_PARALLEL_DIFF"
# How many resources the engine is at work on at a time: most of them wait, for pods of models say.
PULUMI_PARALLEL = "PULUMI_PARALLEL"
# Requests a second that the Kubernetes provider makes at most, and how many at once before that counts.
KUBERNETES_RATE = "PULUMI_K8S_CLIENT_QPS"
KUBERNETES_BURST = "PULUMI_K8S_CLIENT_BURST"
# The passphrase of the encrypted values, or the file that holds it.
PULUMI_PASSPHRASE = "PULUMI_CONFIG_PASSPHRASE"  # noqa: S105 (a name)
PULUMI_PASSPHRASE_FILE = "PULUMI_CONFIG_PASSPHRASE_FILE"  # noqa: S105 (a name)

# Folder with `kserve/`, the manifests that the stack which owns the cluster applies; those of another version than this
# checkout's are in `kserve-<version>/`.
MANIFESTS = "STELLWERK_MANIFESTS"
# Folder with `base-python/` and `elasticsearch/`, build contexts of images.
BUILD_CONTEXTS = "STELLWERK_BUILD_CONTEXTS"
# Folder with `ca.crt`, `pip.conf` and `apt.sources` for image builds; each is optional.
BUILD_SECRETS = "STELLWERK_BUILD_SECRETS"
# The folder of the nodes that holds the logs of pods; set where the nodes' own differs from the stack file's.
POD_LOGS = "STELLWERK_POD_LOGS"
# File from which the nodes and the image builder take the certificate authority of a registry that a stack runs.
REGISTRY_CA = "STELLWERK_REGISTRY_CA"
# Folder for the command's own files: copies of stack files, locks, tracebacks; default: a temporary folder.
WORK = "STELLWERK_WORK"
# Seconds since 1970: whoever applies waits no longer for pods. Set by the command for one update.
DEADLINE = "STELLWERK_DEADLINE"
# File that names the one model which an update moves: the program declares no other. The command makes it for one call
# of the engine that is confined to this model, and removes it with the call: a variable that is left names no file.
MOVE = "STELLWERK_MOVE"
# The backend of whose state an engine has a copy to work in. Set by the command for one update.
BACKEND = "STELLWERK_BACKEND"
# Folder with the `stacks/` and `models/` that the program reads instead of the checkout's: the stack files of another
# revision. The command makes it for one preview, and removes it with the call.
STACKS = "STELLWERK_STACKS"
# File with the names and keys of the Secrets in an exported state: the program takes their values for unchanged, as it
# does without credentials. The command makes it for one preview, and removes it with the call.
ASSUMED = "STELLWERK_ASSUMED"
