package units

import (
	"testing"
	"time"
)

func TestDurationsCarryAUnit(t *testing.T) {
	for text, want := range map[string]time.Duration{"250ms": 250 * time.Millisecond, "30s": 30 * time.Second, "5m": 5 * time.Minute, "24h": 24 * time.Hour,
		"1h30m": 90 * time.Minute, "1.5s": 1500 * time.Millisecond, "0": 0, "0s": 0} {
		var d Duration
		if err := d.UnmarshalText([]byte(text)); err != nil || d.D() != want {
			t.Errorf("%q is %v, %v", text, d, err)
		}
	}
	for _, text := range []string{"", "30", "5 m", "-1s", "1d", "forever", "9999999999999h"} {
		if err := new(Duration).UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q is a duration", text)
		}
	}
	for d, want := range map[time.Duration]string{24 * time.Hour: "24h", 90 * time.Second: "1m30s", 90 * time.Minute: "1h30m", time.Hour + time.Second: "1h0m1s", 0: "0s",
		250 * time.Millisecond: "250ms", 10 * time.Minute: "10m", 20 * time.Second: "20s", 100 * time.Hour: "100h"} {
		text, err := Duration(d).MarshalText()
		var back Duration
		if err != nil || string(text) != want || back.UnmarshalText(text) != nil || back.D() != d {
			t.Errorf("%v is written %q and read back as %v", d, text, back)
		}
	}
}

func TestSizesAreReadAndWritten(t *testing.T) {
	for text, want := range map[string]Bytes{"0": 0, "512": 512, "1B": 1, "1KiB": 1024, "1 MiB": 1 << 20, "2GB": 2e9, "1kB": 1000, "1KB": 1000, "3TiB": 3 << 40, "16GiB": 16 << 30} {
		var b Bytes
		if err := b.UnmarshalText([]byte(text)); err != nil || b != want {
			t.Errorf("%q is %d, %v", text, b, err)
		}
	}
	for _, text := range []string{"", "MiB", "-1", "-1KiB", "1.5MiB", "1Mib", "9999999TiB", "99999999999999999999", "1 "} {
		if err := new(Bytes).UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q is a size", text)
		}
	}
	for b, want := range map[Bytes]string{0: "0B", 1: "1B", 1000: "1000B", 1024: "1KiB", 1 << 20: "1MiB", 3 << 29: "1536MiB", 1 << 30: "1GiB", 5 << 40: "5TiB"} {
		text, err := b.MarshalText()
		var back Bytes
		if err != nil || string(text) != want || back.UnmarshalText(text) != nil || back != b {
			t.Errorf("%d is written %q and read back as %d", b, text, back)
		}
	}
}

func TestSharesAreReadAndWritten(t *testing.T) {
	for text, want := range map[string]Percent{"20%": 0.2, "0%": 0, "100%": 1, "12.5%": 0.125} {
		var p Percent
		if err := p.UnmarshalText([]byte(text)); err != nil || p != want {
			t.Errorf("%q is %v, %v", text, float64(p), err)
		}
		if back, err := p.MarshalText(); err != nil || string(back) != text {
			t.Errorf("%q is written %q", text, back)
		}
	}
	for _, text := range []string{"", "20", "%", "-1%", "101%", "NaN%", "a%", "20 %"} {
		if err := new(Percent).UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q is a share", text)
		}
	}
}
