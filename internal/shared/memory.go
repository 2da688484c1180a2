package shared

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"

	"github.com/redis/go-redis/v9"
)

// The shares of its maxmemory above which a Redis is nearly full, and below which it no longer is: in between it stays
// what it was, so that one that wavers is told of once.
const (
	nearlyFull = 0.90
	roomAgain  = 0.85
)

// memory is what each server says of its memory: of a cluster every master, for a full one refuses its share of the keys.
func (c *Client) memory(ctx context.Context) ([]string, error) {
	cluster, ok := c.prober.(*redis.ClusterClient)
	if !ok {
		info, err := c.prober.Info(ctx, "memory").Result()
		return []string{info}, err
	}
	var mu sync.Mutex
	var infos []string
	err := cluster.ForEachMaster(ctx, func(ctx context.Context, node *redis.Client) error {
		info, err := node.Info(ctx, "memory").Result()
		mu.Lock()
		defer mu.Unlock()
		infos = append(infos, info)
		return err
	})
	return infos, err
}

// warn judges what the servers say, and tells of a warning once.
func (g *gate) warn(infos []string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	evicts, above := "", ""
	for _, info := range infos {
		if evicts == "" {
			evicts = eviction(info)
		}
		share := nearlyFull
		if g.full {
			share = roomAgain
		}
		if above == "" && used(info) > share {
			above = field(info, "maxmemory_human")
		}
	}
	g.full = above != ""
	if g.full {
		above = fmt.Sprintf("Redis has used nearly all of its maxmemory (%s; this warns from 90 %% on): when it is full it takes nothing more, and counts as down; make room, or raise maxmemory", above)
	}
	var said []string
	for i, now := range [...]string{evicts, above} {
		if now == "" {
			g.warnings[i] = ""
			continue
		}
		if said = append(said, now); now != g.warnings[i] && g.warned != nil {
			g.warned(now)
		}
		g.warnings[i] = now
	}
	g.warning = strings.Join(said, "; ")
}

// eviction is what is wrong with a server that may forget a used key, which would then look unused.
func eviction(info string) string {
	policy := field(info, "maxmemory_policy")
	if policy == "" || policy == "noeviction" || field(info, "maxmemory") == "0" {
		return ""
	}
	return fmt.Sprintf("maxmemory-policy is %s: Redis may forget used keys and limits when it is full; set noeviction", policy)
}

// used is the share of its maxmemory that a server has in use; 0 without a maxmemory.
func used(info string) float64 {
	most, err := strconv.ParseFloat(field(info, "maxmemory"), 64)
	if err != nil || most <= 0 {
		return 0
	}
	now, err := strconv.ParseFloat(field(info, "used_memory"), 64)
	if err != nil {
		return 0
	}
	return now / most
}

// field finds name in what INFO says.
func field(info, name string) string {
	for line := range strings.Lines(info) {
		if value, found := strings.CutPrefix(line, name+":"); found {
			return strings.TrimSpace(value)
		}
	}
	return ""
}
