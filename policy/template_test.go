package policy

import (
	"strings"
	"testing"
)

func TestTemplatesAreParsed(t *testing.T) {
	for text, want := range map[string][]templatePart{
		"{body}":               {{place: placeBody}},
		"{timestamp}.{body}":   {{place: placeTimestamp}, {literal: "."}, {place: placeBody}},
		"v1:{id}{header:X-A}":  {{literal: "v1:"}, {place: placeID}, {place: placeHeader, field: "X-A"}},
		"{method}{path}?q":     {{place: placeMethod}, {place: placePath}, {literal: "?q"}},
		"{query}\n{key}":       {{place: placeQuery}, {literal: "\n"}, {place: placeKey}},
		"literal":              {{literal: "literal"}},
		"{header:X-Tenant-Id}": {{place: placeHeader, field: "X-Tenant-Id"}},
	} {
		got, err := parseTemplate(text)
		if err != nil || len(got) != len(want) {
			t.Errorf("%q: %v, %v", text, got, err)
			continue
		}
		for i := range want {
			if got[i] != want[i] {
				t.Errorf("%q: part %d is %+v, want %+v", text, i, got[i], want[i])
			}
		}
	}
}

func TestATypoIsNotSignedAsText(t *testing.T) {
	for _, text := range []string{"", "{bod}", "{body", "body}", "{{body}}", "{}", "{header:}", "{header:a b}", "{Body}", "a}b{body}"} {
		if got, err := parseTemplate(text); err == nil {
			t.Errorf("%q became %v", text, got)
		}
	}
}

func FuzzTemplate(f *testing.F) {
	for _, seed := range []string{"{body}", "{timestamp}.{body}", "{header:X-A}", "{", "}", "a{b}c", "{method}{path}{query}{key}{id}"} {
		f.Add(seed)
	}
	names := map[place]string{}
	for name, p := range places {
		names[p] = "{" + name + "}"
	}
	f.Fuzz(func(t *testing.T, text string) {
		parsed, err := parseTemplate(text)
		if err != nil {
			return
		}
		var b strings.Builder
		for _, part := range parsed {
			switch part.place {
			case placeNone:
				b.WriteString(part.literal)
			case placeHeader:
				b.WriteString("{header:" + part.field + "}")
			default:
				b.WriteString(names[part.place])
			}
		}
		if b.String() != text {
			t.Errorf("%q was parsed as %q", text, b.String())
		}
	})
}
