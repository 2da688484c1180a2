package vault

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"

	"github.com/fsm-integrations/sidecar/internal/secret"
)

func writer(t *testing.T, f *fake, before func(r *http.Request)) *Writer {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		before(r)
		f.answer(w, r, f.trouble)
	}))
	t.Cleanup(server.Close)
	w, err := NewWriter(WriterConfig{Address: server.URL, Mount: "secret", Token: secret.NewValue([]byte("canary-operator"))})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.client.CloneConfig().HttpClient.CloseIdleConnections)
	f.tokens["canary-operator"] = f.tokens["forever"]
	return w
}

func TestRotateReplacesOneField(t *testing.T) {
	f := newFake()
	f.secrets["a"], f.version = map[string]any{"key": "canary-1", "user": "me", "n": "5"}, 3
	w := writer(t, f, func(*http.Request) {})
	done, err := w.Rotate(t.Context(), "a", "key", secret.NewValue([]byte("canary-2")))
	if err != nil || done.Version != 4 || done.Same {
		t.Errorf("%+v, %v", done, err)
	}
	if want := (map[string]any{"key": "canary-2", "user": "me", "n": "5"}); !reflect.DeepEqual(f.secrets["a"], want) {
		t.Errorf("the secret is %v", f.secrets["a"])
	}
	if done, err = w.Rotate(t.Context(), "a", "key", secret.NewValue([]byte("canary-2"))); err != nil || !done.Same || done.Version != 4 {
		t.Errorf("the same once more: %+v, %v", done, err)
	}
	f.version = 0
	if done, err = w.Rotate(t.Context(), "new/one", "key", secret.NewValue([]byte("canary-3"))); err != nil || f.secrets["new/one"]["key"] != "canary-3" {
		t.Errorf("a new one: %+v, %v", done, err)
	}
}

func TestRotateChangesNothingWhenItCannot(t *testing.T) {
	for name, c := range map[string]struct {
		arrange func(*fake)
		meanwhile,
		want string
	}{
		"denied": {func(f *fake) { f.denied["a"] = true }, "", "your token needs read, create and update there"},
		"sealed": {func(f *fake) { f.trouble = "sealed" }, "", "Vault is sealed"},
		"raced":  {func(*fake) {}, "PUT", "somebody else has changed secret/data/a meanwhile"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake()
			c.arrange(f)
			w := writer(t, f, func(r *http.Request) {
				if r.Method == c.meanwhile {
					f.set(func() { f.version = 9 })
				}
			})
			_, err := w.Rotate(t.Context(), "a", "key", secret.NewValue([]byte("canary-2")))
			if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "canary") {
				t.Errorf("error %v, want %q", err, c.want)
			}
			if f.secrets["a"]["key"] != "canary-1" {
				t.Error("the secret was changed")
			}
		})
	}
	w, err := NewWriter(WriterConfig{Address: "http://127.0.0.1:1", Mount: "secret"})
	if err != nil {
		t.Fatal(err)
	}
	_, err = w.Rotate(t.Context(), "a", "key", secret.NewValue([]byte("canary-2")))
	if f, ok := errors.AsType[*Failure](err); !ok || f.Reason != Unreachable || !strings.Contains(f.Detail, "connection refused") {
		t.Errorf("error %v", err)
	}
}
