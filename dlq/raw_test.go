package dlq

import (
	"encoding/json"
	"testing"
)

func TestBytesThatAreNotUTF8AreReplayedAsTheyCame(t *testing.T) {
	for _, target := range []string{"/caf\xe9?q=\xe9", "/plain"} {
		m := Message{Target: target, Headers: Headers{{"X-H", "\xe9"}}}
		m.KeepRaw()
		text, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		var back Message
		if err := json.Unmarshal(text, &back); err != nil {
			t.Fatal(err)
		}
		sent, headers := back.Sent()
		if sent != target || len(headers) != 1 || headers[0] != m.Headers[0] {
			t.Errorf("%q %q came back as %q %q", target, m.Headers, sent, headers)
		}
	}
	plain := Message{Target: "/a", Headers: Headers{{"X", "y"}}}
	if plain.KeepRaw(); plain.Raw != nil {
		t.Error("text was kept twice")
	}
}
