package config

import (
	"encoding"
	"errors"
	"fmt"
	"math"
	"net/url"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/fsm-integrations/sidecar/internal/secret"
	"github.com/fsm-integrations/sidecar/internal/units"
)

// setText reads text into a scalar as its type asks.
func setText(v reflect.Value, text string) error {
	if u, ok := v.Addr().Interface().(encoding.TextUnmarshaler); ok {
		return u.UnmarshalText([]byte(text))
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(text)
	case reflect.Bool:
		on, err := strconv.ParseBool(strings.ToLower(text))
		if err != nil {
			return errors.New("is not true or false")
		}
		v.SetBool(on)
	case reflect.Int:
		n, err := strconv.Atoi(text)
		if err != nil {
			return errors.New("is not a whole number")
		}
		v.SetInt(int64(n))
	case reflect.Float64:
		x, err := strconv.ParseFloat(text, 64)
		if err != nil || math.IsInf(x, 0) || math.IsNaN(x) {
			return errors.New("is not a number")
		}
		v.SetFloat(x)
	default:
		panic("config: no way to read a " + v.Type().String())
	}
	return nil
}

// wanted is what a scalar of this type is called in a message, and the YAML tags it may be written as.
func wanted(f *field, t reflect.Type) (name string, tags []string) {
	plain := []string{"!!str", "!!int", "!!float"}
	switch {
	case t == reflect.TypeFor[secret.Ref]():
		return "a secret reference: env:NAME, file:/path or vault:path#field", plain[:1]
	case t == reflect.TypeFor[units.Duration]():
		return "a duration, such as 30s", plain
	case t == reflect.TypeFor[units.Bytes]():
		return "a size, such as 1MiB", plain
	case t == reflect.TypeFor[units.Percent]():
		return "a percentage, such as 20%", plain
	case len(f.enum) > 0:
		return "one of " + list(f.enum), append(plain, "!!bool")
	}
	switch t.Kind() {
	case reflect.Bool:
		return "true or false", []string{"!!bool"}
	case reflect.Int:
		return "a whole number", []string{"!!int"}
	case reflect.Float64:
		return "a number", []string{"!!int", "!!float"}
	}
	return "text (in quotes when it looks like a number)", []string{"!!str"}
}

// scalarOf reads n into v and returns what is wrong with it, "" when nothing is.
func scalarOf(n *node, v reflect.Value, f *field) string {
	name, tags := wanted(f, v.Type())
	if n.kind != scalar || !slices.Contains(tags, n.tag) {
		return n.describe() + "; expected " + name + braces(n)
	}
	fresh := reflect.New(v.Type()).Elem()
	if err := setText(fresh, n.text); err != nil {
		if v.Type() == reflect.TypeFor[secret.Ref]() {
			return refFault(n.text, f, err)
		}
		return quote(n.text) + " " + err.Error()
	}
	if message := bounds(n.text, fresh, f); message != "" {
		return message
	}
	v.Set(fresh)
	return ""
}

// braces is the hint about {timestamp} and the like, which YAML takes for a block of keys without values.
func braces(n *node) string {
	if n.kind == mapping && len(n.entries) > 0 && !slices.ContainsFunc(n.entries, func(e entry) bool { return !e.value.isNull() }) {
		return "; quote a value that begins with {"
	}
	return ""
}

var (
	variable = regexp.MustCompile(`^\$\{([A-Z_][A-Z0-9_]*)\}$`)
	pemPath  = regexp.MustCompile(`^[\w./~-]+\.(pem|crt|cer|key)$`)
)

// refFault is the message about a value that is no secret reference. It repeats nothing that may be the secret itself:
// only the name of a variable, and of a file that is one by its ending, where nothing but a file can stand.
func refFault(text string, f *field, err error) string {
	switch {
	case variable.MatchString(text):
		return "is not a secret reference; variables are not filled in: write env:" + variable.FindStringSubmatch(text)[1]
	case f.file && pemPath.MatchString(text):
		return "is not a reference to a file; write file:" + text
	case f.file:
		return "is not a reference to a file; write file:/path"
	}
	return err.Error()
}

// bounds checks a value against the tags of its field.
func bounds(text string, v reflect.Value, f *field) string {
	switch {
	case f.required && v.IsZero() && v.Kind() == reflect.String:
		return "must not be empty"
	case len(f.enum) > 0 && !slices.Contains(f.enum, text):
		return quote(text) + " is not one of " + list(f.enum) + meant(text, f.enum)
	case f.pattern == "^file:." && text != "" && !strings.HasPrefix(text, "file:"):
		return "is not a reference to a file; write file:" + text
	case f.pattern != "" && text != "" && !regexp.MustCompile(f.pattern).MatchString(text):
		return quote(text) + " does not match " + f.pattern
	case f.format == "url" && text != "" && !webURL(text):
		return "is not an absolute http or https URL" // not quoted: such a URL often holds a token
	case f.format == "url" && withUser(text):
		return "holds user information, a literal secret; credentials have keys of their own and are secret references"
	case f.format == "url" && text != "" && leadsNowhere(text):
		return "is a link-local, metadata, multicast or unspecified address, which is never called"
	case beyond(v, f.min, -1) || beyond(v, f.max, 1):
		return quote(text) + " is out of range; allowed is " + span(f)
	}
	return ""
}

func webURL(text string) bool {
	u, err := url.Parse(text)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Hostname() != ""
}

// withUser reports whether a URL names a user, perhaps with a password.
func withUser(text string) bool {
	u, err := url.Parse(text)
	return err == nil && u.User != nil
}

func leadsNowhere(text string) bool {
	u, err := url.Parse(text)
	return err == nil && neverDialled(u.Hostname())
}

// beyond reports whether v lies below (side -1) or above (side 1) the bound; an empty bound is none.
func beyond(v reflect.Value, bound string, side float64) bool {
	if bound == "" {
		return false
	}
	limit := reflect.New(v.Type()).Elem()
	if err := setText(limit, bound); err != nil {
		panic("config: bound " + bound + ": " + err.Error())
	}
	return side*(number(v)-number(limit)) > 0
}

func number(v reflect.Value) float64 {
	if v.CanFloat() {
		return v.Float()
	}
	return float64(v.Int())
}

// span is the allowed range in words.
func span(f *field) string {
	switch {
	case f.max == "":
		return f.min + " or more"
	case f.min == "":
		return "up to " + f.max
	}
	return f.min + " to " + f.max
}

// quote shows a value, shortened to what fits a message.
func quote(text string) string {
	const most = 40
	if r := []rune(text); len(r) > most {
		text = string(r[:most]) + "…"
	}
	return fmt.Sprintf("%q", text)
}
