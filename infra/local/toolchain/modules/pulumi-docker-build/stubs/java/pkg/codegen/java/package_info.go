// Package java holds the one type of pulumi-java that the docker-build provider
// names. It is metadata for generating a Java SDK, which a built toolchain never
// does; the module itself is published by no Go module proxy.
package java

// PackageInfo describes how a Java SDK would be generated.
type PackageInfo struct {
	BuildFiles                      string            `json:"buildFiles,omitempty"`
	GradleNexusPublishPluginVersion string            `json:"gradleNexusPublishPluginVersion,omitempty"`
	Dependencies                    map[string]string `json:"dependencies,omitempty"`
}
