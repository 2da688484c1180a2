package simulator

import (
	"errors"
	"fmt"
)

// The systems, by the adapter names of the contract.
const (
	Sales      = "sales-system"
	ERP        = "erp-system"
	ESignature = "e-signature"
	SMS        = "sms-gateway"
	Email      = "email-gateway"
)

// Config says how the systems are set up. The zero value is usable.
type Config struct {
	Seed    uint64             // the ids the systems hand out follow from it
	Systems map[string]Setting // by system name; what is absent keeps the defaults of the provider
}

// Setting is the set-up of one system; every zero field keeps the default of the provider.
type Setting struct {
	Address    string     // host:port to listen on; default 127.0.0.1:0
	Credential Credential // what callers must present; see System.Credential
	Signature  Signature  // verified when it has a secret; default none
	Limit      Limit      // the provider's own rate limit; default none, e-signature 4/s with a burst of 40
	IgnoreKeys bool       // drops no duplicates, whatever the provider's documentation says
}

// World is the five systems, running.
type World struct {
	systems []*System
}

// Names lists the systems in the contract's order.
func Names() []string {
	var names []string
	for _, p := range providers() {
		names = append(names, p.name)
	}
	return names
}

// Start runs all five systems until Close.
func Start(cfg Config) (*World, error) {
	w := &World{}
	for _, p := range providers() {
		s, err := start(p, cfg.Systems[p.name], cfg.Seed)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("start %s: %w", p.name, err), w.Close())
		}
		w.systems = append(w.systems, s)
	}
	for name := range cfg.Systems {
		if w.find(name) == nil {
			return nil, errors.Join(fmt.Errorf("there is no system %q, only %v", name, Names()), w.Close())
		}
	}
	return w, nil
}

// System returns the system called name. A name that is none of Names is a mistake of the programmer and panics.
func (w *World) System(name string) *System {
	if s := w.find(name); s != nil {
		return s
	}
	panic(fmt.Sprintf("simulator: there is no system %q", name))
}

// Systems returns all systems in the contract's order.
func (w *World) Systems() []*System { return append([]*System(nil), w.systems...) }

// Close stops every system, cuts open connections and returns when all of their goroutines have ended.
func (w *World) Close() error {
	var errs []error
	for _, s := range w.systems {
		errs = append(errs, s.Close())
	}
	return errors.Join(errs...)
}

func (w *World) find(name string) *System {
	for _, s := range w.systems {
		if s.Name == name {
			return s
		}
	}
	return nil
}

// provider is what tells one system from another.
type provider struct {
	name       string
	honours    bool   // drops duplicates by key
	keyField   string // where its documentation asks for the key
	credential Credential
	limit      Limit
	routes     []route
}

// providers is a function because a table would be a mutable global.
func providers() []provider {
	const plain, prefixed = "Idempotency-Key", "X-Idempotency-Key"
	return []provider{
		{Sales, true, prefixed, Bearer("demo-sales-token"), Limit{}, salesRoutes()},
		{ERP, true, plain, Basic("fsm-integration", "demo-erp-password"), Limit{}, erpRoutes()},
		{ESignature, true, prefixed, Bearer("demo-signature-token"), Limit{PerSecond: 4, Burst: 40}, signatureRoutes()},
		{SMS, false, prefixed, Header("X-API-Key", "demo-sms-key"), Limit{}, smsRoutes()},
		{Email, true, prefixed, Bearer("demo-email-token"), Limit{}, emailRoutes()},
	}
}
