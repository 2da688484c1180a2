package main

import (
	"bytes"
	"fmt"
	"strings"
	"time"
)

// statusKeyReused is how the sidecar refuses a key that came with another body before.
const statusKeyReused = 422

// check makes each call once and proves that what passes is what shall be measured: right answers for every target,
// and for the sidecar the marks its policies leave on the request and its memory of keys. Like a slice it has a number.
func (t *target) check(number int) error {
	c, err := dial(t.addr, time.Now().Add(callGrace))
	if err != nil {
		return fmt.Errorf("%s: %w", t.name, err)
	}
	defer c.close()
	for i, w := range t.workloads() {
		request := w.request(t.addr, "call")
		keyIn(request, number, i).renew()
		if err := c.expect(&w, request); err != nil {
			return fmt.Errorf("%s %s: %w", t.name, w.name, err)
		}
		if !w.keyed {
			continue
		}
		if err := c.expectRefusal(request); err != nil {
			return fmt.Errorf("%s %s: %w", t.name, w.name, err)
		}
	}
	return t.checkMarks(c)
}

// expectRefusal sends the key of a request just made with another body. Who remembers the key refuses it.
func (c *client) expectRefusal(made []byte) error {
	status, body, err := c.call(bytes.Replace(made, []byte("xx"), []byte("yy"), 1))
	if err == nil && status != statusKeyReused {
		err = fmt.Errorf("a used key with another body was answered with %d instead of %d, so keys are not kept: %.200s", status, statusKeyReused, body)
	}
	return err
}

// checkMarks looks at what the upstream received of a POST.
func (t *target) checkMarks(c *client) error {
	post := workloads()[1]
	status, seen, err := c.call(post.request(t.addr, "echo"))
	if err != nil {
		return fmt.Errorf("%s: the upstream's echo: %w", t.name, err)
	}
	if status != 200 {
		return fmt.Errorf("%s: the upstream's echo came as %d: %s", t.name, status, seen)
	}
	for _, mark := range t.evidence {
		if !strings.Contains(strings.ToLower(string(seen)), mark) {
			return fmt.Errorf("%s: the request reached the upstream without %q; it got:\n%s", t.name, mark, seen)
		}
	}
	return nil
}
