package dlq

import (
	"bytes"
	"fmt"
	"path/filepath"
	"time"

	"go.etcd.io/bbolt"

	"github.com/fsm-integrations/sidecar/internal/groupcommit"
	"github.com/fsm-integrations/sidecar/internal/groupcommit/pages"
)

// salvage replaces a damaged file by one with what can be read of it. damaged says what was wrong and what was done,
// for people; it names the file that was moved aside without its folder.
func salvage(path string, now time.Time, cause error) (damaged string, err error) {
	letters, unread := 0, 0
	aside, err := groupcommit.Salvage(path, now, func(from *pages.File, to *bbolt.DB) (err error) {
		letters, unread, err = rescue(from, to)
		return err
	})
	if aside == "" {
		return "", err
	}
	damaged = fmt.Sprintf("%s was damaged (%s) and is kept as %s", filepath.Base(path), bare(cause), filepath.Base(aside))
	if err != nil {
		return damaged + fmt.Sprintf("; nothing could be read of it: %s", reason(err)), nil
	}
	return damaged + fmt.Sprintf("; %d letters could be read of it, %d are in quarantine", letters, unread), nil
}

// bare takes off what an error of open says before its cause.
func bare(err error) string {
	for _, mark := range []error{groupcommit.ErrDamaged, groupcommit.ErrPanic} {
		if _, cause, ok := bytes.Cut([]byte(err.Error()), []byte(mark.Error()+": ")); ok {
			return string(cause)
		}
	}
	return reason(err)
}
