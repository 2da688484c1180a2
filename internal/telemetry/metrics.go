// Package telemetry publishes what exchanges leave behind: metrics and one log line each.
//
// Handles are resolved once per adapter when the configuration is compiled; the hot path only adds to them. No label
// ever holds a path, a tenant, a key or an id of a call, so the number of series is known from the configuration.
package telemetry

import (
	"runtime"
	"strings"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/fsm-integrations/sidecar/internal/problem"
)

// Metrics are all counters and histograms of the process. Gauges are collected where their values live.
type Metrics struct {
	Registry *prometheus.Registry

	ReloadSuccess prometheus.Gauge // 1 when the last load of the configuration succeeded, else 0
	ReloadTime    prometheus.Gauge // Unix seconds of the last successful load

	requests, errors, retries, ended, attempts, limits, keys, letters, secrets, degraded, deliveries, breakers *prometheus.CounterVec
	duration, limitWait                                                                                        *prometheus.HistogramVec

	mu       sync.Mutex
	adapters map[string]*Adapter
}

// Adapter holds the resolved handles of one adapter.
type Adapter struct {
	Success, Failure               prometheus.Counter
	Duration                       prometheus.Observer
	Errors                         map[problem.ErrorType]prometheus.Counter
	Retries                        prometheus.Counter
	Ended                          map[string]prometheus.Counter // by RetryEnds
	Breaker                        map[string]prometheus.Counter // by BreakerStates
	Answered, Unanswered           prometheus.Counter
	Allowed, Waited, Refused       prometheus.Counter
	LimitWait                      prometheus.Observer
	Keys                           map[string]prometheus.Counter
	LettersKept, LettersLost       prometheus.Counter
	SecretsFetched, SecretsMissing prometheus.Counter
	KeysDegraded, LimitDegraded    prometheus.Counter
	Accepted, PutBack              prometheus.Counter // exchanges answered 202; tries of them that are made again
	Delivered, Failed              prometheus.Counter // how they ended
}

// Took observes the duration of an exchange, in seconds, with the span that shows one of such a duration; "" when it
// was not recorded.
func (a *Adapter) Took(seconds float64, traceID, spanID string) {
	if with, ok := a.Duration.(prometheus.ExemplarObserver); ok && spanID != "" {
		with.ObserveWithExemplar(seconds, prometheus.Labels{"trace_id": traceID, "span_id": spanID})
		return
	}
	a.Duration.Observe(seconds)
}

// durationBuckets are the specification's, in seconds, and finer ones below 100 ms.
var durationBuckets = []float64{.001, .0025, .005, .01, .025, .05, .1, .5, 1, 2, 5, 10, 30}

// KeyOutcomes are what can come of an idempotency key.
func KeyOutcomes() []string {
	return []string{"stored", "replayed", "released", "unknown", "in_flight", "reused", "fresh", "store_failed"}
}

// RetryEnds are why a retry that the outcome allowed was not made.
func RetryEnds() []string { return []string{"budget", "deadline", "stopped"} }

// BreakerStates are what a breaker changes to.
func BreakerStates() []string { return []string{"closed", "half-open", "open"} }

