"""The pods of a served model, as KServe takes them: one container fetches the artefact, one serves it."""

from collections.abc import Mapping, Sequence
from typing import Any

import pulumi

from components.kit import device_claims, log_access, placement, pods, store_access
from components.kit.security import CONTAINER_MANIFEST, POD_MANIFEST
from components.serving.arguments import InferenceServiceArgs
from components.serving.looks import SERVICE_LABEL
from components.serving.manifests import Container, Model, Mount, Predictor, Variable, Volume
from components.serving.rollout import deployment_name
from components.serving.runtime import DRAIN_SECONDS, MODEL_FOLDER, SERVER

_FETCHER = "storage-initializer"


def predictor(
    args: InferenceServiceArgs,
    secret: pulumi.Input[str] | None,
    account: pulumi.Input[str] | None,
    log_secret: pulumi.Input[str] | None = None,
) -> Predictor:
    """Return the pods; `secret`, `account` and `log_secret` are what the stores' access has in the cluster."""
    served: Predictor = {
        "deploymentStrategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
        "terminationGracePeriodSeconds": DRAIN_SECONDS + 25,
        "automountServiceAccountToken": False,
        "securityContext": POD_MANIFEST,
        "model": _model(args),
        "initContainers": [_fetch(args, secret)],
        "topologySpreadConstraints": _spread(args["model"]),
    }
    if (pull_secret := args.get("pull_secret")) is not None:
        served["imagePullSecrets"] = [{"name": pull_secret}]
    volumes: list[Volume] = []
    if secret is not None and args["store"].get("trust_bundle") is not None:
        volumes.append(_secret_volume(store_access.TRUST_VOLUME, secret, [store_access.TRUST_KEY]))
    if log_secret is not None:
        volumes.append(_secret_volume(log_access.VOLUME, log_secret, log_access.KEYS))
    if volumes:
        served["volumes"] = volumes
    if account is not None:
        served["serviceAccountName"] = account
    priority = args.get("priority_class")
    if priority is not None:
        served["priorityClassName"] = priority
    pool = args.get("node_pool")
    if claim := args.get("device_claim"):
        served["resourceClaims"] = device_claims.claims(deployment_name(args["model"]), claim)
    if pool:
        labels = args.get("node_labels")
        served["nodeSelector"] = placement.selector(pool, labels)
        if annotations := placement.annotations(pool, labels):
            served["annotations"] = annotations
        served["tolerations"] = placement.tolerations(args.get("tolerations"))
    return served


def _secret_volume(name: str, secret: pulumi.Input[str], keys: Sequence[str]) -> Volume:
    return {"name": name, "secret": {"secretName": secret, "items": [{"key": key, "path": key} for key in keys]}}


def _log(args: InferenceServiceArgs, container: str) -> tuple[list[Variable], list[Mount]]:
    """Return the variables and the mount by which a container ships its lines; none where the node's shipper does."""
    access = args.get("log_store")
    if access is None:
        return [], []
    fields: list[Variable] = [
        {"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}} for name, path in log_access.FIELDS.items()
    ]
    mount: Mount = {"name": log_access.VOLUME, "mountPath": log_access.FOLDER, "readOnly": True}
    return [*_variables(log_access.variables(access, container)), *fields], [mount]


def _spread(model: str) -> list[dict[str, Any]]:
    """Return that the pods go to different nodes and zones; of one pod, too, so that more of them restart none."""
    alike = {"matchLabels": {SERVICE_LABEL: model}}
    return [
        {"maxSkew": 1, "topologyKey": key, "whenUnsatisfiable": "ScheduleAnyway", "labelSelector": alike}
        for key in pods.TOPOLOGY
    ]


def _files(args: InferenceServiceArgs) -> dict[str, str]:
    """Return the variables that say how the model's file is called, if otherwise, and which ones are beside it."""
    file, files = args.get("artefact_file"), args.get("artefact_files")
    named = {"MODEL_PATH": f"{MODEL_FOLDER}/{file}"} if file else {}
    return named | ({"ARTEFACT_FILES": files} if files else {})


def _model(args: InferenceServiceArgs) -> Model:
    values = {
        "ENVIRONMENT": args["environment"],
        "MODEL_NAME": args["model"],
        "MODEL_DIGEST": args["artefact_digest"],
        "RELEASE": args["release"],
        "RUN_ID": args["run_id"],
        **_files(args),
        # Without devices nothing is said: pods that are there already stay.
        **({"STELLWERK_DEVICE": "cuda"} if args.get("devices") or args.get("device_claim") else {}),
    }
    variables, mounts = _log(args, SERVER)
    model: Model = {
        # KServe's word for what the runtime takes; which formats it serves is a matter of the image.
        "modelFormat": {"name": "onnx", "version": "1"},
        "protocolVersion": "v2",
        "runtime": args["runtime"],
        # Without it KServe takes the service for a multi-model server.
        "storageUri": f"s3://{args['store']['bucket']}/{args['artefact_key']}",
        "image": args["image"],
        "env": [*_variables(values), *variables],
        "resources": pods.resources(
            args["cpu"], args["memory"], devices=args.get("devices"), claims=bool(args.get("device_claim"))
        ),
    }
    if mounts:
        model["volumeMounts"] = mounts
    return model


def _fetch(args: InferenceServiceArgs, secret: pulumi.Input[str] | None) -> Container:
    store = args["store"]
    variables = _variables(
        {
            "ENVIRONMENT": args["environment"],
            "MODEL_BUCKET": store["bucket"],
            "MODEL_KEY": args["artefact_key"],
            "MODEL_DIGEST": args["artefact_digest"],
            **_files(args),
            **store_access.variables(store),
        }
    )
    if secret is not None and store.get("keys") is not None:
        variables += [_secret_variable(name, secret, key) for name, key in store_access.KEY_VARIABLES.items()]
    log_variables, log_mounts = _log(args, _FETCHER)
    variables += log_variables
    mounts: list[Mount] = [{"name": "model", "mountPath": MODEL_FOLDER}, *log_mounts]
    if store.get("trust_bundle") is not None:
        mounts.append({"name": store_access.TRUST_VOLUME, "mountPath": store_access.TRUST_FOLDER, "readOnly": True})
    return {
        # KServe's own initialiser is no "restricted" container and verifies no digest; it leaves a pod alone that
        # has a container of this name.
        "name": _FETCHER,
        "image": args["image"],
        "command": ["python", "-m", "serving.fetch"],
        "env": variables,
        # The larger of the two counts for the pod: what the server needs anyway.
        "resources": pods.resources(args["cpu"], args["memory"]),
        "securityContext": CONTAINER_MANIFEST,
        "volumeMounts": mounts,
    }


def _variables(values: Mapping[str, pulumi.Input[str]]) -> list[Variable]:
    return [{"name": name, "value": value} for name, value in values.items()]


def _secret_variable(name: str, secret: pulumi.Input[str], key: str) -> Variable:
    return {"name": name, "valueFrom": {"secretKeyRef": {"name": secret, "key": key}}}
