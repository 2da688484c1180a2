package main

import (
	"bytes"
	"os"
	"syscall"
	"testing"

	"github.com/fsm-integrations/sidecar/internal/config"
)

// impatient is a log that somebody reads who sends a second signal as soon as it says that the sidecar has stopped.
type impatient struct{ signals chan os.Signal }

func (i *impatient) Write(p []byte) (int, error) {
	if bytes.Contains(p, []byte(`"msg":"stopped"`)) {
		i.signals <- syscall.SIGTERM
	}
	return len(p), nil
}

func TestASecondSignalAfterACleanStopIsNoError(t *testing.T) {
	doc, err := config.Parse("test.yaml", []byte("listen: { proxy: 127.0.0.1:0, admin: 127.0.0.1:0, probes: 127.0.0.1:0 }\ndlq: { dir: "+t.TempDir()+
		" }\nadapters: { sales: { upstream: http://127.0.0.1:1 } }\n"))
	if err != nil {
		t.Fatal(err)
	}
	logs := &impatient{make(chan os.Signal, 4)}
	p, err := start(doc, logs)
	if err != nil {
		t.Fatal(err)
	}
	if err := new(app).drain(p, logs.signals); err != nil {
		t.Errorf("%v", err)
	}
}
