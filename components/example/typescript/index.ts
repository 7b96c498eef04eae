// What ../Pulumi.yaml declares, in TypeScript. The objects go to the cluster of the stack's `kubernetes:context`.
import * as pulumi from "@pulumi/pulumi";
import * as stellwerk from "@pulumi/stellwerk";

const config = new pulumi.Config();

const research = new stellwerk.Tenant("research", {
    environment: "research",
    namespaces: ["serving", "training"],
    quota: { cpu: "16", memory: "64Gi", pods: 40, storage: "100Gi" },
    developers: ["data-science"],
});

const registryLogin = new stellwerk.PullSecret("registry-login", {
    namespace: research.namespaces["training"],
    address: "registry.example:5000",
    login: { username: "reader", password: config.requireSecret("registryPassword") },
});

const gpus = new stellwerk.NodePool("gpus", {
    accelerator: "nvidia-h100",
    gpus: 8,
    nodes: config.requireNumber("nodes"),
});

export const namespaces = research.namespaces;
export const pullSecret = registryLogin.secretName;
export const nodes = gpus.names;
