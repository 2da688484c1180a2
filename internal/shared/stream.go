package shared

import (
	"context"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
)

// Stream is a Redis stream that is only ever added to. It is never trimmed here: what is in it is for its readers, and
// its owner, to remove.
//
// It has connections of its own, with more time than a command of an exchange has, so that what is large and can wait
// neither holds those up nor speaks for them: the breaker in front of Redis is not asked and not told.
type Stream struct {
	redis   redis.UniversalClient
	name    string
	timeout time.Duration
}

// Entry is one entry of a stream.
type Entry struct {
	ID     string // set by Redis; grows
	Fields map[string]string
}

// Stream opens the stream of this name, which is the whole key: others read it. timeout bounds each round trip.
func (c *Client) Stream(name string, timeout time.Duration) *Stream {
	o := c.config.options()
	o.DialTimeout, o.ReadTimeout, o.WriteTimeout, o.PoolTimeout = timeout, timeout, timeout, timeout
	o.PoolSize, o.MaxIdleConns = streamConns, streamConns
	return &Stream{redis: redis.NewUniversalClient(o), name: name, timeout: timeout}
}

const streamConns = 2 // one adds, another may read

// Add appends entries, each a list of names and values, in this order, all of them or none. It is one round trip. After
// an error nobody knows whether they were added.
func (s *Stream) Add(ctx context.Context, entries [][]any) error {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	_, err := s.redis.TxPipelined(ctx, func(pipe redis.Pipeliner) error {
		for _, values := range entries {
			pipe.XAdd(ctx, &redis.XAddArgs{Stream: s.name, Values: values})
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("add to Redis stream %s: %w", s.name, err)
	}
	return nil
}

// Read returns up to n entries from the one with id from on, to the one with id until. "-" and "+" are the first and
// the last, "(" before an id leaves it out.
func (s *Stream) Read(ctx context.Context, from, until string, n int) ([]Entry, error) {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	found, err := s.redis.XRangeN(ctx, s.name, from, until, int64(n)).Result()
	return s.entries(found, err)
}

// Last returns the id of the last entry; "" when there is none.
func (s *Stream) Last(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	found, err := s.entries(s.redis.XRevRangeN(ctx, s.name, "+", "-", 1).Result())
	if err != nil || len(found) == 0 {
		return "", err
	}
	return found[0].ID, nil
}

func (s *Stream) entries(found []redis.XMessage, err error) ([]Entry, error) {
	if err != nil {
		return nil, fmt.Errorf("read Redis stream %s: %w", s.name, err)
	}
	list := make([]Entry, len(found))
	for i, m := range found {
		list[i] = Entry{ID: m.ID, Fields: make(map[string]string, len(m.Values))}
		for name, value := range m.Values {
			list[i].Fields[name], _ = value.(string)
		}
	}
	return list, nil
}

// Close ends the connections.
func (s *Stream) Close() error { return s.redis.Close() }
