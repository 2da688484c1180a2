package config

import (
	"cmp"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
)

// listener is an address the sidecar binds.
type listener struct {
	path string
	host string // as written
	addr netip.Addr
	port int
	any  bool  // all addresses of the machine
	set  *node // nil when it is built in
}

// listeners parses all addresses; those that cannot be read are reported and left out.
func (r *resolver) listeners(doc *Document) []listener {
	var out []listener
	add := func(address string, keys ...string) {
		l, message := parseListener(address)
		l.path = strings.Join(keys, ".")
		if n, depth := r.root.nearest(keys); depth == len(keys) {
			l.set = n
		}
		switch {
		case message == "":
			out = append(out, l)
		case l.set != nil && !r.faults.touches(l.path):
			r.faults.add(l.set, l.path, quote(address)+" "+message)
		}
	}
	add(doc.Listen.Proxy, "listen", "proxy")
	if path, ok := strings.CutPrefix(doc.Listen.Admin, "unix:"); ok {
		r.checkSocket(path)
	} else {
		add(doc.Listen.Admin, "listen", "admin")
	}
	add(doc.Listen.Probes, "listen", "probes")
	for _, a := range doc.Adapters {
		if a.Listen != "" {
			add(a.Listen, "adapters", a.Name, "listen")
		}
	}
	return out
}

// maxSocketPath leaves room in the 107 bytes the kernel takes: the socket is made in a folder beside its place.
const maxSocketPath = 90

func (r *resolver) checkSocket(path string) {
	switch {
	case !strings.HasPrefix(path, "/") || strings.HasSuffix(path, "/"):
		r.blockFault("listen", "is not unix: and an absolute path, such as unix:/run/sidecar/admin.sock", "admin")
	case len(path) > maxSocketPath:
		r.blockFault("listen", "names a path longer than "+strconv.Itoa(maxSocketPath)+" bytes, which a socket cannot have", "admin")
	}
}

func parseListener(address string) (listener, string) {
	const wanted = "is not host:port with an IP address, localhost or nothing as host, such as 127.0.0.1:8080 or :8080"
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return listener{}, wanted
	}
	n, err := strconv.Atoi(port)
	if err != nil || n < 0 || n > 65535 {
		return listener{}, wanted
	}
	l := listener{host: host, port: n, any: host == ""}
	if host == "localhost" {
		host = "127.0.0.1"
	}
	if host != "" {
		if l.addr, err = netip.ParseAddr(host); err != nil {
			return listener{}, wanted
		}
		l.addr = l.addr.Unmap()
		l.any = l.addr.IsUnspecified()
	}
	return l, ""
}

func validPort(text string) bool {
	n, err := strconv.Atoi(text)
	return err == nil && n > 0 && n <= 65535
}

// checkListeners reports an admin listener that strangers reach, and two listeners that cannot both be bound.
func (r *resolver) checkListeners(doc *Document, all []listener) {
	for i, l := range all {
		if l.path == "listen.admin" && !doc.Listen.AllowRemoteAdmin && !l.addr.IsLoopback() {
			r.faults.add(l.set, l.path, quote(doc.Listen.Admin)+" is not a loopback address, and whoever reaches admin can read and replay letters; "+
				"listen on 127.0.0.1 or a Unix socket, or set listen.allow_remote_admin: true and listen.admin_token if the network keeps strangers out")
		}
		if l.path == "listen.admin" && doc.Listen.AllowRemoteAdmin && !l.addr.IsLoopback() {
			r.checkRemoteAdmin(doc)
		}
		for _, other := range all[:i] {
			if !l.collides(other) {
				continue
			}
			at, with := l, other
			if at.set == nil {
				at, with = other, l
			}
			r.faults.add(at.set, at.path, "listens on port "+strconv.Itoa(l.port)+" as "+with.path+" does; give each its own port")
		}
	}
}

// checkRemoteAdmin wants a token of strangers, and says that the way is open to listeners.
func (r *resolver) checkRemoteAdmin(doc *Document) {
	if doc.Listen.AdminToken == "" {
		r.blockFault("listen", "lets whoever reaches admin read and replay letters; set listen.admin_token too", "allow_remote_admin")
		return
	}
	r.warnings.add(r.place("listen", "admin"), "listen.admin", "is plain HTTP: whoever can listen on the network reads the token and the letters; prefer loopback or a Unix socket behind kubectl exec or port-forward")
}

// collides reports whether both cannot be bound. Port 0 is a free one each time.
func (l listener) collides(o listener) bool {
	return l.port == o.port && l.port != 0 && (l.any || o.any || l.addr == o.addr)
}

// upstreamPort is the port an upstream is called at, written or not.
func upstreamPort(u *url.URL) string {
	return cmp.Or(u.Port(), map[string]string{"http": "80", "https": "443"}[u.Scheme])
}

// checkSelf reports an upstream that is this sidecar: such a call would go round for ever.
func (r *resolver) checkSelf(a *Adapter, all []listener) {
	if a.Upstream == nil {
		return
	}
	port := upstreamPort(a.Upstream)
	host := strings.ToLower(a.Upstream.Hostname())
	addr, err := netip.ParseAddr(host)
	addr = addr.Unmap()
	local := host == "localhost" || strings.HasSuffix(host, ".localhost") || err == nil && (addr.IsLoopback() || addr.IsUnspecified())
	for _, l := range all {
		if strconv.Itoa(l.port) == port && (local || err == nil && addr == l.addr) {
			r.faults.add(r.place("adapters", a.Name, "upstream"), "adapters."+a.Name+".upstream", "is the sidecar itself ("+l.path+"); name the external system")
			return
		}
	}
}
