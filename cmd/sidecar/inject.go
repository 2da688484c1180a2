package main

import (
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/fsm-integrations/sidecar/internal/inject"
)

// injection is what the command line of inject says.
type injection struct {
	file, params, image string
	all                 bool
}

func newInjectCommand(a *app) *cobra.Command {
	var i injection
	c := &cobra.Command{
		Use:   "inject -f FILE",
		Short: "Print Kubernetes manifests with the sidecar in their pods",
		Long: `Prints the manifests with the sidecar in every pod that is labelled integration-sidecar/inject: "true", as the
admission policy in k8s/inject would put it there, and says on stderr what became of each workload. What is not the
sidecar's keeps its order and comments; documents without such a pod are printed as they are.

Annotations of the pod: integration-sidecar/adapters names the adapters whose base URLs its containers get
(sales-system becomes SALES_SYSTEM_URL), integration-sidecar/config and integration-sidecar/secret another ConfigMap and
Secret than the parameters do.`,
		Example: `  sidecar inject -f deployment.yaml | kubectl apply -f -
  kustomize build . | sidecar inject -f - --params k8s/inject/params.yaml
  sidecar inject -f deployment.yaml --all --image registry.example.com/integration-sidecar:1.4.0`,
		Args: func(cmd *cobra.Command, args []string) error {
			if i.file == "" && len(args) == 1 { // what everybody tries first
				return usagef(cmd, "the file goes behind a flag: -f %s", printable(args[0]))
			}
			return needs()(cmd, args)
		},
		RunE: func(cmd *cobra.Command, _ []string) error {
			if i.file == "" {
				return usagef(cmd, "-f is missing")
			}
			return a.inject(i)
		},
	}
	c.Flags().StringVarP(&i.file, "file", "f", "", "`FILE` of manifests, - for stdin")
	c.Flags().StringVar(&i.params, "params", "", "`FILE` with the ConfigMap of the parameters (default the built-in ones)")
	c.Flags().StringVar(&i.image, "image", "", "`IMAGE` of the sidecar, instead of the parameter")
	c.Flags().BoolVar(&i.all, "all", false, "also pods without the label, but for those whose label says otherwise")
	return c
}

func (a *app) inject(i injection) error {
	o := inject.Options{Params: inject.Defaults(), All: i.all}
	if i.params != "" {
		text, err := os.ReadFile(i.params)
		if err != nil {
			return err
		}
		if o.Params, err = inject.ParseParams(text); err != nil {
			return fmt.Errorf("%s: %w", i.params, err)
		}
	}
	if i.image != "" {
		o.Params.Image = i.image
	}
	text, err := a.read(i.file)
	if err != nil {
		return err
	}
	out, outcomes, err := inject.Manifests(text, o)
	if err != nil {
		return fmt.Errorf("%s: nothing printed: %w", i.file, err)
	}
	a.sayOutcomes(outcomes)
	_, err = a.stdout.Write(out)
	return err
}

func (a *app) sayOutcomes(outcomes []inject.Outcome) {
	for _, o := range outcomes {
		switch {
		case !o.Injected:
			fmt.Fprintf(a.stderr, "%s: left alone: %s\n", printable(o.Workload), o.Reason)
		case o.Advice != "":
			fmt.Fprintf(a.stderr, "%s: the sidecar is in; warning: %s\n", printable(o.Workload), o.Advice)
		default:
			fmt.Fprintf(a.stderr, "%s: the sidecar is in\n", printable(o.Workload))
		}
	}
	if len(outcomes) == 0 {
		fmt.Fprintln(a.stderr, "no workload found: the manifests are printed as they are")
	}
}

// read is the content of a file, or of stdin for -.
func (a *app) read(file string) ([]byte, error) {
	if file == "-" {
		return io.ReadAll(a.stdin)
	}
	return os.ReadFile(file)
}
