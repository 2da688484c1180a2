// Package admin is the operator's side door: a JSON API on a listener of its own, the read-only probes, and the
// client the commands use.
//
// Whoever can open a connection to the door's address may use it, unless it wants a token: so it listens on loopback or
// on a Unix socket of its own user. What it must keep out is a browser on the same machine that some other site has taken
// by the hand: a foreign Host (DNS rebinding), a foreign Origin, and a form that posts without having been asked
// (cross-site request forgery). The guard in front of every route refuses these. Everything that changes something, or
// shows what an application sent, leaves an audit line in the log.
package admin

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"strings"

	"github.com/fsm-integrations/sidecar/dlq"
	"github.com/fsm-integrations/sidecar/internal/config"
	"github.com/fsm-integrations/sidecar/internal/recent"
	"github.com/fsm-integrations/sidecar/internal/secret"
	"github.com/fsm-integrations/sidecar/internal/telemetry"
	"github.com/fsm-integrations/sidecar/proxy"
)

// Letters is what the admin API needs of the spool. *dlq.Spool implements it.
type Letters interface {
	Get(id string) (*dlq.Letter, error)                    // dlq.ErrNotFound
	Each(f dlq.Filter, visit func(*dlq.Letter) bool) error // in order of ids, until visit says false
	Discard(ctx context.Context, id, who string) error     // dlq.ErrNotFound
	Adopt(ctx context.Context, l *dlq.Letter, who string) (adopted bool, err error)
}

// Sink is where the letters of the application were forwarded to, those of sidecars that are gone among them.
type Sink struct {
	Name string // kafka or redis
	// Read visits the letters that are still open and that f chooses, oldest first, until visit says false: see
	// dlq.ReadKafka and dlq.ReadStream. After an error some may have been visited.
	Read func(ctx context.Context, f dlq.Filter, visit func(*dlq.Letter) bool) error
}

// Config is what New needs.
type Config struct {
	Controller proxy.Controller
	Letters    Letters
	Sink       *Sink // nil: letters are not forwarded
	Log        *slog.Logger
	Audit      *slog.Logger // takes every line, whatever the level of Log; nil: Log
	// Token is asked at each request for what it must carry as Authorization: Bearer; nil: none is wanted.
	Token  func(context.Context) (secret.Value, error)
	Level  *telemetry.Level            // of the log; nil: it is fixed
	Hosts  []string                    // names in the Host field accepted beside localhost and loopback addresses
	Reload func(context.Context) error // nil: reloading answers 501; an error is the faults, one a line

	Recent   *recent.Log             // the last exchanges; nil: none are kept
	Document func() *config.Document // the configuration in force; nil: there is none to show
}

type server struct {
	Config
	parts   map[string]part
	viewers chan struct{} // one in it for each page that is told of changes
}

// answer serves one route: the value to encode, or an error that fail knows how to say.
type answer func(*http.Request) (any, error)

type route struct {
	method, path, help string
	answer             answer
	action             string // of the audit, for what changes something
	open               bool   // needs no token: holds nothing that is not public, such as the parts of a page
}

// New returns the handler of the admin listener. A replay may take as long as a call's total timeout, so a server
// that runs it must not have a shorter write timeout.
func New(c Config) http.Handler {
	if c.Audit == nil {
		c.Audit = c.Log
	}
	s := &server{Config: c, parts: parts(), viewers: make(chan struct{}, maxViewers)}
	mux := http.NewServeMux()
	routes := s.routes()
	for _, r := range routes {
		mux.Handle(r.path, s.serve(r))
	}
	mux.Handle("/{$}", s.serve(route{method: http.MethodGet, answer: s.front(index(routes)), open: true}))
	mux.Handle(pagePrefix+"{file}", s.serve(route{method: http.MethodGet, answer: s.part, open: true}))
	mux.Handle("/", s.serve(route{answer: func(r *http.Request) (any, error) {
		return nil, refuse(http.StatusNotFound, "there is nothing here; GET / lists what there is")
	}}))
	return s.guard(mux)
}

func (s *server) routes() []route {
	get := func(path, help string, a answer) route {
		return route{method: http.MethodGet, path: path, help: help, answer: a}
	}
	post := func(path, help, action string, a answer) route {
		return route{method: http.MethodPost, path: path, help: help, answer: a, action: action}
	}
	return []route{
		get("/api/v1/status", "adapters, breakers, limiters, spool, last reload", s.status),
		get("/api/v1/events", "server-sent events: the status when something has changed", s.events),
		get("/api/v1/exchanges", "the last exchanges with their attempts, newest first", s.exchanges),
		get("/api/v1/series", "successes, failures and latencies of the last quarter of an hour, per adapter", s.series),
		get("/api/v1/config", "the configuration in force, each value with the line that set it", s.config),
		get("/api/v1/letters", "letters, oldest first: ?adapter= error_type= since= until= tenant= key= operation= state= tried= untried= from= limit= after= newest=", s.letters),
		get("/api/v1/letters/{id}", "one letter, whole", s.letter),
		post("/api/v1/letters/{id}/replay", `send it again: {"force": false, "dry_run": false, "run": "", "who": ""}`, "replay", s.replay),
		post("/api/v1/letters/{id}/discard", `nobody needs it any more: {"who": ""}`, "discard", s.discard),
		post("/api/v1/adopt", `take letters over from the sink: ?from=kafka and as for letters {"ids": [], "dry_run": false, "who": ""}`, "adopt", s.adopt),
		post("/api/v1/breakers/{adapter}/{action}", `open, close or reset: {"who": ""}`, "breaker", s.breaker),
		get("/api/v1/log-level", "what is logged, and until when", s.logLevel),
		post("/api/v1/log-level/{level}", `debug, info, warn or error for a while, or configured: {"for": "15m", "who": ""}`, "log level", s.setLogLevel),
		post("/api/v1/reload", `read the configuration again: {"who": ""}`, "reload", s.reload),
	}
}

func (s *server) status(*http.Request) (any, error) { return s.Controller.Status(), nil }

// text is an answer that is not JSON.
type text string

func index(routes []route) text {
	var b strings.Builder
	b.WriteString("integration sidecar: the operator's side door; a browser gets the status page here\n\n")
	for _, r := range routes {
		fmt.Fprintf(&b, "%-4s %-38s %s\n", r.method, r.path, r.help)
	}
	b.WriteString("\nWhat changes something needs Content-Type: application/json. `sidecar --help` lists the commands for all of this.\n")
	return text(b.String())
}
