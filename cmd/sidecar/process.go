package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/fsm-integrations/sidecar/dlq"
	"github.com/fsm-integrations/sidecar/internal/accepted"
	"github.com/fsm-integrations/sidecar/internal/admin"
	"github.com/fsm-integrations/sidecar/internal/alert"
	"github.com/fsm-integrations/sidecar/internal/config"
	"github.com/fsm-integrations/sidecar/internal/idempotency"
	"github.com/fsm-integrations/sidecar/internal/recent"
	"github.com/fsm-integrations/sidecar/internal/seal"
	"github.com/fsm-integrations/sidecar/internal/secret"
	"github.com/fsm-integrations/sidecar/internal/secret/vault"
	"github.com/fsm-integrations/sidecar/internal/shared"
	"github.com/fsm-integrations/sidecar/internal/telemetry"
	"github.com/fsm-integrations/sidecar/policy"
	"github.com/fsm-integrations/sidecar/proxy"
)

// process is a whole sidecar, running. start builds and serves it; stop takes it down in reverse.
type process struct {
	file     string
	level    *telemetry.Level
	logged   *telemetry.Share  // of successful exchanges
	tracer   *telemetry.Tracer // nil: spans are not sent
	log      *slog.Logger
	audit    *slog.Logger // takes every line, whatever the level
	metrics  *telemetry.Metrics
	recent   *recent.Log
	secrets  *secret.Resolver
	sealer   *seal.Sealer // nil: nothing is sealed
	letters  *dlq.Spool
	accepted *accepted.Store

	sink      dlq.Sink // nil: letters are not forwarded
	sinkName  string
	forwarder *dlq.Forwarder
	alerter   atomic.Pointer[alert.Alerter]

	vault  *vault.Store   // nil: no secrets come from there
	shared *shared.Client // nil: nothing is shared
	keys   idempotency.Store
	server *proxy.Server
	admin  *http.Server
	probes *http.Server

	adminAddr, probesAddr net.Addr
	reloading             sync.Mutex
	done                  context.CancelFunc // ends the background work
	expired               chan struct{}      // closed when it has
	closed                chan struct{}      // closed when stop has closed everything: there is nothing left to interrupt
}

// adminHeaderTimeout bounds how long a stranger may take to say what it wants, on admin and probes.
const adminHeaderTimeout = 5 * time.Second

// start opens the stores, serves admin and probes, and then the application. What it opened it closes again when any
// of it fails.
func start(doc *config.Document, logs io.Writer) (*process, error) {
	p := &process{file: doc.File, secrets: secret.NewResolver(), recent: recent.NewLog(), expired: make(chan struct{}), closed: make(chan struct{})}
	if err := p.openObservability(doc, logs); err != nil {
		return nil, err
	}
	if err := p.openStores(doc); err != nil {
		p.closeStores()
		return nil, err
	}
	if err := p.open(doc); err != nil {
		p.closeStores()
		return nil, err
	}
	p.server.NoteReload(doc.File, "")
	p.tellPeople(doc.DLQ.Alerts)
	background, cancel := context.WithCancel(context.Background())
	p.done = cancel
	go p.expire(background)
	p.log.Info("serving", "proxy", p.server.Address("").String(), "admin", p.adminAddr.String(), "probes", p.probesAddr.String(),
		"adapters", len(doc.Adapters), "version", currentBuild().Version)
	return p, nil
}

func (p *process) openStores(doc *config.Document) (err error) {
	if doc.Vault != nil {
		if err = p.openVault(doc.Vault); err != nil {
			return err
		}
	}
	if doc.Redis.Used() {
		if err = p.openShared(doc.Redis); err != nil {
			return err
		}
	}
	c := doc.DLQ
	if err = p.openSealer(c.EncryptionKey); err != nil {
		return err
	}
	if err = p.openLetters(doc); err != nil {
		return err
	}
	held := accepted.Config{Dir: c.Dir, MaxBytes: int64(c.MaxBytes), Seal: p.sealer, Sharing: p.sharing(doc.Redis)}
	if p.accepted, err = accepted.Open(held); err != nil {
		return err
	}
	if p.accepted.Stats().Damaged > 0 {
		p.log.Error("accepted exchanges could not be read and were set aside", "file", "exchanges.db")
	}
	if p.keys != nil {
		return nil
	}
	keys, err := idempotency.OpenEmbedded(filepath.Join(c.Dir, "keys.db"), idempotency.EmbeddedOptions{MaxBytes: int64(c.MaxBytes)})
	if err == nil {
		p.keys = keys
	}
	return err
}

// open builds the server and binds every address.
func (p *process) open(doc *config.Document) error {
	p.server = proxy.New(policy.Deps{Keys: p.keys, Shared: p.shared, Letters: p.letters, Accepted: p.accepted, Secrets: p.secrets, Vault: p.vault, Metrics: p.metrics,
		Tracer: p.tracer, Logged: p.logged, Recent: p.recent, Log: p.log}, currentBuild().Version)
	handler := promhttp.HandlerFor(p.metrics.Registry, promhttp.HandlerOpts{EnableOpenMetrics: true}) // which has exemplars
	p.server.AlertsTo(p.kick)
	p.forward()
	if err := p.listen(doc, admin.Probes(p.server, handler)); err != nil {
		return err
	}
	if err := p.server.Use(doc); err != nil {
		p.closeListeners()
		return err
	}
	return nil
}

