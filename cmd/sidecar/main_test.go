package main

import (
	"errors"
	"flag"
	"io"
	"os"
	"os/exec"
	"strconv"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

var update = flag.Bool("update", false, "rewrite the golden files in testdata/script")

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"sidecar": main})
}

// TestScripts runs the commands against a sidecar of memory (fake_test.go). Beside the usual commands a script has
//
//	fakesidecar           start one from status.json, letters.json and replies.json; told twice, start afresh
//	exits N COMMAND...    run a command that must exit with N
//	calls                 print what the fake was told to change
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		UpdateScripts:       *update,
		RequireExplicitExec: true,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"fakesidecar": startFake, "exits": exits, "calls": printCalls,
		},
		Setup: func(e *testscript.Env) error {
			e.Values[fakeKey{}] = new(fake)
			e.Setenv("SIDECAR_ADMIN", "127.0.0.1:1") // nothing listens on it: no script may find a real sidecar
			e.Setenv("SIDECAR_PROBES", "127.0.0.1:1")
			e.Setenv("GORACE", "atexit_sleep_ms=0") // else every command of a -race run takes a second to end
			return nil
		},
	})
}

func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits N COMMAND...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	code := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		exit, ok := errors.AsType[*exec.ExitError](err)
		if !ok {
			ts.Fatalf("%v", err)
		}
		code = exit.ExitCode()
	}
	if code != want {
		ts.Fatalf("exit code %d, want %d", code, want)
	}
}

func printCalls(ts *testscript.TestScript, _ bool, _ []string) {
	_, _ = io.WriteString(ts.Stdout(), ts.Value(fakeKey{}).(*fake).told())
}

func TestMainTakesItsWorldAsArguments(t *testing.T) {
	code := Main([]string{"version"}, os.Stdin, io.Discard, io.Discard, func(string) string { return "" })
	if code != exitDone {
		t.Errorf("exit code %d", code)
	}
}
