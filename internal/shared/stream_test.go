package shared

import (
	"fmt"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
)

// openStream returns a stream that is closed with the test.
func openStream(t *testing.T, c *Client, name string) *Stream {
	t.Helper()
	s := c.Stream(name, time.Second)
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func TestAStreamKeepsTheOrderOfItsEntries(t *testing.T) {
	s := openStream(t, open(t, miniredis.RunT(t), time.Second), "letters")
	if last, err := s.Last(t.Context()); last != "" || err != nil {
		t.Fatalf("the last of nothing is %q, %v", last, err)
	}
	for i := range 3 {
		if err := s.Add(t.Context(), [][]any{{"n", fmt.Sprint(2 * i)}, {"n", fmt.Sprint(2*i + 1), "m", []byte("x\xff")}}); err != nil {
			t.Fatal(err)
		}
	}
	all, err := s.Read(t.Context(), "-", "+", 10)
	if err != nil || len(all) != 6 {
		t.Fatalf("%v, %v", all, err)
	}
	for i, e := range all {
		if e.Fields["n"] != fmt.Sprint(i) {
			t.Errorf("entry %d is %v", i, e)
		}
	}
	if all[1].Fields["m"] != "x\xff" {
		t.Errorf("%q", all[1].Fields)
	}
	rest, err := s.Read(t.Context(), "("+all[1].ID, all[4].ID, 2)
	if err != nil || len(rest) != 2 || rest[0].ID != all[2].ID || rest[1].ID != all[3].ID {
		t.Errorf("%v, %v", rest, err)
	}
	if last, err := s.Last(t.Context()); last != all[5].ID || err != nil {
		t.Errorf("the last is %q, %v", last, err)
	}
}

func TestAStreamThatFailsDoesNotSpeakForTheClient(t *testing.T) {
	server := miniredis.RunT(t)
	c := open(t, server, time.Second)
	if err := server.Set("letters", "no stream"); err != nil {
		t.Fatal(err)
	}
	s := openStream(t, c, "letters")
	for range 2 * failuresToDoubt {
		if err := s.Add(t.Context(), [][]any{{"n", "1"}}); err == nil {
			t.Fatal("no error")
		}
		if _, err := s.Read(t.Context(), "-", "+", 1); err == nil {
			t.Fatal("no error")
		}
	}
	if !c.Up() {
		t.Error("the gate closed")
	}
}
