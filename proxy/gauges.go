package proxy

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/fsm-integrations/sidecar/dlq"
	"github.com/fsm-integrations/sidecar/internal/accepted"
	"github.com/fsm-integrations/sidecar/policy"
)

// gauges reads, at scrape time, what lives in the hosts and the spool.
type gauges struct{ server *Server }

var (
	breakerDesc = adapterGauge("integration_circuit_breaker_state", "Circuit breaker: 0 closed, 1 half-open, 2 open.")
	infoDesc    = prometheus.NewDesc("integration_adapter_info", "1 for each adapter, with the version of its contract.", []string{"adapter_id", "version"}, nil)
	healthDesc  = adapterGauge("integration_adapter_health", "Health of the external system by calls and checks, as /health says it: 0 pass, 1 warn, 2 fail.")
	checkDesc   = adapterGauge("integration_health_check_up", "1 when the last active check passed, 0 when it failed; there is no such series without checks, nor before the first has said something.")
	checkedDesc = adapterGauge("integration_health_check_duration_seconds", "Time of the last active check, answered or not.")
	flightDesc  = adapterGauge("integration_in_flight_requests", "Exchanges under way.")
	tokensDesc  = adapterGauge("integration_rate_limit_tokens", "Tokens in the bucket; per tenant, in the emptiest one.")
	tokenDesc   = prometheus.NewDesc("integration_token_fetches_total", "Requests for OAuth2 access tokens by result: ok, secret (which could not be read), unreachable, timeout, unavailable, rejected or invalid.", []string{"adapter_id", "result"}, nil)
	lettersDesc = prometheus.NewDesc("integration_letters", "Letters in the spool by state.", []string{"state"}, nil)
	openDesc    = adapterGauge("integration_open_letters", "Letters that still wait for an outcome.")
	bytesDesc   = prometheus.NewDesc("integration_spool_bytes", "Size of the letters in the spool.", nil, nil)
	keptDesc    = prometheus.NewDesc("integration_spool_kept_bytes", "Size of the letters that make way for no other: when it reaches integration_spool_max_bytes letters are lost.", nil, nil)
	removedDesc = prometheus.NewDesc("integration_spool_removed_letters_total", "Letters removed by reason: expired (dlq.retention), or evicted (closed or forwarded ones, to make room).", []string{"reason"}, nil)
	maxDesc     = prometheus.NewDesc("integration_spool_max_bytes", "Largest size of the spool.", nil, nil)
	ageDesc     = prometheus.NewDesc("integration_spool_oldest_letter_age_seconds", "Age of the oldest letter that waits; 0 when there is none.", nil, nil)
	redisDesc   = prometheus.NewDesc("integration_redis_up", "1 when the Redis that sidecars share answers; there is no such series without one.", nil, nil)
	vaultDesc   = prometheus.NewDesc("integration_vault_up", "1 when the Vault that secrets come from answers; there is no such series without one.", nil, nil)
	secretDesc  = prometheus.NewDesc("integration_vault_secret_age_seconds", "Age of the oldest secret from Vault that is in use; 0 when none is.", nil, nil)
	pendingDesc = prometheus.NewDesc("integration_idempotency_pending_outcomes", "Outcomes of keys that Redis has not taken yet.", nil, nil)
	lostDesc    = prometheus.NewDesc("integration_idempotency_lost_outcomes_total", "Outcomes of keys that Redis did not take in time, and that are forgotten.", nil, nil)
	heldDesc    = prometheus.NewDesc("integration_accepted_exchanges", "Exchanges answered 202 that have not ended, by state: accepted (waiting) or running.", []string{"adapter_id", "state"}, nil)
	heldAgeDesc = adapterGauge("integration_accepted_oldest_age_seconds", "Age of the oldest exchange answered 202 that has not ended; 0 when there is none.")
	heldLenDesc = prometheus.NewDesc("integration_accepted_bytes", "Size of the exchanges answered 202, with those whose end is still kept.", nil, nil)
	soloDesc    = prometheus.NewDesc("integration_accepted_without_copy", "Exchanges answered 202 that have not ended and of which Redis has no copy, or not of their last state; there is no such series without a Redis.", nil, nil)
	movedDesc   = prometheus.NewDesc("integration_accepted_takeovers_total", "Exchanges answered 202 that moved between sidecars: in (taken over here) or out (taken over from here).", []string{"direction"}, nil)
	badDesc     = prometheus.NewDesc("integration_spool_quarantined_letters", "Letters that could not be read and were set aside.", nil, nil)
)

func adapterGauge(name, help string) *prometheus.Desc {
	return prometheus.NewDesc(name, help, []string{"adapter_id"}, nil)
}

