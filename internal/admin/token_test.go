package admin

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"github.com/fsm-integrations/sidecar/internal/secret"
	"github.com/fsm-integrations/sidecar/proxy"
)

const right = "canary-admin-token-31337"

// locked is a door that wants the token that token returns.
func (w *world) locked(token func() (string, error)) http.Handler {
	return New(Config{Controller: w, Letters: w, Log: slog.New(slog.NewTextHandler(&w.log, nil)),
		Token: func(context.Context) (secret.Value, error) {
			text, err := token()
			return secret.NewValue([]byte(text)), err
		}})
}

func always(text string) func() (string, error) { return func() (string, error) { return text, nil } }

func TestADoorWithATokenOpensForItAlone(t *testing.T) {
	for name, c := range map[string]struct {
		fields []string
		want   int
	}{
		"the token":             {[]string{"Bearer " + right}, 200},
		"in other letters":      {[]string{"bEARER  " + right + " "}, 200},
		"none":                  {nil, 401},
		"an empty one":          {[]string{"Bearer "}, 401},
		"no scheme":             {[]string{right}, 401},
		"another scheme":        {[]string{"Basic " + right}, 401},
		"a beginning":           {[]string{"Bearer " + right[:5]}, 401},
		"more than the token":   {[]string{"Bearer " + right + "x"}, 401},
		"the token, and others": {[]string{"Bearer " + right, "Bearer x"}, 401},
	} {
		for _, target := range []string{"GET /api/v1/status", "GET /api/v1/letters/a", "POST /api/v1/letters/a/replay", "GET /nowhere"} {
			world := newWorld()
			method, path, _ := strings.Cut(target, " ")
			w := ask(world.locked(always(right)), method, path, "{}", func(r *http.Request) { r.Header["Authorization"] = c.fields })
			want := c.want
			if path == "/nowhere" && want == 200 {
				want = 404
			}
			if w.Code != want || len(world.replayed) > 0 && want != 200 {
				t.Errorf("%s, %s: %d, want %d", name, target, w.Code, want)
			}
			if want == 401 && (problemOf(t, w).Title != "Unauthorized" || !strings.HasPrefix(w.Header().Get("WWW-Authenticate"), "Bearer ") ||
				strings.Count(world.log.String(), `action="sign in" object="" outcome=refused`) != 1) {
				t.Errorf("%s, %s: %v, log %s", name, target, w.Header(), world.log.String())
			}
			if strings.Contains(world.log.String()+w.Body.String(), "canary") {
				t.Errorf("%s, %s: the token is told", name, target)
			}
		}
	}
	if w := ask(newWorld().locked(always(right)), "GET", "/", ""); w.Code != 200 {
		t.Errorf("the list of what there is holds nothing secret: %d", w.Code)
	}
}

func TestATokenThatCannotBeReadOpensNothing(t *testing.T) {
	for name, token := range map[string]func() (string, error){"absent": func() (string, error) { return "", errors.New("file:/run/token cannot be read") }, "empty": always("")} {
		for _, field := range []string{"", "Bearer ", "Bearer x"} {
			world := newWorld()
			w := ask(world.locked(token), "POST", "/api/v1/letters/a/replay", "{}", header("Authorization", field))
			if (w.Code != 503 && w.Code != 401) || len(world.replayed) > 0 || strings.Contains(w.Body.String(), "/run") {
				t.Errorf("%s, %q: %d %s", name, field, w.Code, w.Body)
			}
		}
	}
}

// A page that was rebound to this address does not know the token, so whoever does may call the sidecar by any name. A
// page of another site stays out all the same.
func TestWithTheTokenTheSidecarHasAnyName(t *testing.T) {
	for _, c := range []struct {
		host, origin, token string
		want                int
	}{
		{"sidecar.ops.svc:9901", "", right, 200},
		{"sidecar.ops.svc:9901", "", "", 403},
		{"sidecar.ops.svc:9901", "", "wrong", 403},
		{"10.0.0.7:9901", "http://10.0.0.7:9901", right, 200},
		{"sidecar.ops.svc:9901", "http://evil.example", right, 403},
		{"127.0.0.1:9901", "", "wrong", 401},
	} {
		w := ask(newWorld().locked(always(right)), "GET", "/api/v1/status", "", host(c.host), header("Origin", c.origin), header("Authorization", "Bearer "+c.token))
		if w.Code != c.want {
			t.Errorf("%+v: %d", c, w.Code)
		}
	}
}

func TestTheTokenMayChange(t *testing.T) {
	now := "one"
	h := newWorld().locked(func() (string, error) { return now, nil })
	for _, next := range []string{"one", "two"} {
		now = next
		if w := ask(h, "GET", "/api/v1/status", "", header("Authorization", "Bearer "+next)); w.Code != 200 {
			t.Errorf("%s: %d", next, w.Code)
		}
	}
	if w := ask(h, "GET", "/api/v1/status", "", header("Authorization", "Bearer one")); w.Code != 401 {
		t.Errorf("the old one: %d", w.Code)
	}
}

func TestTheClientShowsItsToken(t *testing.T) {
	world := newWorld()
	c := dial(t, world.locked(always(right)))
	refusal, ok := errors.AsType[*Problem](errorOf(c.Status(t.Context())))
	if !ok || refusal.Status != 401 || !strings.Contains(refusal.Error(), "SIDECAR_ADMIN_TOKEN") {
		t.Errorf("without: %v", refusal)
	}
	c.Present(secret.NewValue([]byte(right)))
	if _, err := c.Status(t.Context()); err != nil {
		t.Errorf("with it: %v", err)
	}
}

func errorOf(_ proxy.Status, err error) error { return err }
