package telemetry

import (
	"io"
	"log"
	"log/slog"
	"strings"
)

// NewLogger writes to w at level debug, info, warn or error; format is json or text.
func NewLogger(w io.Writer, level slog.Leveler, format string) *slog.Logger {
	options := &slog.HandlerOptions{Level: level}
	if format == "text" {
		return slog.New(slog.NewTextHandler(w, options))
	}
	return slog.New(slog.NewJSONHandler(w, options))
}

// Library turns what libraries print through the standard log package into lines of l at level debug, up to the first
// quotation mark: behind it stand bytes of strangers, which may repeat a secret.
func Library(l *slog.Logger) *log.Logger {
	return log.New(libraryWriter{l}, "", 0)
}

type libraryWriter struct{ log *slog.Logger }

func (w libraryWriter) Write(p []byte) (int, error) {
	text, _, _ := strings.Cut(strings.TrimSpace(string(p)), `"`)
	w.log.Debug("library", "says", text)
	return len(p), nil
}

// ParseLevel reads debug, info, warn or error; anything else is info.
func ParseLevel(s string) slog.Level {
	var l slog.Level
	if l.UnmarshalText([]byte(s)) != nil {
		return slog.LevelInfo
	}
	return l
}
