package dlq

import (
	"context"
	"slices"
)

// actionAdopt is the action of Adopt in a letter's audit.
const actionAdopt = "adopt"

// Adopt takes a letter into the spool that was read from a sink, because the sidecar that kept it is gone; who is
// written to its audit. It is forwarded from the start: the sink knows it, and learns of its end through the outbox.
//
// A letter the spool holds already, in whatever state, is left as it is: adopted is false. One that cannot be sent again
// as it was is not taken, see Message.Whole; nor is one with a body by a spool that omits bodies. Otherwise as Put.
func (s *Spool) Adopt(ctx context.Context, l *Letter, who string) (adopted bool, err error) {
	if err := l.OriginalMessage.Whole(); err != nil {
		return false, err
	}
	if s.config.OmitBody && len(l.OriginalMessage.Body) > 0 {
		return false, ErrBodyOmitted
	}
	if s.Has(l.ID) {
		return false, nil
	}
	own := *l
	own.State = Forwarded
	own.Audit = append(slices.Clone(l.Audit), Audit{Time: s.config.Now(), Who: who, Action: actionAdopt, Outcome: "taken over from the sink"})
	if err := s.keep(ctx, &own); err != nil {
		return false, err
	}
	return true, nil
}

// Adopted reports whether the letter was taken over from a sink, so that another sidecar may hold it too.
func (l *Letter) Adopted() bool {
	return slices.ContainsFunc(l.Audit, func(a Audit) bool { return a.Action == actionAdopt })
}
