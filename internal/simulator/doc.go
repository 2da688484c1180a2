// Package simulator plays the five external systems of the specification: order intake, ERP work orders, signature
// envelopes, SMS and e-mail.
//
// Each System is a real HTTP server with a believable API. It checks credentials and signatures, honours or ignores
// idempotency keys, limits callers, and fails on command: by the methods of System, or by the control paths under
// /_control/ when it runs in another process. It counts what matters to a caller that retries: the requests it
// saw and the side effects it performed, which are not the same number.
//
//	world, err := simulator.Start(simulator.Config{})
//	sales := world.System(simulator.Sales)
//	sales.Next(simulator.AcceptThenDrop()) // the order is taken, the answer is lost
//
// The control paths have no authentication: keep the listeners on loopback, as the default is.
package simulator
