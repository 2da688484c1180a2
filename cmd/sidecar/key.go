package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"unicode/utf8"

	"golang.org/x/term"

	"github.com/fsm-integrations/sidecar/internal/secret"
)

// longestKey is the most that is read from stdin, in bytes.
const longestKey = 64 << 10

// readKey reads a new key from stdin, without its last line end. At a terminal it is asked for twice and not shown.
func (a *app) readKey() (secret.Value, error) {
	f, ok := a.stdin.(*os.File)
	if ok && term.IsTerminal(int(f.Fd())) {
		return a.askKey(int(f.Fd()))
	}
	b, err := io.ReadAll(io.LimitReader(a.stdin, longestKey+1))
	if err != nil {
		return secret.Value{}, fmt.Errorf("the new key cannot be read from stdin: %w", err)
	}
	return checkKey(b)
}

func (a *app) askKey(terminal int) (secret.Value, error) {
	defer a.echoAfterInterrupt(terminal)()
	ask := func(prompt string) ([]byte, error) {
		fmt.Fprint(a.stderr, prompt)
		defer fmt.Fprintln(a.stderr)
		return term.ReadPassword(terminal)
	}
	first, err := ask("New key: ")
	if err != nil {
		return secret.Value{}, fmt.Errorf("the new key cannot be read: %w", err)
	}
	second, err := ask("Once more: ")
	switch {
	case err != nil:
		return secret.Value{}, fmt.Errorf("the new key cannot be read: %w", err)
	case !bytes.Equal(first, second):
		return secret.Value{}, errors.New("the two keys differ; nothing was written")
	}
	return checkKey(first)
}

// echoAfterInterrupt gives the terminal back as it was when somebody presses ^C while it shows nothing.
func (a *app) echoAfterInterrupt(terminal int) (done func()) {
	before, err := term.GetState(terminal)
	if err != nil {
		return func() {}
	}
	interrupts := make(chan os.Signal, 1)
	signal.Notify(interrupts, os.Interrupt)
	go func() {
		if _, pressed := <-interrupts; pressed {
			_ = term.Restore(terminal, before)
			fmt.Fprintln(a.stderr)
			os.Exit(exitNotWell)
		}
	}()
	return func() {
		signal.Stop(interrupts)
		close(interrupts)
	}
}

func checkKey(b []byte) (secret.Value, error) {
	b = bytes.TrimSuffix(bytes.TrimSuffix(b, []byte("\n")), []byte("\r"))
	switch {
	case len(b) == 0:
		return secret.Value{}, errors.New("stdin holds no key; nothing was written")
	case len(b) > longestKey:
		return secret.Value{}, errors.New("stdin holds more than a key; nothing was written")
	case !utf8.Valid(b) || bytes.IndexByte(b, 0) >= 0:
		return secret.Value{}, errors.New("the key is not text, which is all that Vault keeps; encode it, in base64 for example")
	}
	return secret.NewValue(b), nil
}

// vaultToken is the token of the person at the keyboard, where Vault's own command line keeps it.
func (a *app) vaultToken() (secret.Value, error) {
	if token := a.getenv("VAULT_TOKEN"); token != "" {
		return secret.NewValue([]byte(token)), nil
	}
	if home := a.getenv("HOME"); home != "" {
		if b, err := os.ReadFile(filepath.Join(home, ".vault-token")); err == nil && len(b) > 0 {
			return secret.NewValue([]byte(strings.TrimSpace(string(b)))), nil
		}
	}
	return secret.Value{}, errors.New("log in to Vault first: neither VAULT_TOKEN nor ~/.vault-token holds a token")
}
