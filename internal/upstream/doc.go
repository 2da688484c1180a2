// Package upstream is a scripted external system for tests.
//
// A Server is a real listener with its own accept loop and its own response writer, not net/http's server, because
// tests need what that server forbids: a response cut in the middle, bytes that are no HTTP, a reset after the request
// was read, and a look at the request line and field names exactly as they were sent.
//
// Script plays one Step per request and fails the test on a missing or a surplus request, so that "exactly one attempt
// was sent" needs no assertion of its own:
//
//	u := upstream.Script(t, upstream.Status(503), upstream.Hang(), upstream.OK("x"))
//
// Every goroutine and connection of a Server ends with the test that started it.
package upstream
