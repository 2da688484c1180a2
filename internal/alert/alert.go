// Package alert tells people what waits for them: letters, letters that were lost, breakers that are open.
//
// An Alerter is kicked whenever something may have changed, and then asks its Source what is open now. Each target, an
// Alertmanager and a webhook, has a goroutine and a book of what it has been told, so neither waits for the other and no
// call waits for either. The book holds one state per group, always the newest: a target that was down hears how things
// stand when it is back, not what it missed.
//
// Told at least once: a target that took an alert and did not say so gets it again.
package alert

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"
)

// DefaultGroupInterval is the least time between two firing alerts of one group when nothing else is configured.
const DefaultGroupInterval = 5 * time.Minute

// Config says whom to tell, of what.
type Config struct {
	Alertmanager string // base URL, a path prefix included; "": none
	Webhook      string // URL; "": none. It may hold a secret and is neither logged nor observed.
	// AlertmanagerAuth and WebhookAuth return the value of the field Authorization, secret as it is; they are asked for
	// each POST, so that a changed one is followed. nil: none is sent.
	AlertmanagerAuth, WebhookAuth func(context.Context) (string, error)
	// GroupInterval is the least time between two firing alerts of one group; default DefaultGroupInterval. It is also
	// how often the Source is read when nobody kicks.
	GroupInterval time.Duration
	// Source returns what is open now, each group once; a group that is missing is resolved. It is called by one
	// goroutine per target, the first time before New returns or soon after, and a few times a second at most.
	Source   func() []Group
	Admin    string       // address of the admin listener, host:port, for the commands in the text
	Instance string       // name of the pod or host, a label of every alert
	Client   *http.Client // nil: one of its own, which follows no redirect and uses no proxy
	// Observe is told of every POST, for integration_alerts_sent_total: target is alertmanager or webhook, err is nil
	// when the target took it. nil: nobody wants to know.
	Observe func(target string, err error)
	Log     *slog.Logger     // told when a target starts and stops failing; nil: nothing is logged
	Now     func() time.Time // nil: time.Now
}

func (c Config) withDefaults() Config {
	c.GroupInterval = cmp.Or(max(c.GroupInterval, 0), DefaultGroupInterval)
	if c.Observe == nil {
		c.Observe = func(string, error) {}
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return c
}

// Alerter tells its targets. Its methods are safe for concurrent use.
type Alerter struct {
	targets []*target
	running sync.WaitGroup
	stop    context.CancelFunc // lets nothing new begin
	abort   context.CancelFunc // breaks off what is under way
	idle    func()             // closes the connections of a client of our own
}

// New starts to tell the targets that c names, at once of what is open already. With no target it does nothing, ever.
func New(c Config) *Alerter {
	c = c.withDefaults()
	a := &Alerter{idle: func() {}}
	if c.Client == nil {
		c.Client = newClient()
		a.idle = c.Client.CloseIdleConnections
	}
	stopped, stop := context.WithCancel(context.Background())
	aborted, abort := context.WithCancel(context.Background())
	a.stop, a.abort = stop, abort
	for _, f := range c.formats() {
		t := newTarget(c, f, stopped, aborted)
		a.targets = append(a.targets, t)
		a.running.Go(t.run)
	}
	return a
}

// Kick says that something changed. It never blocks and allocates nothing: kicks that come while one is waiting to be
// noticed are one.
func (a *Alerter) Kick() {
	for _, t := range a.targets {
		select {
		case t.kicks <- struct{}{}:
		default:
		}
	}
}

// Close lets nothing new be sent, and the POSTs under way end within ctx; then they are broken off and an error is
// returned. What fires is not resolved by that: letters outlive the process. An Alertmanager forgets it by itself.
func (a *Alerter) Close(ctx context.Context) error {
	a.stop()
	defer a.abort()
	done := make(chan struct{})
	go func() {
		a.running.Wait()
		a.idle()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("finish sending alerts: %w", ctx.Err())
	}
}
