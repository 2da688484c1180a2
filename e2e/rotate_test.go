package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// mounted is a folder as the kubelet mounts a Secret: the files are links through ..data, which is swapped whole, and the
// old folder is removed at once.
type mounted struct {
	dir string
	n   int
	t   *testing.T
}

func newMount(t *testing.T, files map[string]string) *mounted {
	m := &mounted{dir: t.TempDir(), t: t}
	m.swap(files)
	for name := range files {
		must(t, os.Symlink(filepath.Join("..data", name), filepath.Join(m.dir, name)))
	}
	return m
}

func (m *mounted) swap(files map[string]string) {
	m.n++
	next := fmt.Sprintf("..2026_%d", m.n)
	must(m.t, os.Mkdir(filepath.Join(m.dir, next), 0o700))
	for name, text := range files {
		must(m.t, os.WriteFile(filepath.Join(m.dir, next, name), []byte(text), 0o600))
	}
	link := filepath.Join(m.dir, "..data_tmp")
	must(m.t, os.Symlink(next, link))
	must(m.t, os.Rename(link, filepath.Join(m.dir, "..data")))
	must(m.t, os.RemoveAll(filepath.Join(m.dir, fmt.Sprintf("..2026_%d", m.n-1))))
}

func TestAMountedSecretIsFollowedUnderLoadWithoutAFailedCall(t *testing.T) {
	t.Parallel()
	up := NewUpstream(t, OK("ok"))
	version := func(n int) map[string]string {
		return map[string]string{"key": fmt.Sprintf("canary-key-%d", n), "sign": fmt.Sprintf("canary-sign-%d", n)}
	}
	m := newMount(t, version(1))
	s := Start(t, Setup{Adapters: Adapter("sales", up.URL, "auth: { header: { name: X-API-Key, value: file:"+m.dir+"/key } }",
		"sign: { secret: file:"+m.dir+"/sign, content: \"{method}\" }")})
	s.Get(t, "/sales/a").WantStatus(t, 200)
	l := startLoad(t, s, 8)
	const last = 4
	followed := make([]time.Time, last+1)
	for n := 2; n <= last; n++ {
		m.swap(version(n))
		Eventually(t, "the new secret to be used", func() bool { return up.Last(t).Header.Get("X-API-Key") == version(n)["key"] })
		Until(time.Now().Add(1200 * time.Millisecond)) // both files have been read again
		followed[n] = time.Now()
	}
	calls := l.stop()
	if calls == 0 || up.Count() != int(calls)+1 {
		t.Errorf("%d calls of the load, %d at the provider", calls, up.Count())
	}
	for _, h := range up.Hits() {
		key, sign := h.Header.Get("X-API-Key"), h.Header.Get("X-Signature")
		least := 1
		for n := 2; n <= last; n++ {
			if h.At.After(followed[n]) {
				least = n
			}
		}
		var known, signed bool
		for n := least; n <= last; n++ {
			known = known || key == version(n)["key"]
			signed = signed || sign == fmt.Sprintf("%x", mac(version(n)["sign"], h.Method))
		}
		if !known || !signed {
			t.Fatalf("request %d was sent with the key %q (signature known: %v) after version %d was in force", h.N, key, signed, least)
		}
	}
	for n := 1; n <= last; n++ {
		wantHidden(t, "the log", s.Log.String(), version(n))
	}
}
