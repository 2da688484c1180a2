package main

import (
	"testing"
	"time"
)

func TestPrintable(t *testing.T) {
	for in, want := range map[string]string{
		"plain, ü and 漢": "plain, ü and 漢", "\x1b[31mred": `\x1b[31mred`, "a\nb\tc\r": `a\nb\tc\r`, "\xff": `\xff`, "\u202egnp": `\u202egnp`, "it's": "it's", `\`: `\`, "\ufffd": "\ufffd",
	} {
		if got := printable(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
	if got := page("a\n\tb\r\x00"); got != "a\n\tb\\r\\x00" {
		t.Errorf("page: %q", got)
	}
}

func TestSize(t *testing.T) {
	for in, want := range map[int64]string{0: "0 B", 1023: "1023 B", 1024: "1.0 KiB", 52429: "51.2 KiB", 1 << 20: "1.0 MiB", 1 << 30: "1.0 GiB", 5 << 40: "5.0 TiB", 1 << 51: "2048.0 TiB"} {
		if got := size(in); got != want {
			t.Errorf("%d: %q, want %q", in, got, want)
		}
	}
}

func TestDurationsHaveNoNoise(t *testing.T) {
	for in, want := range map[time.Duration]string{1000345837: "1.000s", 30 * time.Second: "30.000s", 12500 * time.Microsecond: "12.5ms", 1234567: "1.235ms", 0: "0s"} {
		if got := took(in); got != want {
			t.Errorf("%d: %s, want %s", in, got, want)
		}
	}
}
