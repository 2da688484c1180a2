// Command sidecar runs the integration sidecar and is how its operators talk to a running one.
//
// Exit codes: 0 done, 1 the thing asked about is not well, 2 usage, 3 the sidecar could not be reached.
package main

import "os"

func main() {
	os.Exit(Main(os.Args[1:], os.Stdin, os.Stdout, os.Stderr, os.Getenv))
}
