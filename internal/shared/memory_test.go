package shared

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

func memoryInfo(used, most int, policy string) string {
	return fmt.Sprintf("# Memory\r\nused_memory:%d\r\nmaxmemory:%d\r\nmaxmemory_human:%dB\r\nmaxmemory_policy:%s\r\n", used, most, most, policy)
}

func TestARedisThatIsNearlyFullIsToldOfOnce(t *testing.T) {
	var told []string
	g := &gate{warned: func(what string) { told = append(told, what) }}
	for i, c := range []struct {
		infos   []string
		warning string // in it; "": none
		told    int    // so far
	}{
		{[]string{memoryInfo(99, 0, "noeviction")}, "", 0},
		{[]string{memoryInfo(90, 100, "noeviction")}, "", 0},
		{[]string{memoryInfo(91, 100, "noeviction")}, "maxmemory (100B", 1},
		{[]string{memoryInfo(99, 100, "noeviction")}, "maxmemory (100B", 1},
		{[]string{memoryInfo(88, 100, "noeviction")}, "maxmemory (100B", 1}, // it wavers
		{[]string{memoryInfo(84, 100, "noeviction")}, "", 1},
		{[]string{memoryInfo(88, 100, "noeviction")}, "", 1},
		{[]string{memoryInfo(10, 100, "noeviction"), memoryInfo(95, 200, "noeviction"), memoryInfo(195, 200, "noeviction")}, "maxmemory (200B", 2},
		{[]string{memoryInfo(10, 100, "allkeys-lru")}, "maxmemory-policy is allkeys-lru", 3},
		{[]string{memoryInfo(95, 100, "allkeys-lru")}, "noeviction; Redis has used nearly all", 4},
		{[]string{"loading"}, "", 4},
	} {
		g.warn(c.infos)
		if (c.warning == "") != (g.warning == "") || !strings.Contains(g.warning, c.warning) || len(told) != c.told {
			t.Errorf("%d: %q, told %d times; want %q and %d", i, g.warning, len(told), c.warning, c.told)
		}
	}
	if slices.ContainsFunc(told, func(s string) bool { return s == "" }) {
		t.Errorf("told of nothing: %q", told)
	}
}