// NewMetrics registers everything on a registry of its own.
func NewMetrics(version, commit string) *Metrics {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, append([]string{"adapter_id"}, labels...))
	}
	m := &Metrics{
		Registry:   prometheus.NewRegistry(),
		adapters:   map[string]*Adapter{},
		requests:   counter("integration_requests_total", "Exchanges by final status: success (2xx, 3xx) or failure.", "status"),
		errors:     counter("integration_errors_total", "Failed exchanges by error type.", "error_type"),
		retries:    counter("integration_retries_total", "Attempts after the first."),
		ended:      counter("integration_retries_ended_total", "Retries that the outcome allowed and that were not made, by reason: budget, deadline, or stopped (by breaker, limit or credentials).", "reason"),
		breakers:   counter("integration_circuit_breaker_changes_total", "Changes of the circuit breaker by the state it came to: closed, half-open or open.", "to"),
		attempts:   counter("integration_attempts_total", "Attempts by outcome: answered or unanswered.", "outcome"),
		limits:     counter("integration_rate_limit_decisions_total", "Decisions of our rate limit: allowed, waited or refused.", "decision"),
		keys:       counter("integration_idempotency_outcomes_total", "What came of idempotency keys: "+strings.Join(KeyOutcomes(), ", ")+".", "outcome"),
		letters:    counter("integration_letters_total", "Letters kept, and lost because the spool could not take them.", "result"),
		secrets:    counter("integration_secret_fetches_total", "Exchanges that needed credentials, by result: ok or failed.", "result"),
		degraded:   counter("integration_degraded_calls_total", "Exchanges that a policy decided without the store it needs: of keys, or of shared limits.", "policy"),
		deliveries: counter("integration_accepted_results_total", "What happened to exchanges answered 202: accepted, put_back (a try that is made again), delivered or failed.", "result"),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "integration_request_duration_seconds",
			Help: "Time of an exchange, from the application's call to the last byte of its answer.", Buckets: durationBuckets}, []string{"adapter_id"}),
		limitWait: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "integration_rate_limit_wait_seconds",
			Help: "Time exchanges waited for tokens, of those that waited.", Buckets: durationBuckets}, []string{"adapter_id"}),
		ReloadSuccess: prometheus.NewGauge(prometheus.GaugeOpts{Name: "integration_config_last_reload_successful", Help: "1 when the last load of the configuration succeeded."}),
		ReloadTime:    prometheus.NewGauge(prometheus.GaugeOpts{Name: "integration_config_last_reload_success_timestamp_seconds", Help: "Time of the last successful load."}),
	}
	build := prometheus.NewGauge(prometheus.GaugeOpts{Name: "integration_build_info", Help: "1, labelled with what is running.",
		ConstLabels: prometheus.Labels{"version": version, "commit": commit, "go_version": runtime.Version()}})
	build.Set(1)
	m.Registry.MustRegister(m.requests, m.errors, m.retries, m.ended, m.attempts, m.limits, m.keys, m.letters, m.secrets, m.degraded, m.deliveries, m.breakers, m.duration,
		m.limitWait, m.ReloadSuccess, m.ReloadTime, build, collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// Adapter returns the handles of an adapter, which keep counting over reloads.
func (m *Metrics) Adapter(id string) *Adapter {
	m.mu.Lock()
	defer m.mu.Unlock()
	if a, ok := m.adapters[id]; ok {
		return a
	}
	a := &Adapter{
		Success: m.requests.WithLabelValues(id, "success"), Failure: m.requests.WithLabelValues(id, "failure"),
		Duration: m.duration.WithLabelValues(id), Errors: map[problem.ErrorType]prometheus.Counter{},
		Retries: m.retries.WithLabelValues(id), Ended: map[string]prometheus.Counter{}, Breaker: map[string]prometheus.Counter{},
		Answered: m.attempts.WithLabelValues(id, "answered"), Unanswered: m.attempts.WithLabelValues(id, "unanswered"),
		Allowed: m.limits.WithLabelValues(id, "allowed"), Waited: m.limits.WithLabelValues(id, "waited"),
		Refused: m.limits.WithLabelValues(id, "refused"), LimitWait: m.limitWait.WithLabelValues(id),
		Keys:        map[string]prometheus.Counter{},
		LettersKept: m.letters.WithLabelValues(id, "kept"), LettersLost: m.letters.WithLabelValues(id, "lost"),
		SecretsFetched: m.secrets.WithLabelValues(id, "ok"), SecretsMissing: m.secrets.WithLabelValues(id, "failed"),
		KeysDegraded: m.degraded.WithLabelValues(id, "idempotency"), LimitDegraded: m.degraded.WithLabelValues(id, "rate_limit"),
		Accepted: m.deliveries.WithLabelValues(id, "accepted"), PutBack: m.deliveries.WithLabelValues(id, "put_back"),
		Delivered: m.deliveries.WithLabelValues(id, "delivered"), Failed: m.deliveries.WithLabelValues(id, "failed"),
	}
	for _, t := range problem.ErrorTypes() {
		a.Errors[t] = m.errors.WithLabelValues(id, string(t))
	}
	for _, o := range KeyOutcomes() {
		a.Keys[o] = m.keys.WithLabelValues(id, o)
	}
	for _, reason := range RetryEnds() {
		a.Ended[reason] = m.ended.WithLabelValues(id, reason)
	}
	for _, state := range BreakerStates() {
		a.Breaker[state] = m.breakers.WithLabelValues(id, state)
	}
	m.adapters[id] = a
	return a
}

// BreakerChanged counts a change of an adapter's breaker; one that is no longer configured is not counted again.
func (m *Metrics) BreakerChanged(id, to string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if a := m.adapters[id]; a != nil {
		a.Breaker[to].Inc()
	}
}

// Forget removes the series of an adapter that is no longer configured.
func (m *Metrics) Forget(id string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.adapters, id)
	for _, v := range []interface {
		DeletePartialMatch(prometheus.Labels) int
	}{m.requests, m.errors, m.retries, m.ended, m.attempts, m.limits, m.keys, m.letters, m.secrets, m.degraded, m.deliveries, m.breakers, m.duration, m.limitWait} {
		v.DeletePartialMatch(prometheus.Labels{"adapter_id": id})
	}
}
