// Package units holds quantities as the configuration writes them: every one carries its unit.
package units

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Duration is a span of time with its unit: 250ms, 30s, 5m, 24h. A bare number is a fault, except 0.
type Duration time.Duration

// UnmarshalText reads a duration as time.ParseDuration does. Negative ones are a fault.
func (d *Duration) UnmarshalText(text []byte) error {
	v, err := time.ParseDuration(string(text))
	switch {
	case err != nil:
		return errors.New("is not a duration with a unit, such as 250ms, 30s, 5m or 24h")
	case v < 0:
		return errors.New("is negative; a duration is 0s or more")
	}
	*d = Duration(v)
	return nil
}

// MarshalText writes the duration without needless zero parts: 24h, 1m30s, 250ms.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// String is the duration without needless zero parts.
func (d Duration) String() string {
	s := time.Duration(d).String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// D is the value as time.Duration.
func (d Duration) D() time.Duration { return time.Duration(d) }

// Bytes is a size: 512KiB, 1MiB, 2GB or a plain number of bytes.
type Bytes int64

var byteUnits = []struct {
	suffix string
	factor int64
}{{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"TiB", 1 << 40}, {"kB", 1e3}, {"KB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"TB", 1e12}, {"B", 1}}

// UnmarshalText reads a size.
func (b *Bytes) UnmarshalText(text []byte) error {
	number, factor := string(text), int64(1)
	for _, u := range byteUnits {
		if rest, ok := strings.CutSuffix(number, u.suffix); ok {
			number, factor = strings.TrimSpace(rest), u.factor
			break
		}
	}
	n, err := strconv.ParseInt(number, 10, 64)
	if err != nil || n < 0 || n > (1<<62)/factor {
		return errors.New("is not a size, such as 512KiB, 1MiB or 1GiB")
	}
	*b = Bytes(n * factor)
	return nil
}

// String is the size in the largest binary unit that divides it.
func (b Bytes) String() string {
	for i := 3; i >= 0; i-- {
		if u := byteUnits[i]; b != 0 && int64(b)%u.factor == 0 {
			return strconv.FormatInt(int64(b)/u.factor, 10) + u.suffix
		}
	}
	return strconv.FormatInt(int64(b), 10) + "B"
}

// MarshalText writes the size with its unit.
func (b Bytes) MarshalText() ([]byte, error) { return []byte(b.String()), nil }

// Percent is a share: 20% is 0.2.
type Percent float64

// UnmarshalText reads a percentage from 0% to 100%.
func (p *Percent) UnmarshalText(text []byte) error {
	number, ok := strings.CutSuffix(string(text), "%")
	v, err := strconv.ParseFloat(number, 64)
	if !ok || err != nil || !(v >= 0 && v <= 100) {
		return errors.New("is not a percentage from 0% to 100%, such as 20%")
	}
	*p = Percent(v / 100)
	return nil
}

// String is the percentage with its sign.
func (p Percent) String() string { return fmt.Sprintf("%g%%", float64(p)*100) }

// MarshalText writes the percentage with its sign.
func (p Percent) MarshalText() ([]byte, error) { return []byte(p.String()), nil }
