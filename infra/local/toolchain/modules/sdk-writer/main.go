// Writes the SDKs of a package: what the language hosts of the official engine do when they are asked for one, by the
// same generators. The hosts that can be built from their modules are older, and write none.
//
//	sdk-writer SCHEMA FOLDER    writes FOLDER/nodejs, FOLDER/python and FOLDER/go
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	gogen "github.com/pulumi/pulumi/pkg/v3/codegen/go"
	"github.com/pulumi/pulumi/pkg/v3/codegen/nodejs"
	"github.com/pulumi/pulumi/pkg/v3/codegen/python"
	"github.com/pulumi/pulumi/pkg/v3/codegen/schema"
)

const tool = "sdk-writer"

var generators = map[string]func(*schema.Package) (map[string][]byte, error){
	"nodejs": func(described *schema.Package) (map[string][]byte, error) {
		return nodejs.GeneratePackage(tool, described, nil, nil, true, nil)
	},
	"python": func(described *schema.Package) (map[string][]byte, error) {
		return python.GeneratePackage(tool, described, nil, nil)
	},
	"go": func(described *schema.Package) (map[string][]byte, error) {
		return gogen.GeneratePackage(tool, described, nil)
	},
}

func main() {
	if len(os.Args) != 3 {
		fail(fmt.Errorf("needs a schema and a folder"))
	}
	text, err := os.ReadFile(os.Args[1])
	if err != nil {
		fail(err)
	}
	for language, generate := range generators {
		if err := write(text, generate, filepath.Join(os.Args[2], language)); err != nil {
			fail(fmt.Errorf("%s: %w", language, err))
		}
	}
}

// A generator changes the package it is given: each gets one of its own.
func write(text []byte, generate func(*schema.Package) (map[string][]byte, error), folder string) error {
	var spec schema.PackageSpec
	if err := json.Unmarshal(text, &spec); err != nil {
		return err
	}
	described, diagnostics, err := schema.BindSpec(spec, schema.NewNullLoader(), schema.ValidationOptions{})
	if err != nil {
		return err
	}
	if diagnostics.HasErrors() {
		return diagnostics
	}
	files, err := generate(described)
	if err != nil {
		return err
	}
	for name, content := range files {
		file := filepath.Join(folder, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(file, content, 0o644); err != nil {
			return err
		}
	}
	return nil
}

func fail(err error) {
	fmt.Fprintf(os.Stderr, "%s: %v\n", tool, err)
	os.Exit(1)
}
