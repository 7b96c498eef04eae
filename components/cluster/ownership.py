"""Which stack an object of the cluster belongs to, and the policy that no other one takes it over."""

from typing import TypedDict

import pulumi

from components.kit.kubernetes import admissionregistration, meta
from components.kit.options import child

PROJECT_LABEL = "stellwerk.dev/project"
STACK_LABEL = "stellwerk.dev/stack"
_MANAGERS = "stellwerk/"
# The provider's own field managers, with a random end.
_OTHER_MANAGERS = "pulumi-kubernetes-"
ENGINES = (_MANAGERS, _OTHER_MANAGERS)
"""How the names of the field managers begin that are the engine's, whatever the stack."""


def field_manager(project: str, stack: str) -> str:
    """Return the name under which the API server keeps which fields of an object are this stack's."""
    return f"{_MANAGERS}{project}/{stack}"


class OwnershipPolicyArgs(TypedDict):
    """Arguments of OwnershipPolicy."""

    policy: str
    """Name of the policy in the cluster, which needs one."""


class OwnershipPolicy(pulumi.ComponentResource):
    """Refuses that the engine changes whose an object is, or makes it a stack's that was nobody's: forced, too.

    Server-side apply makes no difference between creating an object and taking it over: the engine would say
    "created", and a later destroy would remove what somebody else uses. What a person does by hand is left alone.
    """

    def __init__(self, name: str, args: OwnershipPolicyArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("stellwerk:index:OwnershipPolicy", name, None, opts)
        exists = meta.v1.LabelSelectorRequirementArgs(key=STACK_LABEL, operator="Exists")
        everything = admissionregistration.v1.NamedRuleWithOperationsArgs(
            api_groups=["*"], api_versions=["*"], operations=["UPDATE"], resources=["*"]
        )
        policy = admissionregistration.v1.ValidatingAdmissionPolicy(
            name,
            metadata=meta.v1.ObjectMetaArgs(name=args["policy"]),
            spec=admissionregistration.v1.ValidatingAdmissionPolicySpecArgs(
                failure_policy="Fail",
                match_constraints=admissionregistration.v1.MatchResourcesArgs(
                    # Of everything else nothing is evaluated: a mistake here stops no other part of the cluster.
                    object_selector=meta.v1.LabelSelectorArgs(match_expressions=[exists]),
                    resource_rules=[everything],
                ),
                match_conditions=[
                    admissionregistration.v1.MatchConditionArgs(
                        name="by-the-engine",
                        expression=f'["{_MANAGERS}", "{_OTHER_MANAGERS}"].exists(name, '
                        'request.options.?fieldManager.orValue("").startsWith(name))',
                    )
                ],
                variables=[
                    admissionregistration.v1.VariableArgs(name=key, expression=text) for key, text in _variables()
                ],
                validations=[
                    admissionregistration.v1.ValidationArgs(
                        expression="variables.before == variables.after || variables.givenUp || variables.older",
                        message_expression=_message(),
                    )
                ],
            ),
            opts=child(self),
        )
        admissionregistration.v1.ValidatingAdmissionPolicyBinding(
            f"{name}-binding",
            metadata=meta.v1.ObjectMetaArgs(name=args["policy"]),
            spec=admissionregistration.v1.ValidatingAdmissionPolicyBindingSpecArgs(
                policy_name=args["policy"], validation_actions=["Deny"]
            ),
            opts=child(self, [policy]),
        )
        self.register_outputs({})


def _variables() -> list[tuple[str, str]]:
    """Return what the policy's expressions are made of, in CEL."""
    managed = "oldObject.metadata.?managedFields.orValue([])"
    manager = 'field.?manager.orValue("")'
    known = f'{manager}.startsWith("{_OTHER_MANAGERS}") || {manager} == request.options.fieldManager'
    engine = f"{managed}.exists(field, {known})"
    return [
        ("before", _owner("oldObject")),
        ("after", _owner("object")),
        ("free", 'variables.before == "/"'),
        # By a program that set no labels yet.
        ("givenUp", 'variables.after == "/"'),
        # Older than the labels. Where an object is a name and no more (ServiceAccount), nobody manages a field.
        ("older", f"variables.free && (size({managed}) == 0 || {engine})"),
    ]


def _owner(which: str) -> str:
    labels = (f'{which}.metadata.?labels[?"{label}"].orValue("")' for label in (PROJECT_LABEL, STACK_LABEL))
    return ' + "/" + '.join(labels)


def _message() -> str:
    labels = f"set its labels {PROJECT_LABEL} and {STACK_LABEL} to the parts of "
    nobody = f'"no stack; delete it, or give it to this one: {labels}" + variables.after'
    another = '"the stack " + variables.before + "; destroy it there, or choose another name"'
    owner = f"(variables.free ? {nobody} : {another})"
    return f'request.kind.kind + " " + request.name + " exists already and belongs to " + {owner}'
