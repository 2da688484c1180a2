package proxy

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/fsm-integrations/sidecar/dlq"
)

// Forwards tells the server what forwards its letters, before it serves.
func (s *Server) Forwards(sink string, f *dlq.Forwarder) { s.sink, s.forwarder = sink, f }

// sinkStatus is how forwarding goes; nil when nothing is forwarded.
func (s *Server) sinkStatus() *SinkStatus {
	if s.forwarder == nil {
		return nil
	}
	now, waiting := s.forwarder.Stats(), s.deps.Letters.Stats()
	out := &SinkStatus{Sink: s.sink, Forwarded: now.Forwarded, Refused: now.Refused, Failures: now.Failures, Waiting: waiting.Outbox, Lag: now.Lag.Round(time.Millisecond).String(), lag: now.Lag}
	if now.LastError != nil {
		out.LastError = now.LastError.Error()
	}
	if !now.FailingSince.IsZero() {
		out.FailingSince = &now.FailingSince
	}
	return out
}

// check warns: letters that cannot be forwarded are still on disk.
func (s *SinkStatus) check() HealthCheck {
	if s.FailingSince != nil {
		return HealthCheck{Status: "warn", Message: "letters stay in the spool, because " + s.Sink + " does not take them: " + s.LastError}
	}
	return HealthCheck{Status: "pass"}
}

var (
	forwardedDesc = prometheus.NewDesc("integration_forwarded_letters_total", "Letters, and changes of letters, that the sink has acknowledged.", nil, nil)
	refusedDesc   = prometheus.NewDesc("integration_forward_refused_letters_total", "Letters that the sink will never take; they stay in the spool.", nil, nil)
	failuresDesc  = prometheus.NewDesc("integration_forward_failures_total", "Batches of letters that could not be forwarded.", nil, nil)
	waitingDesc   = prometheus.NewDesc("integration_forward_waiting_letters", "Letters, and changes of letters, that the sink has yet to learn of.", nil, nil)
	lagDesc       = prometheus.NewDesc("integration_forward_lag_seconds", "Age of the oldest letter that waits to be forwarded; 0 when none does.", nil, nil)
)

func sinkDescs() []*prometheus.Desc {
	return []*prometheus.Desc{forwardedDesc, refusedDesc, failuresDesc, waitingDesc, lagDesc}
}

func (s *SinkStatus) collect(ch chan<- prometheus.Metric) {
	value := func(d *prometheus.Desc, t prometheus.ValueType, v float64) {
		ch <- prometheus.MustNewConstMetric(d, t, v)
	}
	value(forwardedDesc, prometheus.CounterValue, float64(s.Forwarded))
	value(refusedDesc, prometheus.CounterValue, float64(s.Refused))
	value(failuresDesc, prometheus.CounterValue, float64(s.Failures))
	value(waitingDesc, prometheus.GaugeValue, float64(s.Waiting))
	value(lagDesc, prometheus.GaugeValue, s.lag.Seconds())
}