// Describe implements prometheus.Collector.
func (g *gauges) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range append(sinkDescs(), breakerDesc, infoDesc, healthDesc, checkDesc, checkedDesc, flightDesc, tokensDesc, tokenDesc, lettersDesc, openDesc, bytesDesc, keptDesc, removedDesc, maxDesc, ageDesc, badDesc, redisDesc, vaultDesc, secretDesc, pendingDesc, lostDesc,
		heldDesc, heldAgeDesc, heldLenDesc, soloDesc, movedDesc) {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (g *gauges) Collect(ch chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	stats := g.server.deps.Letters.Stats()
	if snapshot := g.server.snapshot.Load(); snapshot != nil {
		for _, a := range snapshot.ordered {
			id := a.identity.ID
			gauge(infoDesc, 1, id, a.identity.Version)
			a.collectHealth(gauge)
			if b := a.host.Breaker; b != nil {
				gauge(breakerDesc, float64(b.State()), id)
			}
			if l := a.host.Limiter; l != nil {
				tokens, _ := l.Level()
				gauge(tokensDesc, tokens, id)
			}
			for result, n := range a.host.TokenFetches() {
				ch <- prometheus.MustNewConstMetric(tokenDesc, prometheus.CounterValue, float64(n), id, string(result))
			}
			gauge(flightDesc, float64(a.host.InFlight()), id)
			gauge(openDesc, float64(stats.OpenByAdapter[id]), id)
		}
	}
	g.accepted(gauge)
	g.moved(ch)
	collectSpool(stats, ch, gauge)
	if sink := g.server.sinkStatus(); sink != nil {
		sink.collect(ch)
	}
	if vault := g.server.vaultStatus(); vault != nil {
		gauge(vaultDesc, map[bool]float64{true: 1}[vault.Up])
		gauge(secretDesc, vault.OldestSeconds)
	}
	if redis := g.server.redisStatus(); redis != nil {
		gauge(redisDesc, map[bool]float64{true: 1}[redis.Up])
		gauge(pendingDesc, float64(redis.Keys.Pending))
		ch <- prometheus.MustNewConstMetric(lostDesc, prometheus.CounterValue, float64(redis.Keys.Lost))
	}
}

func collectSpool(stats dlq.Stats, ch chan<- prometheus.Metric, gauge func(d *prometheus.Desc, v float64, labels ...string)) {
	for state, n := range stats.ByState {
		gauge(lettersDesc, float64(n), string(state))
	}
	gauge(bytesDesc, float64(stats.Bytes))
	gauge(keptDesc, float64(stats.Bytes-stats.Yielding))
	gauge(maxDesc, float64(stats.MaxBytes))
	gauge(badDesc, float64(stats.Quarantined))
	for reason, n := range map[string]int{"expired": stats.Expired, "evicted": stats.Evicted} {
		ch <- prometheus.MustNewConstMetric(removedDesc, prometheus.CounterValue, float64(n), reason)
	}
	age := 0.0
	if !stats.Oldest.IsZero() {
		age = time.Since(stats.Oldest).Seconds()
	}
	gauge(ageDesc, age)
}

func (a *adapter) collectHealth(gauge func(d *prometheus.Desc, v float64, labels ...string)) {
	gauge(healthDesc, map[string]float64{warn: 1, fail: 2}[a.check().Status], a.identity.ID)
	now, on := a.host.Checked()
	if !on || now.Verdict == policy.Unchecked {
		return
	}
	gauge(checkDesc, map[policy.Verdict]float64{policy.Up: 1}[now.Verdict], a.identity.ID)
	gauge(checkedDesc, now.Took.Seconds(), a.identity.ID)
}

// accepted shows the adapters whose delivery is asynchronous, and those that still have something to deliver.
func (g *gauges) accepted(gauge func(d *prometheus.Desc, v float64, labels ...string)) {
	if g.server.deps.Accepted == nil {
		return
	}
	stats := g.server.deps.Accepted.Stats()
	gauge(heldLenDesc, float64(stats.Bytes))
	for _, a := range g.server.adapters() {
		id, now := a.identity.ID, stats.ByAdapter[a.identity.Name]
		if !a.async() && now == (accepted.AdapterStats{}) {
			continue
		}
		gauge(heldDesc, float64(now.Waiting), id, string(accepted.Waiting))
		gauge(heldDesc, float64(now.Running), id, string(accepted.Running))
		age := 0.0
		if !now.Oldest.IsZero() {
			age = time.Since(now.Oldest).Seconds()
		}
		gauge(heldAgeDesc, age, id)
	}
}

// moved shows what replicas do for each other.
func (g *gauges) moved(ch chan<- prometheus.Metric) {
	if g.server.deps.Accepted == nil {
		return
	}
	if stats := g.server.deps.Accepted.Stats(); stats.Shared {
		ch <- prometheus.MustNewConstMetric(soloDesc, prometheus.GaugeValue, float64(stats.Uncopied))
		ch <- prometheus.MustNewConstMetric(movedDesc, prometheus.CounterValue, float64(stats.TakenOver), "in")
		ch <- prometheus.MustNewConstMetric(movedDesc, prometheus.CounterValue, float64(stats.Lost), "out")
	}
}