// listen serves the operator's side: admin and probes. They answer before the application's side does, so that a
// probe can tell starting from gone.
func (p *process) listen(doc *config.Document, probes http.Handler) error {
	door, err := p.door(doc)
	if err != nil {
		return fmt.Errorf("listen.admin: %w", err)
	}
	if p.admin, p.adminAddr, err = p.serve(doc.Listen.Admin, door); err != nil {
		return fmt.Errorf("listen.admin: %w", err)
	}
	if p.probes, p.probesAddr, err = p.serve(doc.Listen.Probes, probes); err != nil {
		_ = p.admin.Close()
		return fmt.Errorf("listen.probes: %w", err)
	}
	return nil
}

func (p *process) serve(address string, h http.Handler) (*http.Server, net.Addr, error) {
	socket, err := admin.Listen(address)
	if err != nil {
		return nil, nil, err
	}
	s := &http.Server{Handler: h, ReadHeaderTimeout: adminHeaderTimeout, ConnContext: admin.ConnContext, ErrorLog: telemetry.Library(p.log)}
	go func() {
		if err := s.Serve(socket); !errors.Is(err, http.ErrServerClosed) {
			p.log.Error("listener stopped", "address", address, "error", err.Error())
		}
	}()
	return s, socket.Addr(), nil
}

// reload reads the file again and serves it. An invalid file changes nothing.
func (p *process) reload(context.Context) error {
	p.reloading.Lock() // or the older of two readings could be served last
	defer p.reloading.Unlock()
	doc, err := config.Load(p.file)
	if err == nil {
		err = p.server.Use(doc)
	}
	if err != nil {
		p.log.Error("configuration not reloaded; the earlier one stays", "file", p.file, "faults", strings.Split(strings.TrimSpace(err.Error()), "\n"))
		p.server.NoteReload(p.file, err.Error())
		return err
	}
	p.adjust(doc.Telemetry)
	p.server.NoteReload(p.file, "")
	p.log.Info("configuration reloaded", "file", p.file, "adapters", len(doc.Adapters))
	return nil
}

// expire removes what is kept for longer than it should be: letters, looked at once an hour, and the ends of accepted
// exchanges, once a minute.
func (p *process) expire(ctx context.Context) {
	defer close(p.expired)
	var minutely sync.WaitGroup
	defer minutely.Wait()
	minutely.Go(func() { p.expireAccepted(ctx) })
	tick := time.NewTicker(time.Hour)
	defer tick.Stop()
	for {
		ids, err := p.letters.Expire(ctx, time.Now())
		if err != nil && ctx.Err() == nil {
			p.log.Error("letters past their retention could not be removed", "error", err.Error())
		}
		for _, id := range ids {
			p.log.Warn("letter removed: it is past its retention", "letter_id", id)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

func (p *process) expireAccepted(ctx context.Context) {
	tick := time.NewTicker(time.Minute)
	defer tick.Stop()
	for {
		if _, err := p.accepted.Expire(ctx); err != nil && ctx.Err() == nil {
			p.log.Error("the ends of accepted exchanges could not be removed", "error", err.Error())
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// stop drains within the given time and closes everything.
func (p *process) stop(drain time.Duration) error {
	p.log.Info("draining", "within", drain.String())
	ctx, cancel := context.WithTimeout(context.Background(), drain)
	defer cancel()
	err := p.server.Shutdown(ctx)
	p.stopForwarding(ctx)
	p.stopTelling()
	p.done()
	<-p.expired
	p.flushSpans(ctx)
	p.closeListeners()
	p.closeStores()
	close(p.closed)
	if err != nil {
		p.log.Error("stopped", "error", err.Error())
		return err
	}
	p.log.Info("stopped")
	return nil
}

func (p *process) closeListeners() {
	_ = p.admin.Close()
	_ = p.probes.Close()
}

func (p *process) closeStores() {
	_ = p.tracer.Shutdown(context.Background()) // of a start that failed; else it was flushed
	if p.keys != nil {
		p.close(p.keys)
	}
	if p.forwarder != nil {
		p.forwarder.Close()
	}
	if p.sink != nil {
		p.close(p.sink)
	}
	if p.accepted != nil { // it tells the others that it ends
		p.close(p.accepted)
	}
	if p.shared != nil {
		p.close(p.shared)
	}
	if p.letters != nil {
		p.close(p.letters)
	}
	if p.vault != nil { // last: the others may need a secret to close
		p.close(p.vault)
	}
}

func (p *process) close(c io.Closer) {
	if err := c.Close(); err != nil {
		p.log.Error("closing", "error", err.Error())
	}
}
