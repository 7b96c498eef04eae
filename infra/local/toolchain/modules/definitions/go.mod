module stellwerk.dev/toolchain/definitions

go 1.26.0

require (
	github.com/NVIDIA/gpu-operator v0.0.0-20250917190837-d73a0086a6ba
	github.com/aws/karpenter-provider-aws v1.13.0
	github.com/kubeflow/trainer/v2 v2.0.0
)
