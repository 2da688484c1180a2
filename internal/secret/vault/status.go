package vault

import "time"

// Status is how Vault is, as seen from here.
type Status struct {
	Up      bool // false: only probes are sent, and what is known is used
	Since   time.Time
	Why     string        // the last failure, when the last fetch failed
	Expires time.Time     // when the token does; zero: never, or there is none
	LoginAs string        // such as kubernetes role sidecar
	Secrets int           // paths that are kept
	Oldest  time.Duration // age of the oldest secret that was used within the last TTL
	Address string
	Mount   string

	Namespace string
	TTL       time.Duration
}

// Status returns how Vault is now.
func (s *Store) Status() Status {
	down, since, why := s.gate.state()
	out := Status{Up: !down, Since: since, LoginAs: s.config.Login.Method, Secrets: int(s.count.Load()), Address: s.config.Address,
		Namespace: s.config.Namespace, Mount: s.config.Mount, TTL: s.config.TTL, Oldest: s.oldest(time.Now())}
	if s.config.Login.Method == Kubernetes {
		out.LoginAs += " role " + s.config.Login.Role
	}
	if why != nil {
		out.Why = why.Error()
	}
	s.session.mu.Lock()
	defer s.session.mu.Unlock()
	out.Expires = s.session.expires
	return out
}

func (s *Store) oldest(now time.Time) (age time.Duration) {
	s.entries.Range(func(_, v any) bool {
		e := v.(*entry)
		if r := e.latest.Load(); r.good() && e.idle(now) < s.config.TTL {
			age = max(age, now.Sub(r.fetched))
		}
		return true
	})
	return age
}
