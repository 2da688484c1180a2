package jsonbody

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/itchyny/gojq"
)

// Status is the variable that holds the status of the response a program looks at.
const Status = "$status"

// Program is a compiled jq program. It knows no environment, no files, no further input, and may be run by many at once.
type Program struct {
	code      *gojq.Code
	variables bool
}

// Compile reads a program. withStatus lets it use $status. Its error begins with a verb: what is wrong, and where.
func Compile(source string, withStatus bool) (*Program, error) {
	query, err := gojq.Parse(source)
	if err != nil {
		return nil, misread(source, err)
	}
	if query.Meta != nil || len(query.Imports) > 0 {
		return nil, errors.New("is no jq program that can stand here: modules cannot be imported")
	}
	var options []gojq.CompilerOption
	if withStatus {
		options = append(options, gojq.WithVariables([]string{Status}))
	}
	code, err := gojq.Compile(query, options...)
	if err != nil {
		return nil, fmt.Errorf("is no jq program that can stand here: %w", err)
	}
	return &Program{code: code, variables: withStatus}, nil
}

// misread says where a program cannot be read.
func misread(source string, err error) error {
	parse := (*gojq.ParseError)(nil)
	if !errors.As(err, &parse) {
		return fmt.Errorf("is not a jq program: %w", err)
	}
	at := max(0, min(parse.Offset-len(parse.Token), len(source))) // Offset is behind the token
	before := source[:at]
	line := strings.Count(before, "\n") + 1
	column := utf8.RuneCountInString(before[strings.LastIndexByte(before, '\n')+1:]) + 1
	return fmt.Errorf("is not a jq program: %w (line %d, character %d of it)", err, line, column)
}

// Run runs the program over a value, which stays as it is, and returns the one value that comes of it. Its error says
// why there is none, and nothing of the body. ctx ends it early.
func (p *Program) Run(ctx context.Context, value any, status int) (any, error) {
	m := &meter{Context: ctx, end: time.Now().Add(maxTime)}
	var variables []any
	if p.variables {
		variables = []any{status}
	}
	results := p.code.RunWithContext(m, value, variables...)
	result, ok := results.Next()
	if !ok {
		return nil, errors.New("it yields nothing where one value is needed")
	}
	if err, failed := result.(error); failed {
		return nil, m.reason(err)
	}
	if second, more := results.Next(); more {
		if err, failed := second.(error); failed {
			return nil, m.reason(err)
		}
		return nil, errors.New("it yields more than one value")
	}
	return result, nil
}

// True reports whether jq's if takes a value for true: all but false and null.
func True(value any) bool { return value != nil && value != false }

// The bounds of a run. Steps bound it the same on every machine, and with them what it can pile up; the time is for
// single steps that take long, such as a regular expression over a long text, and leaves room for a throttled pod.
const (
	maxSteps = 5_000_000
	maxTime  = time.Second
	look     = 256 // steps between two looks at the clock
)

var errSteps = errors.New("it takes too long")

// meter ends a run. gojq asks Done before each instruction; a nil channel lets it go on.
type meter struct {
	context.Context
	steps int
	end   time.Time
	over  chan struct{}
}

// Done implements context.Context, for gojq alone.
func (m *meter) Done() <-chan struct{} {
	m.steps++
	if m.over == nil && (m.steps > maxSteps || m.steps%look == 0 && (time.Now().After(m.end) || m.Context.Err() != nil)) {
		m.over = make(chan struct{})
		close(m.over)
	}
	return m.over
}

// Err implements context.Context.
func (m *meter) Err() error {
	if m.over == nil {
		return nil
	}
	return errSteps
}

// reason says why a program failed without the values that jq puts into its messages.
func (m *meter) reason(err error) error {
	if m.over != nil {
		return errSteps
	}
	if _, raised := err.(gojq.ValueError); raised {
		return errors.New("it raised an error of its own")
	}
	text := err.Error()
	end := strings.IndexAny(text, `("':`)
	if end < 0 {
		end = len(text)
	}
	words := strings.Fields(text[:end])
	if rest := strings.Fields(strings.TrimPrefix(text[end:], ":")); len(rest) > 0 && slices.Contains(jsonTypes[:], rest[0]) {
		words = append(words, rest[0])
	}
	words = slices.DeleteFunc(words, func(w string) bool { return strings.ContainsAny(w, "0123456789{}[]") })
	return fmt.Errorf("it failed: %s", strings.Join(words, " "))
}

var jsonTypes = [...]string{"null", "boolean", "number", "string", "array", "object"}
