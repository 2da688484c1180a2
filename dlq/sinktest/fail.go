package sinktest

import (
	"context"
	"testing"
	"time"

	"github.com/fsm-integrations/sidecar/dlq"
)

func testEndedContext(t *testing.T, s Subject) {
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	list := letters(3)
	if err := s.Sink.Send(ended, list); err == nil {
		t.Fatal("no error")
	}
	sendStubbornly(t, s, list)
	compare(t, s.Read(t), list)
}

func testContextWithoutServer(t *testing.T, s Subject) {
	list := letters(20)
	mustSend(t, s, list[:10]...) // so that there are connections
	s.Stop(t)
	for range 2 {
		short, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		start := time.Now()
		err := s.Sink.Send(short, list[10:])
		cancel()
		if took := time.Since(start); err == nil || took > 3*time.Second {
			t.Errorf("after %s: %v; want an error soon after 300 ms", took, err)
		} else {
			t.Logf("after %s: %v", took.Round(time.Millisecond), err)
		}
	}
	s.Start(t)
	sendStubbornly(t, s, list[10:])
	compare(t, s.Read(t), list)
}

func testComesBack(t *testing.T, s Subject) {
	list := letters(200)
	mustSend(t, s, list[:100]...)
	s.Stop(t)
	short, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	err := s.Sink.Send(short, list[100:])
	if err == nil {
		t.Fatal("acknowledged by a server that is not there")
	}
	t.Log(err)
	s.Start(t)
	start := time.Now()
	sendStubbornly(t, s, list[100:])
	t.Logf("%d ms after the server was back", time.Since(start).Milliseconds())
	compare(t, s.Read(t), list)
}

func testMidStream(t *testing.T, s Subject) {
	list := letters(5000)
	half, done := make(chan struct{}), make(chan struct{})
	failures, failure := 0, error(nil)
	go func() {
		defer close(done)
		for i := 0; i < len(list) && failure == nil; i += 50 {
			if i == len(list)/2 {
				close(half)
			}
			more := 0
			more, failure = untilSent(t.Context(), s, list[i:i+50])
			failures += more
		}
	}()
	select {
	case <-half:
		s.Stop(t)
		s.Start(t)
	case <-done:
	}
	<-done
	if failure != nil {
		t.Fatal(failure)
	}
	duplicates := compare(t, s.Read(t), list)
	t.Logf("%d letters, %d Sends failed, %d letters arrived again", len(list), failures, duplicates)
}

func testClosed(t *testing.T, s Subject) {
	if err := s.Sink.Close(); err != nil {
		t.Fatal(err)
	}
	if err := s.Sink.Send(t.Context(), []*dlq.Letter{letter("c", 1, nil)}); err == nil {
		t.Fatal("sent after Close")
	}
}
