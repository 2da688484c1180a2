package accepted

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"testing"
)

// The variable makes the test binary run as one of the children below.
const childVariable = "ACCEPTED_TEST_CHILD"

func child(t *testing.T, name, dir string) *exec.Cmd {
	t.Helper()
	path, err := os.Executable()
	must(t, err)
	cmd := exec.CommandContext(t.Context(), path, dir)
	cmd.Env = append(os.Environ(), childVariable+"="+name)
	cmd.Stderr = os.Stderr
	return cmd
}

func fatal(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

// workUntilKilled accepts and delivers, and prints what it has done once that has returned: a (accepted), s (started),
// f (finished), p (put back), and the id.
func workUntilKilled(dir string) {
	s, err := Open(Config{Dir: dir})
	if err != nil {
		fatal(err)
	}
	for range 8 {
		go func() {
			for {
				x := exchange("", strings.Repeat("x", 1000))
				if _, err := s.Accept(context.Background(), x); err != nil {
					fatal(err)
				}
				fmt.Println("a", x.ID) // one write(2) each
			}
		}()
	}
	for n := 0; ; n++ {
		c, _ := s.Next(1)
		if c == nil {
			<-s.Ready()
			continue
		}
		x, err := s.Start(context.Background(), c)
		if err != nil {
			fatal(err)
		}
		fmt.Println("s", x.ID)
		if n%3 == 0 {
			err = s.PutBack(context.Background(), c, Put{Attempts: 1})
			fmt.Println("p", x.ID)
		} else {
			err = s.Finish(context.Background(), c, End{State: Delivered, Result: Result{Status: 201}})
			fmt.Println("f", x.ID)
		}
		if err != nil {
			fatal(err)
		}
	}
}

func TestNoAcceptedExchangeIsLostToAKillAndNoneIsStartedTwiceUnnoticed(t *testing.T) {
	dir := t.TempDir()
	last := map[string]string{} // id → the last thing that was said of it
	back := map[string]int{}    // id → how often it was put back, as was said
	for round := range 5 {
		cmd := child(t, "work", dir)
		out, err := cmd.StdoutPipe()
		must(t, err)
		must(t, cmd.Start())
		lines := bufio.NewScanner(out)
		for n := 0; lines.Scan(); n++ {
			what, id, _ := strings.Cut(lines.Text(), " ")
			if last[id] = what; what == "p" {
				back[id]++
			}
			if n == 300+round*37 { // in the middle of its work; what it said before it died is read on
				must(t, cmd.Process.Kill())
			}
		}
		if err := cmd.Wait(); err == nil {
			t.Fatal("the child ended by itself")
		}
		s := openStore(t, Config{Dir: dir})
		for id, what := range last {
			x, err := s.Get(id)
			if err != nil {
				t.Fatalf("%s, last %s: %v", id, what, err)
			}
			if what == "f" && x.State != Delivered {
				t.Errorf("%s is %s, last %s", id, x.State, what)
			}
		}
		doubts := 0
		for c, _ := s.Next(1); c != nil; c, _ = s.Next(1) {
			x, err := s.Start(t.Context(), c)
			must(t, err)
			if x.Doubtful {
				doubts++
			} else if last[x.ID] == "s" && x.Attempts == back[x.ID] {
				t.Errorf("%s was started and then killed, and nobody doubts it", x.ID)
			}
			must(t, s.Finish(t.Context(), c, End{State: Delivered}))
		}
		if doubts > 1 {
			t.Errorf("%d are doubtful, one was under way", doubts)
		}
		must(t, s.Close())
		for id := range last {
			last[id] = "f"
		}
	}
	t.Logf("%d accepted over 5 kills", len(last))
}

// acceptUntilLimited fills the store against a limit of the file's size, as against a full disk, then takes the limit
// away, and prints what was accepted.
func acceptUntilLimited(dir string) {
	signal.Ignore(syscall.SIGXFSZ) // else the kernel ends the process instead of failing the write
	s, err := Open(Config{Dir: dir})
	if err != nil {
		fatal(err)
	}
	var before syscall.Rlimit
	err = errors.Join(syscall.Getrlimit(syscall.RLIMIT_FSIZE, &before),
		syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: 3 << 20, Max: before.Max}))
	if err != nil {
		fatal(err)
	}
	var kept []string
	var failed error
	for failed == nil && len(kept) < 5000 {
		x := exchange("", strings.Repeat("x", 2000))
		if _, failed = s.Accept(context.Background(), x); failed == nil {
			kept = append(kept, x.ID)
		}
	}
	if failed == nil || len(kept) == 0 || s.Stats().Failing == "" {
		fatal(fmt.Errorf("%d accepted, the last Accept said %v", len(kept), failed))
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &before); err != nil {
		fatal(err)
	}
	x := exchange("", "more")
	if _, err := s.Accept(context.Background(), x); err != nil {
		fatal(fmt.Errorf("after the disk recovered: %w", err))
	}
	for _, id := range append(kept, x.ID) {
		fmt.Println(id)
	}
}

func TestAFullDiskFailsTheAcceptAndNothingElse(t *testing.T) {
	dir := t.TempDir()
	out, err := child(t, "limit", dir).Output()
	if err != nil {
		t.Fatalf("the child: %v", err)
	}
	s := openStore(t, Config{Dir: dir})
	ids := strings.Fields(string(out))
	for _, id := range ids {
		if _, err := s.Get(id); err != nil {
			t.Fatalf("accepted %s: %v", id, err)
		}
	}
	if waiting := s.Stats().ByAdapter["erp"].Waiting; waiting != len(ids) {
		t.Errorf("%d wait, %d were accepted", waiting, len(ids))
	}
}
