package wire

import (
	"reflect"
	"testing"
)

func TestFieldsGoToAHeaderAndBack(t *testing.T) {
	fields := Fields{{"x-a", "1"}, {"Via", "1.1 one"}, {"X-A", "2"}, {"x-B", ""}}
	header := map[string][]string{"Via": {"1.0 zero"}}
	fields.AddTo(header)
	want := map[string][]string{"X-A": {"1", "2"}, "Via": {"1.0 zero", "1.1 one"}, "X-B": {""}}
	if !reflect.DeepEqual(header, want) {
		t.Fatalf("%q, want %q", header, want)
	}
	back := FromHeader(header, "Via")
	if len(back) != 3 || back.Has("Via") || back.Get("X-A") != "1" || !back.Has("X-B") {
		t.Errorf("%q", back)
	}
	again := map[string][]string{}
	back.AddTo(again)
	if delete(want, "Via"); !reflect.DeepEqual(again, want) {
		t.Errorf("%q, want %q", again, want)
	}
}
