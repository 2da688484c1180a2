package config

import (
	"regexp"

	"github.com/fsm-integrations/sidecar/internal/secret"
	"github.com/fsm-integrations/sidecar/internal/units"
	"github.com/fsm-integrations/sidecar/policy"
)

// Redis is where the sidecars of one application keep what they share: used keys, rate limits, states of breakers,
// and copies of accepted calls.
type Redis struct {
	Addresses        []string       `yaml:"addresses" doc:"host:port of the server, of the cluster's nodes, or of the sentinels. Empty: state stays in this process."`
	Username         string         `yaml:"username" doc:"User of the server's access control list."`
	Password         secret.Ref     `yaml:"password" doc:"Password, as a secret reference; read again for each new connection."`
	TLS              *policy.TLS    `yaml:"tls" default:"off" doc:"TLS to the server; {} for the system's roots."`
	MasterName       string         `yaml:"master_name" doc:"Name of the master when addresses are sentinels."`
	SentinelUsername string         `yaml:"sentinel_username" doc:"User at the sentinels themselves."`
	SentinelPassword secret.Ref     `yaml:"sentinel_password" doc:"Password at the sentinels themselves, as a secret reference; read once."`
	Cluster          bool           `yaml:"cluster" default:"false" doc:"A single address leads to a cluster; several without master_name always do."`
	Prefix           string         `yaml:"prefix" default:"integration-sidecar" doc:"Begins every key. Sidecars with the same prefix share their state: give each application its own."`
	Budget           units.Duration `yaml:"budget" default:"100ms" min:"1ms" max:"10s" doc:"Longest a call waits for Redis in all; then it goes on as store and store_down say. At least five times the round trip."`
	MaxOutcome       units.Bytes    `yaml:"max_outcome" default:"256KiB" min:"1B" max:"4MiB" doc:"Largest response body kept for replay by key in Redis; of a larger one only the fact is kept."`
	MaxAccepted      units.Bytes    `yaml:"max_accepted" default:"1MiB" min:"0B" max:"16MiB" doc:"Largest body of an accepted call that is copied to Redis, so that another sidecar delivers it when this one is gone. 0B: accepted calls stay with their sidecar."`
}

// Used reports whether there is a Redis to use.
func (r *Redis) Used() bool { return r != nil && len(r.Addresses) > 0 }

// A colon in a prefix could make one application's key another's.
var prefixPattern = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)

// checkRedis reports addresses and settings that no client could use, and policies that need a Redis and have none.
func (r *resolver) checkRedis(doc *Document) {
	if c := doc.Redis; c != nil {
		r.checkRedisAddresses(c)
		if !prefixPattern.MatchString(c.Prefix) {
			r.redisFault("prefix", quote(c.Prefix)+" is not 1 to 64 letters, digits and . _ -")
		}
		if c.TLS != nil {
			c.TLS.Check(fileReport(func(message string) { r.redisFault("tls", message) }))
		}
	}
	for _, a := range doc.Adapters {
		if b := a.Settings.Host.Breaker; b != nil && b.Share == "redis" && !doc.Redis.Used() {
			s := doc.scopes[a.Name]
			r.faults.add(s.at("breaker.share"), s.path+".breaker.share", "needs redis.addresses: without a Redis there is nobody to share with")
		}
	}
}

func (r *resolver) checkRedisAddresses(c *Redis) {
	list := r.root.get("redis").get("addresses")
	for i, address := range c.Addresses {
		if !hostPort(address) {
			r.faults.add(list.items[i], item("redis.addresses", i), quote(withoutLogin(address))+" is not host:port, such as redis:6379, without scheme and login")
		}
	}
	switch {
	case c.MasterName != "" && c.Cluster:
		r.redisFault("master_name", "is for sentinels, and cluster is set: a cluster has none")
	case len(c.Addresses) == 0 && (c.MasterName != "" || c.Cluster || c.Password != "" || c.Username != ""):
		r.redisFault("addresses", "is empty, so nothing else of redis is used")
	case c.MasterName == "" && (c.SentinelUsername != "" || c.SentinelPassword != ""):
		r.redisFault("master_name", "is missing: the user and password of sentinels are set, and without it addresses are no sentinels")
	}
}

// redisFault adds a fault below redis, unless the value is at fault already.
func (r *resolver) redisFault(key, message string) { r.blockFault("redis", message, key) }
