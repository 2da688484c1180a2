package dlq

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"go.uber.org/goleak"
)

// The variable makes the test binary run as one of the children below.
const childVariable = "DLQ_TEST_CHILD"

func TestMain(m *testing.M) {
	switch os.Getenv(childVariable) {
	case "write":
		writeUntilKilled(os.Args[1])
	case "limit":
		writeUntilLimited(os.Args[1])
	default:
		// The fake broker of the Kafka library may leave one of its own behind when it is closed in mid-request.
		goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/twmb/franz-go/pkg/kfake.(*Cluster).runControl.func1"))
	}
}

func child(t *testing.T, name, dir string) *exec.Cmd {
	t.Helper()
	path, err := os.Executable()
	must(t, err)
	cmd := exec.CommandContext(t.Context(), path, dir)
	cmd.Env = append(os.Environ(), childVariable+"="+name)
	cmd.Stderr = os.Stderr
	return cmd
}

// writeUntilKilled puts letters from many goroutines and prints an id once Put has returned.
func writeUntilKilled(dir string) {
	s, err := Open(Config{Dir: dir})
	if err != nil {
		fatal(err)
	}
	for range 15 {
		go putAndPrint(s)
	}
	putAndPrint(s)
}

func putAndPrint(s *Spool) {
	for {
		l := letter(strings.Repeat("x", 2000))
		if err := s.Put(context.Background(), l); err != nil {
			fatal(err)
		}
		fmt.Println(l.ID) // one write(2) each
		if l.ID[35] == '0' {
			if err := s.Discard(context.Background(), l.ID, "me"); err != nil {
				fatal(err)
			}
		}
	}
}

func fatal(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

func TestNoAcknowledgedLetterIsLostToAKill(t *testing.T) {
	dir := t.TempDir()
	var acknowledged []string
	for round := range 5 {
		cmd := child(t, "write", dir)
		out, err := cmd.StdoutPipe()
		must(t, err)
		must(t, cmd.Start())
		lines := bufio.NewScanner(out)
		for n := 0; lines.Scan(); n++ {
			acknowledged = append(acknowledged, lines.Text())
			if n == 300+round*37 { // in the middle of its work; what it said before it died is read on
				must(t, cmd.Process.Kill())
			}
		}
		if err := cmd.Wait(); err == nil {
			t.Fatal("the child ended by itself")
		}
		expectAll(t, dir, acknowledged)
	}
	t.Logf("%d letters acknowledged over 5 kills", len(acknowledged))
}

func expectAll(t *testing.T, dir string, ids []string) {
	t.Helper()
	s := openSpool(t, Config{Dir: dir})
	defer s.Close()
	for _, id := range ids {
		if l, err := s.Get(id); err != nil || len(l.OriginalMessage.Body) != 2000 {
			t.Fatalf("acknowledged letter %s: %v", id, err)
		}
	}
	n, stats := 0, s.Stats()
	must(t, s.Each(Filter{}, func(*Letter) bool { n++; return true }))
	if n < len(ids) || stats.ByState[Dead]+stats.ByState[Discarded] != n || stats.Quarantined != 0 {
		t.Fatalf("%d letters there, %d acknowledged, %+v", n, len(ids), stats)
	}
}

func TestAFileCopiedWhileOpenHoldsEveryAcknowledgedLetter(t *testing.T) {
	s := openSpool(t, Config{})
	var want []string
	for i := range 20 {
		l := letter(fmt.Sprint(i))
		put(t, s, l)
		want = append(want, l.ID)
		dir := t.TempDir()
		copyFiles(t, s.config.Dir, dir)
		found := openSpool(t, Config{Dir: dir})
		for _, id := range want {
			if !found.Has(id) {
				t.Fatalf("letter %s is missing after %d", id, i)
			}
		}
		must(t, found.Close())
	}
}

// copyFiles copies what lies in from: the journal first, as what leaves it is in the other file by then.
func copyFiles(t *testing.T, from, to string) {
	t.Helper()
	for _, name := range []string{"letters.journal", "letters.db"} {
		image, err := os.ReadFile(filepath.Join(from, name))
		must(t, err)
		must(t, os.WriteFile(filepath.Join(to, name), image, 0o600))
	}
}

// writeUntilLimited fills the spool against a limit of the file's size, as against a full disk, then takes the limit
// away, and says what held: "ok", or what did not.
func writeUntilLimited(dir string) {
	signal.Ignore(syscall.SIGXFSZ) // else the kernel ends the process instead of failing the write
	s, err := Open(Config{Dir: dir})
	if err != nil {
		fatal(err)
	}
	const limit = 3 << 20
	var before syscall.Rlimit
	err = errors.Join(syscall.Getrlimit(syscall.RLIMIT_FSIZE, &before),
		syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: limit, Max: before.Max}))
	if err != nil {
		fatal(err)
	}
	kept, failed := fillConcurrently(s)
	check := func(when string) {
		for _, id := range kept {
			if _, err := s.Get(id); err != nil {
				fatal(fmt.Errorf("%s: acknowledged letter: %w", when, err))
			}
		}
	}
	check("while the disk is full")
	if failed == nil || len(kept) == 0 || !errors.Is(failed, syscall.EFBIG) && !strings.Contains(failed.Error(), "file too large") {
		fatal(fmt.Errorf("%d kept, the last Put said %v", len(kept), failed))
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &before); err != nil {
		fatal(err)
	}
	more, failed := fillSome(s, 50)
	if failed != nil {
		fatal(fmt.Errorf("after the disk recovered: %w", failed))
	}
	kept = append(kept, more...)
	check("after the disk recovered")
	if n := s.Stats().ByState[Dead]; n != len(kept) {
		fatal(fmt.Errorf("%d letters counted, %d acknowledged", n, len(kept)))
	}
	for _, id := range kept {
		fmt.Println(id)
	}
}

func fillConcurrently(s *Spool) (kept []string, failed error) {
	var mu sync.Mutex
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			ids, err := fillSome(s, 1000)
			mu.Lock()
			defer mu.Unlock()
			kept = append(kept, ids...)
			failed = errors.Join(failed, err)
		})
	}
	wg.Wait()
	return kept, failed
}

func fillSome(s *Spool, n int) (kept []string, failed error) {
	for range n {
		l := letter(strings.Repeat("x", 2000))
		if failed = s.Put(context.Background(), l); failed != nil {
			return kept, failed
		}
		kept = append(kept, l.ID)
	}
	return kept, nil
}

func TestAFullDiskFailsThePutAndNothingElse(t *testing.T) {
	dir := t.TempDir()
	out, err := child(t, "limit", dir).Output()
	if err != nil {
		t.Fatalf("the child: %v", err)
	}
	expectAll(t, dir, strings.Fields(string(out)))
}
