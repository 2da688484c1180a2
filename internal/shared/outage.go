package shared

import (
	"context"
	_ "embed" // the scripts
	"errors"
	"time"
)

var (
	//go:embed outage.lua
	outageSource string
	//go:embed news.lua
	newsSource string
)

// Outages is where sidecars tell each other that an external system stopped answering, and that it answers again.
type Outages struct {
	client     *Client
	tell, read *Script
}

// News is what was told last of one external system.
type News struct {
	Number int64 // grows with each piece of news, until it is forgotten; 0: there is none
	Open   bool
	Left   time.Duration // for how long it is still news: of an open breaker, until it probes
}

// NewOutages returns the board of a client's application.
func NewOutages(c *Client) *Outages {
	return &Outages{client: c, tell: NewScript(outageSource), read: NewScript(newsSource)}
}

func (o *Outages) key(adapter string) string { return o.client.Key("breaker", adapter) }

// Tell says that adapter's breaker opened or closed, which is news for a while. It returns the number of this news.
func (o *Outages) Tell(ctx context.Context, adapter string, open bool, during time.Duration) (int64, error) {
	state := "closed"
	if open {
		state = "open"
	}
	reply, err := o.client.Run(ctx, o.tell, o.key(adapter), state, max(during.Milliseconds(), 1))
	number, _ := reply.(int64)
	return number, err
}

// Read returns the last news of each adapter, in their order. It is one round trip.
func (o *Outages) Read(ctx context.Context, adapters []string) ([]News, error) {
	calls := make([]Call, len(adapters))
	for i, name := range adapters {
		calls[i] = Call{Script: o.read, Key: o.key(name)}
	}
	news := make([]News, len(adapters))
	var errs []error
	for i, reply := range o.client.RunAll(ctx, calls) {
		errs = append(errs, reply.Err)
		told, ok := reply.Value.([]any)
		if !ok || len(told) != 3 {
			continue
		}
		number, _ := told[0].(int64)
		left, _ := told[2].(int64)
		news[i] = News{Number: number, Open: told[1] == "open", Left: time.Duration(left) * time.Millisecond}
	}
	return news, errors.Join(errs...)
}
