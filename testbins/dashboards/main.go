// Command dashboards reads Grafana dashboards as strictly as the types that Grafana's own SDK is generated from:
// fields that are not known, missing or of another type are errors. In: files. Out: what is wrong, and status 1.
package main

import (
	"fmt"
	"os"

	"github.com/grafana/grafana-foundation-sdk/go/cog/plugins"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
)

func main() {
	plugins.RegisterDefaultPlugins()
	status := 0
	for _, path := range os.Args[1:] {
		if problem := check(path); problem != "" {
			fmt.Fprintf(os.Stderr, "%s: %s\n", path, problem)
			status = 1
		}
	}
	os.Exit(status)
}

// check answers with what is wrong; nothing if all is well. The SDK's lists of errors are errors even if they are empty.
func check(path string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	var found dashboard.Dashboard
	if err := found.UnmarshalJSONStrict(text); err != nil && err.Error() != "" {
		return err.Error()
	}
	if err := found.Validate(); err != nil {
		return err.Error()
	}
	return ""
}
