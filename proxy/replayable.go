package proxy

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/fsm-integrations/sidecar/dlq"
	"github.com/fsm-integrations/sidecar/internal/problem"
	"github.com/fsm-integrations/sidecar/internal/units"
	"github.com/fsm-integrations/sidecar/policy"
)

const heldOpen = "the breaker is open by hand; it stays so until it is closed by hand"

// stopped says why a breaker would let nothing through now; "" when it would. A dry run that leaves it out promises
// what the replay does not keep.
func stopped(g *policy.Guard) string {
	switch {
	case g == nil || g.State() != policy.BreakerOpened:
		return ""
	case g.Held():
		return heldOpen
	}
	return fmt.Sprintf("the breaker is open, probes in %s", units.Duration(g.Remaining().Round(time.Second)))
}

// unsent says why nothing was sent. What the application is told of a header of its answer means nothing to whoever replays
// a letter.
func (r *resend) unsent(p *problem.Problem) string {
	why := ""
	switch {
	case p.Kind == problem.CircuitOpen && r.adapter.host.Breaker.Held():
		return heldOpen + "; nothing was sent"
	case p.Kind == problem.CircuitOpen:
		why = "the breaker is open"
	case p.Kind == problem.RateLimited:
		why = "the rate limit has no token to spare"
	default:
		return p.Detail
	}
	return fmt.Sprintf("%s, nothing was sent; try again after %s", why, units.Duration(max(p.RetryAfter.Round(time.Second), time.Second)))
}

// impossible says why a letter cannot be sent at all, whoever wants it; "" when it can.
func (r *resend) impossible() string {
	whole := r.letter.OriginalMessage.Whole()
	target, _ := r.letter.OriginalMessage.Sent()
	switch {
	case !r.letter.State.Open():
		return "it is " + string(r.letter.State) + " already"
	case r.adapter == nil:
		return "its adapter " + r.letter.Metadata.Adapter + " is not configured"
	case r.letter.Error.Type == problem.TypePartialFailure:
		return "some of its call took effect and some failed: sending all of it again would repeat what succeeded; make a new call of what failed, then discard it"
	case errors.Is(whole, dlq.ErrSealed):
		return "it is sealed with a key that this sidecar does not have (dlq.encryption_key)"
	case whole != nil:
		return "it was kept without its body (dlq.body), so it cannot be sent as it was"
	case !pathLike(target):
		return "its target is not a path below the adapter"
	}
	for _, h := range r.letter.OriginalMessage.Headers {
		if strings.EqualFold(h.Name, policy.VersionField) {
			if p := r.adapter.identity.Speaks(h.Value); p != nil {
				return "its call asked for version " + h.Value + " of the adapter (" + policy.VersionField + "), which is " + r.adapter.identity.Version
			}
		}
	}
	return ""
}

// unsafe says why sending a letter again could do harm; "" when it could not, or is wanted all the same.
func (r *resend) unsafe() string {
	switch {
	case r.options.Force:
		return ""
	case r.unknown && !r.honoured() && !r.absent:
		return "its outcome is unknown and the provider does not honour idempotency keys: it could happen twice; look at the provider first, then use --force"
	case r.forgotten() && !r.absent:
		return fmt.Sprintf("it is older than the %s the provider remembers its key (provider_ttl); use --force if it did not happen", units.Duration(r.settings.Idempotency.ProviderTTL))
	case r.elsewhere() && r.server.claims == nil && !r.honoured():
		return "it was read from the sink, the provider does not honour idempotency keys, and without redis nothing keeps the sidecar that kept it from sending it too; use --force when that one is gone"
	}
	return ""
}

// asks reports whether the provider is asked, before the letter is sent, if it has it already.
func (r *resend) asks() bool {
	return r.settings.Reconcile != nil && !r.options.Force && (r.unknown || r.forgotten())
}

// honoured reports whether the provider drops duplicates by key.
func (r *resend) honoured() bool {
	return r.settings.Idempotency != nil && r.settings.Idempotency.Honoured
}

// forgotten reports whether the provider may have forgotten the letter's key.
func (r *resend) forgotten() bool {
	keys := r.settings.Idempotency
	return keys != nil && time.Since(r.letter.Metadata.FirstAttempt) > keys.ProviderTTL.D()
}

// elsewhere reports whether another sidecar may hold the letter too.
func (r *resend) elsewhere() bool { return r.options.FromSink || r.letter.Adopted() }

// pathLike reports whether a target is what the adapter would have let through: a letter from a sink may have been
// written by others.
func pathLike(target string) bool {
	path, _, _ := strings.Cut(target, "?")
	return strings.HasPrefix(target, "/") && !climbs(path)
}
