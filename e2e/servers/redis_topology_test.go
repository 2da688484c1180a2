//go:build e2e

package servers

import (
	"fmt"
	"strings"
	"testing"

	"github.com/fsm-integrations/sidecar/e2e"
)

// watched is a master and its replica under sentinels.
type watched struct {
	name            string
	master, replica *redisServer // as started
	sentinels       []*redisServer
}

// startWatched starts a pair under n sentinels, of which a majority must agree, and returns when all know all.
func startWatched(t *testing.T, n int) *watched {
	t.Helper()
	w := &watched{name: "themaster", master: startRedis(t)}
	host, port, _ := strings.Cut(w.master.address, ":")
	w.replica = startRedis(t, "replicaof "+host+" "+port)
	e2e.Eventually(t, "the replica to follow", func() bool { return w.replica.info("replication", "master_link_status") == "up" })
	for range n {
		w.sentinels = append(w.sentinels, redisSetup{program: "redis-sentinel", directives: []string{
			fmt.Sprintf("sentinel monitor %s %s %s %d", w.name, host, port, n/2+1),
			"sentinel down-after-milliseconds " + w.name + " 1000",
			"sentinel failover-timeout " + w.name + " 5000",
		}}.start(t))
	}
	for _, s := range w.sentinels {
		e2e.Eventually(t, "the sentinels to know each other and the replica", func() bool {
			about := fmt.Sprint(s.do("INFO", "sentinel"))
			return strings.Contains(about, fmt.Sprintf("slaves=1,sentinels=%d", n))
		})
	}
	return w
}

// current is the address of the master that the first sentinel names.
func (w *watched) current() string {
	pair, ok := w.sentinels[0].do("SENTINEL", "get-master-addr-by-name", w.name).([]any)
	if !ok || len(pair) != 2 {
		return ""
	}
	return fmt.Sprint(pair[0], ":", pair[1])
}

// waitFailover returns when the replica is the master and the sentinels say so.
func (w *watched) waitFailover(t *testing.T) {
	t.Helper()
	e2e.Eventually(t, "the replica to become the master", func() bool {
		return w.current() == w.replica.address && w.replica.info("replication", "role") == "master"
	})
}

// addresses of several servers, as the configuration lists them.
func addresses(servers []*redisServer) string {
	var all []string
	for _, s := range servers {
		all = append(all, s.address)
	}
	return strings.Join(all, ", ")
}

const slots = 16384

// startCluster starts three masters that share all slots and returns when each says that all is well.
func startCluster(t *testing.T) []*redisServer {
	t.Helper()
	var nodes []*redisServer
	var buses []string
	for i := range 3 {
		_, bus, _ := strings.Cut(e2e.FreeAddr(t), ":") // the usual one, 10000 above, may be anybody's
		node := startRedis(t, "cluster-enabled yes", "cluster-config-file nodes.conf", "cluster-node-timeout 2000", "cluster-port "+bus)
		node.do("CLUSTER", "ADDSLOTSRANGE", i*slots/3, (i+1)*slots/3-1)
		nodes, buses = append(nodes, node), append(buses, bus)
	}
	for i, node := range nodes[1:] {
		host, port, _ := strings.Cut(node.address, ":")
		nodes[0].do("CLUSTER", "MEET", host, port, buses[i+1])
	}
	for _, node := range nodes {
		e2e.Eventually(t, "the cluster to form", func() bool {
			about := fmt.Sprint(node.do("CLUSTER", "INFO"))
			return strings.Contains(about, "cluster_state:ok") && strings.Contains(about, "cluster_known_nodes:3")
		})
	}
	return nodes
}
