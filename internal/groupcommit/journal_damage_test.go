package groupcommit

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"github.com/fsm-integrations/sidecar/internal/groupcommit/pages"
)

func TestADamagedJournalIsToldAndKeptAside(t *testing.T) {
	dir := t.TempDir()
	db, _, _ := openJournaled(t, dir, apply)
	for i := range 20 {
		add(t, db, fmt.Sprint(i))
	}
	dir = crashed(t, dir)
	path := filepath.Join(dir, "x.journal")
	b, err := os.ReadFile(path)
	must(t, err)
	b[bytes.Index(b, []byte("7 x"))] ^= 1
	must(t, os.WriteFile(path, b, 0o600))
	db, found, missing := openJournaled(t, dir, apply)
	aside, _ := filepath.Glob(path + ".damaged-*")
	if found != 19 || missing != 1 || len(aside) != 1 || times(t, db, "19") != 1 || !db.Journals(1) {
		t.Fatalf("%d found, %d missing, aside %v", found, missing, aside)
	}
	add(t, db, "more")
	if kept, err := os.ReadFile(aside[0]); err != nil || !bytes.Equal(kept, b) {
		t.Errorf("the damaged journal was changed: %v", err)
	}
}

func TestASalvagedFileTakesAllThatTheJournalHolds(t *testing.T) {
	for name, fails := range map[string]bool{"salvaged": false, "nothing could be read": true} {
		dir := t.TempDir()
		db, _, _ := openJournaled(t, dir, apply)
		add(t, db, "a")
		_ = times(t, db, "a") // it landed
		add(t, db, "b")
		dir = crashed(t, dir)
		_, err := Salvage(filepath.Join(dir, "x.db"), time.Unix(0, 0), func(*pages.File, *bbolt.DB) error {
			if fails {
				return errors.New("unreadable")
			}
			return nil
		})
		if fails == (err == nil) {
			t.Fatalf("%s: %v", name, err)
		}
		db, found, _ := openJournaled(t, dir, apply)
		if found != 2 || times(t, db, "a") != 1 || times(t, db, "b") != 1 {
			t.Errorf("%s: %d found", name, found)
		}
	}
}

func TestAStoreThatIsNotTheJournalsTakesNothingOfIt(t *testing.T) {
	dir := t.TempDir()
	db, _, _ := openJournaled(t, dir, apply)
	add(t, db, "a")
	dir = crashed(t, dir)
	must(t, os.Remove(filepath.Join(dir, "x.db")))
	if _, found, missing := openJournaled(t, dir, apply); found != 0 || missing != 0 {
		t.Errorf("%d found, %d missing", found, missing)
	}
}
