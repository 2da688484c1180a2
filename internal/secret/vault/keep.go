package vault

import (
	"time"
)

// keep renews in the background, before a call would have to wait for it: the token, and the secrets that somebody used
// lately. It forgets secrets that nobody has used for so long that they could not be used any more.
func (s *Store) keep() {
	tick := time.NewTicker(min(max(s.config.TTL/20, 20*time.Millisecond), 5*time.Second))
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-s.base.Done():
			return
		}
		if down, _, _ := s.gate.state(); down {
			s.probe()
			continue
		}
		s.session.followed()
		s.session.prolong()
		s.refresh(time.Now())
	}
}

// refresh begins to fetch what is due.
func (s *Store) refresh(now time.Time) {
	const atOnce = 10 * fetchesAtOnce // the rest at the next tick
	begun := 0
	s.entries.Range(func(_, v any) bool {
		e := v.(*entry)
		r, idle := e.latest.Load(), e.idle(now)
		switch {
		case idle > s.config.TTL+s.config.StaleFor:
			s.drop(e)
		case r.good() && !now.Before(r.refresh) && idle < s.config.TTL:
			e.mu.Lock()
			if e.flight == nil && s.begin(e, now) != nil {
				begun++
			}
			e.mu.Unlock()
		}
		return begun < atOnce
	})
}

// probe finds out whether a Vault that did not answer does now: with a secret in use, else with the token.
func (s *Store) probe() {
	now := time.Now()
	var wanted *entry
	s.entries.Range(func(_, v any) bool {
		if e := v.(*entry); wanted == nil || e.used.Load() > wanted.used.Load() {
			wanted = e
		}
		return true
	})
	if wanted == nil {
		return
	}
	wanted.mu.Lock()
	defer wanted.mu.Unlock()
	if wanted.flight == nil {
		s.begin(wanted, now)
	}
}
