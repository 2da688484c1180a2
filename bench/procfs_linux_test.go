package main

import (
	"os"
	"os/exec"
	"slices"
	"testing"
	"time"
)

func TestParseStatus(t *testing.T) {
	const text = "Name:\tnginx: worker\nVmPeak:\t   99 kB\nVmHWM:\t   13312 kB\nVmRSS:\t    8192 kB\nThreads:\t1\n"
	m, err := parseStatus([]byte(text))
	if err != nil || m.resident != 8192<<10 || m.peak != 13312<<10 {
		t.Fatalf("%+v, %v", m, err)
	}
	for _, bad := range []string{
		"", // a zombie has no memory
		"VmHWM:\t 1 kB\n",
		"VmRSS:\t 1 kB\n",
		"VmHWM:\t x kB\nVmRSS:\t 1 kB\n",
		"VmHWM:\t 1 MB\nVmRSS:\t 1 kB\n",
	} {
		if _, err := parseStatus([]byte(bad)); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}

func TestParsePIDs(t *testing.T) {
	got, err := parsePIDs("12 345 \n")
	if err != nil || !slices.Equal(got, []int{12, 345}) {
		t.Fatalf("%v, %v", got, err)
	}
	for _, bad := range []string{"12 x", "-1", "0"} {
		if _, err := parsePIDs(bad); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
	if got, err := parsePIDs(""); err != nil || len(got) != 0 {
		t.Errorf("no children: %v, %v", got, err)
	}
}

func TestCPUClockOfThisProcessAdvancesWithItsWork(t *testing.T) {
	before, err := cpuOf(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	const work = 30 * time.Millisecond
	for begin := before; begin-before < work; {
		if begin, err = cpuOf(os.Getpid()); err != nil {
			t.Fatal(err)
		}
	}
	if after, err := cpuOf(os.Getpid()); err != nil || after-before < work {
		t.Fatalf("%v after %v, %v", after, before, err)
	}
}

func TestFamilyFindsChildren(t *testing.T) {
	child := exec.Command("cat")
	input, err := child.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	pids, err := family(os.Getpid())
	if err != nil || pids[0] != os.Getpid() || !slices.Contains(pids, child.Process.Pid) {
		t.Errorf("family of %d with child %d: %v, %v", os.Getpid(), child.Process.Pid, pids, err)
	}
	m, err := memoryOf(child.Process.Pid)
	if err != nil || m.resident <= 0 || m.peak < m.resident {
		t.Errorf("memory of the child: %+v, %v", m, err)
	}
	_ = input.Close()
	if err := child.Wait(); err != nil {
		t.Fatal(err)
	}
	if _, err := cpuOf(child.Process.Pid); err == nil {
		t.Error("an ended process has a CPU clock")
	}
}
