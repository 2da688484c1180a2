package accepted

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"
)

// Find is Get, also for an exchange of another sidecar. An error that is not ErrNotFound may mean that Redis does not
// answer.
func (s *Store) Find(ctx context.Context, id string) (*Exchange, error) {
	x, err := s.Get(id)
	r := s.replicas
	if !errors.Is(err, ErrNotFound) || r == nil || uuid.Validate(id) != nil || len(id) != 36 {
		return x, err
	}
	value, err := r.Client.Run(ctx, r.scripts.read, r.exchange(id))
	if err != nil {
		return nil, fmt.Errorf("read an exchange of another sidecar: %w", err)
	}
	parts := texts(value)
	if len(parts) != 2 {
		return nil, ErrNotFound
	}
	found, err := decodeRecord([]byte(parts[0]))
	if err != nil || found.Result != nil && !s.config.Now().Before(found.Result.Expires) {
		return nil, ErrNotFound
	}
	if x, err = s.exchange(id, found); err != nil {
		return nil, ErrNotFound
	}
	if found.Result != nil {
		answer := []byte(parts[1])
		s.answer(x, found.Result, answer, digestOf(answer) == found.Result.Body)
	}
	return x, nil
}
