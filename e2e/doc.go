// Package e2e holds the product to its contract from the outside: it builds the sidecar's binary, runs it against
// scripted external systems, and looks only at what an application, an operator or a provider can see.
//
// The harness is ordinary code of this package, so that e2e/servers, which needs real servers, uses it too:
//
//   - Main builds the binary once for a test package; E2E_BINARY names another one to test instead.
//   - Start writes a configuration, runs the sidecar on free ports and returns when it is ready. Kill9, Term, Hangup,
//     Restart and Wait do to the process what its names say; Command runs the other commands against it.
//   - NewUpstream is an external system that records what reaches it; RawUpstream one that speaks bytes.
//   - Do and Try make one call as the application would; Raw writes bytes as an attacker would.
//   - Eventually polls with a deadline. Nothing here waits for a fixed time.
//
// One file holds the tests of one behaviour and is named after it.
package e2e
