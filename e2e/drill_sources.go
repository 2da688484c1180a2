package e2e

import (
	"encoding/json"
	"strconv"
	"strings"
)

// one is how series name the drill's only adapter.
const one = `adapter_id="sales-system"`

func number(f float64) string { return strconv.FormatFloat(f, 'f', -1, 64) }

// word is the word of a gauge's value.
func word(v float64, words ...string) string {
	if int(v) < len(words) && v >= 0 {
		return words[int(v)]
	}
	return number(v)
}

func (d *Drill) metrics() Numbers {
	m := d.Sidecar.Metrics(d.t)
	n := Numbers{}
	for column, series := range DrillSeries() {
		n[column] = number(m[series])
	}
	n["attempts"] = number(m[`integration_attempts_total{`+one+`,outcome="answered"}`] + m[`integration_attempts_total{`+one+`,outcome="unanswered"}`])
	n["breaker"] = word(m[`integration_circuit_breaker_state{`+one+`}`], "closed", "half-open", "open")
	n["check"] = word(m[`integration_health_check_up{`+one+`}`], "down", "up")
	n["health"] = word(m[`integration_adapter_health{`+one+`}`], "pass", "warn", "fail")
	return n
}

// DrillSeries are the series behind the columns of the drill's table, as a scrape names them.
func DrillSeries() map[string]string {
	return map[string]string{
		"succeeded":    `integration_requests_total{` + one + `,status="success"}`,
		"failed":       `integration_requests_total{` + one + `,status="failure"}`,
		"timeout":      `integration_errors_total{` + one + `,error_type="timeout"}`,
		"server_error": `integration_errors_total{` + one + `,error_type="server_error"}`,
		"circuit_open": `integration_errors_total{` + one + `,error_type="circuit_open"}`,
		"retries":      `integration_retries_total{` + one + `}`,
		"kept":         `integration_letters_total{` + one + `,result="kept"}`,
		"waiting":      `integration_open_letters{` + one + `}`,
		"opens":        `integration_circuit_breaker_changes_total{` + one + `,to="open"}`,
	}
}

// shownAdapter is what status shows of an adapter.
type shownAdapter struct {
	Health, Message string
	OpenLetters     int `json:"open_letters"`
	Breaker, Check  struct{ State string }
	Totals          map[string]int

	dead int // letters in the spool
}

func (d *Drill) adapterStatus() shownAdapter {
	d.t.Helper()
	var s struct {
		Adapters []shownAdapter
		Spool    struct{ Letters map[string]int }
	}
	r := d.Sidecar.MustCommand(d.t, "status", "-o", "json")
	if err := json.Unmarshal([]byte(r.Stdout), &s); err != nil || len(s.Adapters) != 1 {
		d.t.Fatalf("status prints %q: %v", r.Stdout, err)
	}
	s.Adapters[0].dead = s.Spool.Letters["dead"]
	return s.Adapters[0]
}

// status is what the command shows, and the page.
func (d *Drill) status() Numbers {
	a := d.adapterStatus()
	n := Numbers{"breaker": a.Breaker.State, "check": a.Check.State, "health": a.Health, "waiting": strconv.Itoa(a.OpenLetters)}
	for column, total := range map[string]string{"succeeded": "succeeded", "failed": "failed", "retries": "retries", "kept": "letters_kept", "opens": "breaker_opens"} {
		n[column] = strconv.Itoa(a.Totals[total])
	}
	if a.dead != a.OpenLetters {
		n["waiting"] += " and in the spool " + strconv.Itoa(a.dead)
	}
	return n
}

// health is both of its shapes.
func (d *Drill) health() Numbers {
	var plain struct {
		Checks map[string]struct{ Status string }
	}
	var draft struct {
		Checks map[string][]struct{ Status string }
	}
	read := func(accept string, into any) {
		a := d.Sidecar.Get(d.t, "http://"+d.Sidecar.Probes+"/health", "Accept: "+accept)
		if err := json.Unmarshal([]byte(a.Body), into); err != nil {
			d.t.Fatalf("/health is %q: %v", a.Body, err)
		}
	}
	read("application/json", &plain)
	read("application/health+json", &draft)
	said := plain.Checks["sales-system"].Status
	if also := draft.Checks["sales-system:responseTime"]; len(also) != 1 || also[0].Status != said {
		said += ", but not as health+json"
	}
	return Numbers{"health": said}
}

// log counts lines.
func (d *Drill) log() Numbers {
	count := map[string]int{"succeeded": 0, "failed": 0, "timeout": 0, "server_error": 0, "circuit_open": 0, "attempts": 0, "kept": 0, "opens": 0}
	check, breaker := "up", "closed"
	for text := range strings.Lines(d.Sidecar.Log.String()) {
		var line struct {
			Msg       string
			ErrorType string `json:"error_type"`
			Attempts  int
			LetterID  string `json:"letter_id"`
			Replay    bool
		}
		if json.Unmarshal([]byte(text), &line) != nil {
			continue // half a line: the rest comes
		}
		switch line.Msg {
		case "exchange":
			count["attempts"] += line.Attempts
			if line.LetterID != "" && !line.Replay {
				count["kept"]++
			}
			if line.ErrorType == "" {
				count["succeeded"]++
				continue
			}
			count["failed"]++
			count[line.ErrorType]++
		case "breaker open":
			count["opens"]++
			breaker = "open"
		case "breaker closed":
			breaker = "closed"
		case "health check down":
			check = "down"
		case "health check up":
			check = "up"
		}
	}
	n := Numbers{"check": check, "breaker": breaker}
	for column, v := range count {
		n[column] = strconv.Itoa(v)
	}
	return n
}

func (d *Drill) list() Numbers {
	return Numbers{"waiting": strconv.Itoa(len(d.Sidecar.Letters(d.t, "--adapter", "sales-system")))}
}

// alerts is what the webhook was told last of each group.
func (d *Drill) alerts() Numbers {
	d.mu.Lock()
	defer d.mu.Unlock()
	letters, breaker := 0, "closed"
	for _, news := range d.told {
		switch {
		case news.Status != "firing":
		case news.Metadata.Alertname == "IntegrationLetters":
			letters += news.Metadata.Open
		case news.Metadata.Alertname == "IntegrationBreakerOpen":
			breaker = "open"
		}
	}
	return Numbers{"waiting": strconv.Itoa(letters), "breaker": breaker}
}
