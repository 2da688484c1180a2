package shared

import (
	"context"
	"log"

	"github.com/redis/go-redis/v9"
)

// LogTo makes l the logger of the Redis library, which otherwise prints to stderr. It is for the whole process.
func LogTo(l *log.Logger) { redis.SetLogger(library{l}) }

type library struct{ *log.Logger }

// Printf implements the library's interface.
func (l library) Printf(_ context.Context, format string, v ...any) { l.Logger.Printf(format, v...) }
