package vault

import (
	"fmt"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestAVaultThatHangsUnderAFullHouseIsNotAskedByThoseWhoQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		r := open(t, f, nil)
		r.want("a", "canary-1") // there is a token
		f.set(func() { f.trouble = "hang" })
		var all sync.WaitGroup
		for tenant := range 200 {
			all.Go(func() { r.want(fmt.Sprint("tenants/", tenant), "error: Vault") })
		}
		all.Wait()
		time.Sleep(30 * time.Second)
		if n := f.count("read"); n > 1+fetchesAtOnce+10 {
			t.Errorf("%d reads: those who queued behind %d that hung asked too", n, fetchesAtOnce)
		}
	})
}

func TestManyFailuresAtOnceAreOneToTheGate(t *testing.T) {
	g := gate{probe: time.Second}
	now := time.Now()
	for range fetchesAtOnce {
		g.heard(&Failure{Unreachable, "down"}, now)
	}
	if why, _ := g.closed(now.Add(2 * firstPause)); why != nil {
		t.Errorf("after the first outage the gate is closed for more than %s", 2*firstPause)
	}
	if why, _ := g.closed(now.Add(2 * firstPause)); why == nil {
		t.Error("the gate lets a second one through while one finds out")
	}
}

func TestWhoMayNotLogInAnyMoreUsesNothingBeyondItsTTL(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		r := open(t, f, nil)
		r.want("a", "canary-1")
		f.set(func() { f.noLogin = true; clear(f.tokens) })
		for end := time.Now().Add(5*time.Minute + time.Second); time.Now().Before(end); time.Sleep(time.Second) {
			r.want("other", "error: ")
		}
		for range 20 {
			r.want("a", "error: ")
			time.Sleep(100 * time.Millisecond)
		}
	})
}

// net/http quotes what it cannot read as HTTP in its error.
func TestWhatAStrangerAnswersIsNotRepeated(t *testing.T) {
	for answer, want := range map[string]string{
		"canary-1 says hello":                                                 "what answers there is no Vault",
		"HTTP/1.1 200 OK\r\nContent-Length: canary-1":                         "net/http: HTTP/1.x transport connection broken: bad Content-Length",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: canary-1":                      "net/http: HTTP/1.x transport connection broken: unsupported transfer encoding",
		"HTTP/1.1 302 Found\r\nLocation: ://%zzcanary-1\r\nContent-Length: 0": "failed to parse Location header",
	} {
		socket, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		var stranger sync.WaitGroup
		stranger.Go(func() {
			for {
				c, err := socket.Accept()
				if err != nil {
					return
				}
				_, _ = c.Read(make([]byte, 1024))
				_, _ = c.Write([]byte(answer + "\r\n\r\n"))
				_ = c.Close()
			}
		})
		r := open(t, nil, func(c *Config) { c.Address, c.transport = "http://"+socket.Addr().String(), nil })
		r.want("a", "error: Vault cannot be reached: "+want)
		_ = r.Close()
		_ = socket.Close()
		stranger.Wait()
	}
}
