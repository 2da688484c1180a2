package dlq

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// kafkaDialled keeps why brokers could not be reached, or did not let us in: the client tries again until the time has
// passed, and then often tells only that.
type kafkaDialled struct {
	mu  sync.Mutex
	err error // of the last try; nil: it succeeded
}

var _ kgo.HookBrokerConnect = (*kafkaDialled)(nil)

// OnBrokerConnect implements the client's hook.
func (d *kafkaDialled) OnBrokerConnect(_ kgo.BrokerMetadata, _ time.Duration, _ net.Conn, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.err = err
}

// explain adds to an error that only says that time has passed why no broker was reached, when that is so.
func (d *kafkaDialled) explain(err error) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.err == nil || errors.Is(err, d.err) || !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, kgo.ErrRecordTimeout) {
		return err
	}
	return fmt.Errorf("%w: %w", err, d.err)
}
