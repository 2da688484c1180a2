package secret

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestALiteralSecretIsRefusedAndNotRepeated(t *testing.T) {
	for _, text := range []string{"hunter2", "hunter2:x", "env:", "file:", "ENV:A", "vault:hunter2", "vault:#hunter2", "vault:hunter2#", "vault:/hunter2#a", "vault:a/../hunter2#a", "vault:a//hunter2#a", "vault:hunter2/#a", "https://hunter2"} {
		var r Ref
		err := r.UnmarshalText([]byte(text))
		if err == nil || r != "" || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%q: %q, %v", text, string(r), err)
		}
	}
	for _, text := range []string{"", "env:NAME", "file:/run/secrets/key", "vault:integrations/{tenant}/{adapter}/api-key#key"} {
		var r Ref
		if err := r.UnmarshalText([]byte(text)); err != nil || string(r) != text {
			t.Errorf("%q: %q, %v", text, string(r), err)
		}
	}
}

func TestReferencesAreFilledPerCall(t *testing.T) {
	for _, c := range []struct{ ref, tenant, want string }{
		{"env:NAME", "../..", "env:NAME"},
		{"file:/run/{adapter}/key", "", "file:/run/erp/key"},
		{"file:/run/{tenant}/{adapter}/key", "acme-1_x.y", "file:/run/acme-1_x.y/erp/key"},
		{"file:/run/{tenant}/{tenant}", "{adapter}", ""},
		{"file:/run/{tenant}/key", "", ""},
		{"file:/run/{tenant}/key", ".", ""},
		{"file:/run/{tenant}/key", "..", ""},
		{"file:/run/{tenant}/key", "a/b", ""},
		{"file:/run/{tenant}/key", "a\x00b", ""},
		{"file:/run/{tenant}/key", "ä", ""},
	} {
		got, err := Ref(c.ref).Fill(c.tenant, "erp")
		if string(got) != c.want || (err == nil) != (c.want != "") {
			t.Errorf("%s for %q is %q, %v", c.ref, c.tenant, string(got), err)
		}
	}
}

func TestAVeryLongTenantIsNotAskedFor(t *testing.T) {
	const ref Ref = "vault:tenants/{tenant}#key"
	if _, err := ref.Fill(strings.Repeat("a", maxTenant), "erp"); err != nil {
		t.Error(err)
	}
	if got, err := ref.Fill(strings.Repeat("a", maxTenant+1), "erp"); err == nil || len(err.Error()) > 200 {
		t.Errorf("%q, %v", got, err)
	}
}

func TestAValueCannotBePrinted(t *testing.T) {
	v := NewValue([]byte("hunter2"))
	holder := struct{ Key Value }{v}
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("m", "key", v, "holder", holder)
	slog.New(slog.NewTextHandler(&log, nil)).Info("m", "key", v)
	encoded, err := json.Marshal(holder)
	if err != nil {
		t.Fatal(err)
	}
	texts := []string{log.String(), string(encoded), v.String(), v.GoString()}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%T%v"} {
		texts = append(texts, fmt.Sprintf(verb, v), fmt.Sprintf(verb, &v), fmt.Sprintf(verb, holder))
	}
	for _, text := range texts {
		for _, leak := range []string{"hunter2", "68756e74657232", "68756E74657232", "104 117", "aHVudGVyMg"} {
			if strings.Contains(text, leak) {
				t.Errorf("printed: %s", text)
			}
		}
	}
	if string(v.Reveal()) != "hunter2" || v.Empty() || !(Value{}).Empty() {
		t.Error("the secret itself is wrong")
	}
}

func TestSecretsAreReadFromEnvironmentAndFiles(t *testing.T) {
	t.Setenv("SECRET_TEST", "from env")
	t.Setenv("SECRET_TEST_EMPTY", "")
	dir := t.TempDir()
	write := func(name, text string) Ref {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return Ref("file:" + path)
	}
	r := NewResolver()
	for ref, want := range map[Ref]string{
		"env:SECRET_TEST": "from env", "env:SECRET_TEST_EMPTY": "", "env:SECRET_TEST_ABSENT": "",
		write("plain", "key"): "key", write("line", "key\r\n"): "key", write("lines", "a\nb\n\n"): "a\nb", write("empty", "\n"): "", write("spaces", " k "): " k ",
		Ref("file:" + dir): "", Ref("file:" + filepath.Join(dir, "absent")): "", "vault:a#b": "", "": "",
	} {
		v, err := r.Resolve(t.Context(), ref)
		if string(v.Reveal()) != want || (err == nil) != (want != "") {
			t.Errorf("%s is %q, %v", string(ref), v.Reveal(), err)
		}
	}
	if _, err := r.Resolve(t.Context(), Ref("file:"+filepath.Join(dir, "absent"))); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("absent: %v", err)
	}
}

func TestAFileThatChangesIsFollowed(t *testing.T) {
	now := time.Now()
	r := NewResolver()
	r.now = func() time.Time { return now }
	path := filepath.Join(t.TempDir(), "key")
	ref := Ref("file:" + path)
	expect := func(want string) {
		t.Helper()
		if v, _ := r.Resolve(t.Context(), ref); string(v.Reveal()) != want {
			t.Errorf("%q, want %q", v.Reveal(), want)
		}
	}
	write := func(text string) {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	expect("")
	write("one")
	expect("")
	now = now.Add(2 * time.Second)
	expect("one")
	write("two")
	expect("one")
	now = now.Add(2 * time.Second)
	expect("two")
	_ = os.Remove(path)
	now = now.Add(2 * time.Second)
	expect("")
}
