package main

import (
	"fmt"
	"strings"
)

// bodySize is the body of an order of a few lines, which the specification's systems exchange.
const bodySize = 1 << 10

// workload is one kind of call, the same bytes for every target: the sidecar takes /bench/ as the adapter's name and
// removes it, the others pass it on, and the upstream does not look at it.
type workload struct {
	name   string
	method string
	body   string
	status int
	answer string // body of the expected answer
	keyed  bool   // every call carries a key of its own, see key.go
}

func workloads() []workload {
	return []workload{
		{name: "GET", method: "GET", status: 200, answer: jsonOf(bodySize)},
		{name: "POST", method: "POST", body: jsonOf(bodySize), status: 201, answer: acceptedBody},
		{name: namePostKey, method: "POST", body: jsonOf(bodySize), status: 201, answer: acceptedBody, keyed: true},
	}
}

// namePostKey is the workload whose key the sidecar must remember: a POST without one gets a fresh key, which nobody
// else knows and nothing stores.
const namePostKey = "POST-key"

const acceptedBody = `{"status":"accepted"}`

// jsonOf is a valid JSON object of exactly size bytes.
func jsonOf(size int) string {
	const before, after = `{"note":"`, `"}`
	return before + strings.Repeat("x", size-len(before)-len(after)) + after
}

// request is the call as it goes over the wire to addr. It has the fields an ordinary HTTP client library sends.
func (w workload) request(addr, path string) []byte {
	var b strings.Builder
	fmt.Fprintf(&b, "%s /bench/%s HTTP/1.1\r\nHost: %s\r\nUser-Agent: bench\r\nAccept: application/json\r\n", w.method, path, addr)
	if w.body != "" {
		fmt.Fprintf(&b, "Content-Type: application/json\r\nContent-Length: %d\r\n", len(w.body))
	}
	if w.keyed {
		b.WriteString(keyField + ": " + keyPrefix + strings.Repeat("0", keyDigits) + "\r\n")
	}
	b.WriteString("\r\n" + w.body)
	return []byte(b.String())
}
