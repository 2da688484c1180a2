//go:build e2e

package servers

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/fsm-integrations/sidecar/e2e"
)

// smallDisk mounts a tmpfs of the given size at dir until the test ends.
func smallDisk(t *testing.T, dir, size string) {
	t.Helper()
	must(t, os.MkdirAll(dir, 0o700))
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size="+size); err != nil {
		t.Fatalf("mount a tmpfs of %s: %v; this test needs root", size, err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Errorf("unmount %s: %v", dir, err)
		}
	})
}

func TestFullDiskDoesNotStopTheService(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	smallDisk(t, filepath.Join(dir, "dlq"), "512k")
	bad, good := e2e.NewUpstream(t, e2e.Status(500)), e2e.NewUpstream(t, e2e.OK("ok"))
	s := e2e.Start(t, e2e.Setup{Dir: dir, Adapters: e2e.Adapter("sales", bad.URL) + e2e.Adapter("erp", good.URL)})
	body := strings.Repeat("letter ", 3000)
	told := map[string]bool{}
	refused := 0
	for n := 0; n < 200 && refused < 20; n++ {
		a := s.Post(t, "/sales/orders", body, fmt.Sprint("X-Idempotency-Key: key-", n))
		a.WantStatus(t, 500)
		switch {
		case a.LetterID() != "":
			told[a.LetterID()] = true
		case a.Header.Get("X-Dead-Letter") == "unavailable":
			refused++
		default:
			t.Fatalf("neither X-Dead-Letter-ID nor X-Dead-Letter: unavailable on a final failure: %v", a.Header)
		}
		s.Post(t, "/erp/orders", "{}", fmt.Sprint("X-Idempotency-Key: key-", n)).WantStatus(t, 200) // store: fail_open
		s.Get(t, "/erp/orders").WantStatus(t, 200)
	}
	if len(told) == 0 || refused < 20 {
		t.Fatalf("%d letters were kept and %d refused on a disk of 512 KiB", len(told), refused)
	}
	s.Get(t, "http://"+s.Probes+"/readyz").WantStatus(t, 200)
	wantLetters(t, s, told)
	s.Kill9()
	s.Restart() // on the disk that is still full
	wantLetters(t, s, told)
	s.Get(t, "/erp/orders").WantStatus(t, 200)
	s.Term()
	if code := s.Wait(10e9); code != 0 {
		t.Errorf("exit code %d on a full disk, want 0", code)
	}
}

func wantLetters(t *testing.T, s *e2e.Sidecar, told map[string]bool) {
	t.Helper()
	found := map[string]bool{}
	for _, id := range s.Letters(t, "--limit", "1000") {
		found[id] = true
	}
	for id := range told {
		if !found[id] {
			t.Errorf("letter %s, of which the application was told, is gone", id)
		}
	}
}

// With store: fail_closed, a key that cannot be claimed is not called for, and one whose outcome could not be stored
// must not act again.
func TestFailClosedStoreOnAFullDiskActsOncePerKey(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	smallDisk(t, filepath.Join(dir, "dlq"), "512k")
	up := e2e.NewUpstream(t, e2e.OK(strings.Repeat("answer ", 3000)))
	s := e2e.Start(t, e2e.Setup{Dir: dir, Adapters: e2e.Adapter("sales", up.URL, "idempotency: { store: fail_closed }")})
	post := func(n int) e2e.Answer {
		return s.Post(t, "/sales/orders", "{}", fmt.Sprint("X-Idempotency-Key: key-", n), "X-Request-Timeout: 300ms")
	}
	done, refused := []int{}, 0
	for n := 0; n < 5000 && refused < 5; n++ {
		switch a := post(n); {
		case a.Status == 200:
			done = append(done, n)
		case a.Kind() == "idempotency-store-unavailable":
			refused++
		default:
			t.Fatalf("status %d %.300q, want 200 or idempotency-store-unavailable", a.Status, a.Body)
		}
	}
	if refused == 0 {
		t.Fatalf("the store never failed on a disk of 512 KiB")
	}
	up.WantCount(t, len(done)) // what was refused was not sent
	for _, n := range done[max(0, len(done)-10):] {
		if a := post(n); a.Status == 200 && a.Header.Get("Idempotency-Replayed") != "true" {
			t.Errorf("key-%d was answered 200 anew", n)
		}
	}
	up.WantCount(t, len(done))
	s.Get(t, "/sales/orders").WantStatus(t, 200)
}
