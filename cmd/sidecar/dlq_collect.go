package main

import (
	"context"

	"github.com/fsm-integrations/sidecar/internal/admin"
)

// collect asks for one page after the other until it has limit ids, or with limit 0 all of them.
func collect(ctx context.Context, client *admin.Client, q admin.Query, limit int) ([]string, error) {
	var ids []string
	for {
		q.Limit = admin.MaxLimit
		if limit > 0 {
			q.Limit = min(limit-len(ids), admin.MaxLimit)
		}
		page, err := client.Letters(ctx, q)
		if err != nil {
			return nil, err
		}
		for _, l := range page.Letters {
			ids = append(ids, l.ID)
		}
		if !page.More || len(page.Letters) == 0 || len(ids) == limit {
			return ids, nil
		}
		q.After = ids[len(ids)-1]
	}
}
