package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/fsm-integrations/sidecar/internal/admin"
)

// The exit codes of every command.
const (
	exitDone        = 0
	exitNotWell     = 1
	exitUsage       = 2
	exitUnreachable = 3
)

// app is the world as the commands see it.
type app struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	getenv         func(string) string
	now            func() time.Time
}

// Main runs the command that args name, without the program's own name, and returns its exit code.
func Main(args []string, stdin io.Reader, stdout, stderr io.Writer, getenv func(string) string) int {
	a := &app{stdin: stdin, stdout: stdout, stderr: stderr, getenv: getenv, now: time.Now}
	root := newRootCommand(a)
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	return a.report(root.ExecuteContext(context.Background()))
}

// errNotWell ends a command with exit code 1 that has already said why on stdout.
var errNotWell = errors.New("not well")

// usageError is a command line that cannot be run.
type usageError struct {
	command string // whose --help explains it
	message string
}

func (e *usageError) Error() string { return e.message }

func usagef(cmd *cobra.Command, format string, args ...any) error {
	return &usageError{cmd.CommandPath(), fmt.Sprintf(format, args...)}
}

// report says on stderr what went wrong and returns the exit code.
func (a *app) report(err error) int {
	if err == nil {
		return exitDone
	}
	if errors.Is(err, errNotWell) {
		return exitNotWell
	}
	if usage, ok := errors.AsType[*usageError](err); ok {
		fmt.Fprintf(a.stderr, "sidecar: %s; see %s --help\n", usage.message, usage.command)
		return exitUsage
	}
	fmt.Fprintf(a.stderr, "sidecar: %s\n", strings.TrimSpace(err.Error()))
	if _, ok := errors.AsType[*admin.Unreachable](err); ok {
		return exitUnreachable
	}
	return exitNotWell
}

// printf writes to stdout.
func (a *app) printf(format string, args ...any) { fmt.Fprintf(a.stdout, format, args...) }

// json writes v to stdout, indented.
func (a *app) json(v any) error {
	e := json.NewEncoder(a.stdout)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

// terminal reports whether a person looks at w.
func terminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}
