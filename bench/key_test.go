package main

import (
	"bytes"
	"testing"
)

func TestKeysOfARunAreUnique(t *testing.T) {
	request := workloads()[2].request("x", "call")
	size := len(request)
	seen := map[string]bool{}
	for _, place := range [][2]int{{1, 0}, {1, 1}, {2, 0}, {2, 1}, {1 << 10, 1 << 10}} {
		k := keyIn(request, place[0], place[1])
		for range 300 {
			k.renew()
			if seen[string(k.digits)] {
				t.Fatalf("slice %d, connection %d: %s twice", place[0], place[1], k.digits)
			}
			seen[string(k.digits)] = true
		}
	}
	if len(request) != size {
		t.Errorf("the request has %d bytes after %d", len(request), size)
	}
}

func TestAKeyIsWrittenIntoItsField(t *testing.T) {
	request := workloads()[2].request("x", "call")
	before := bytes.Clone(request)
	k := keyIn(request, 0xab, 0xcd)
	k.renew()
	k.renew()
	want := bytes.Replace(before, []byte(keyPrefix+"0000000000000000"), []byte(keyPrefix+"00ab00cd00000001"), 1)
	if !bytes.Equal(request, want) || bytes.Equal(request, before) {
		t.Fatalf("%s", request)
	}
}

func TestOnlyAKeyedCallHasAKey(t *testing.T) {
	for _, w := range workloads() {
		k := keyIn(w.request("x", "call"), 1, 1)
		if (k != nil) != w.keyed {
			t.Errorf("%s: key %v", w.name, k)
		}
		k.renew()
	}
}

func TestRenewingAKeyAllocatesNothing(t *testing.T) {
	k := keyIn(workloads()[2].request("x", "call"), 1, 1)
	if n := testing.AllocsPerRun(100, k.renew); n != 0 {
		t.Fatalf("%v allocations", n)
	}
}
