// Package codegen holds the one type of pulumi-dotnet that the docker-build
// provider names. It is metadata for generating a C# SDK, which a built
// toolchain never does; the module itself is published by no Go module proxy.
package codegen

// CSharpPackageInfo describes how a C# SDK would be generated.
type CSharpPackageInfo struct {
	RespectSchemaVersion bool              `json:"respectSchemaVersion,omitempty"`
	PackageReferences    map[string]string `json:"packageReferences,omitempty"`
}
