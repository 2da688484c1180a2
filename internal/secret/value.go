package secret

import (
	"fmt"
	"log/slog"
)

const placeholder = "[secret]"

// Value is a secret in memory. It prints, logs and encodes as a placeholder.
type Value struct{ bytes []byte }

// NewValue takes ownership of b.
func NewValue(b []byte) Value { return Value{b} }

// Reveal returns the secret's bytes. The caller must not keep, print or change them.
func (v Value) Reveal() []byte { return v.bytes }

// Empty reports whether there is nothing in it.
func (v Value) Empty() bool { return len(v.bytes) == 0 }

// String implements fmt.Stringer.
func (Value) String() string { return placeholder }

// GoString implements fmt.GoStringer.
func (Value) GoString() string { return placeholder }

// Format implements fmt.Formatter, so that no verb, not even %x, shows the secret.
func (Value) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(placeholder)) }

// MarshalText implements encoding.TextMarshaler, which encoding/json uses too.
func (Value) MarshalText() ([]byte, error) { return []byte(placeholder), nil }

// LogValue implements slog.LogValuer.
func (Value) LogValue() slog.Value { return slog.StringValue(placeholder) }
