package dlq

import (
	"encoding/json"
	"reflect"
	"testing"
)

func TestHeadersAreAnObjectInJSON(t *testing.T) {
	h := Headers{{"X-B", "1"}, {"X-A", `quo"ted`}, {"x-b", "2"}}
	text, err := json.Marshal(h)
	if want := `{"X-B":"1, 2","X-A":"quo\"ted"}`; err != nil || string(text) != want {
		t.Fatalf("%s, %v; want %s", text, err, want)
	}
	var back Headers
	if err := json.Unmarshal(text, &back); err != nil {
		t.Fatal(err)
	}
	if want := (Headers{{"X-B", "1, 2"}, {"X-A", `quo"ted`}}); !reflect.DeepEqual(back, want) {
		t.Errorf("read back %v, want %v in this order", back, want)
	}
}

func TestHeadersThatAreNoObject(t *testing.T) {
	for _, text := range []string{`[{"name":"a","value":"b"}]`, `"a"`, `{"a":1}`, `{"a":`} {
		var h Headers
		if err := json.Unmarshal([]byte(text), &h); err == nil {
			t.Errorf("%s was read as %v", text, h)
		}
	}
	var h Headers
	if err := json.Unmarshal([]byte("null"), &h); err != nil || h != nil {
		t.Errorf("null was read as %v, %v", h, err)
	}
}
