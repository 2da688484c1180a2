package config

import (
	"net"
	"net/netip"
	"net/url"
	"regexp"
	"strconv"
	"strings"

	"github.com/fsm-integrations/sidecar/internal/egress"
	"github.com/fsm-integrations/sidecar/policy"
)

// checkDocument reports what only the whole document can tell.
func (r *resolver) checkDocument(doc *Document) {
	r.checkDLQ(&r.written.DLQ)
	listeners := r.listeners(doc)
	r.checkListeners(doc, listeners)
	ids := map[string]string{}
	for _, a := range doc.Adapters {
		at := r.place("adapters", a.Name, "id")
		if other, taken := ids[a.ID]; taken {
			r.faults.add(at, "adapters."+a.Name+".id", a.ID+" is the id of adapter "+other+" already; metrics and letters could not be told apart")
		}
		ids[a.ID] = a.Name
		r.checkSelf(a, listeners)
		r.checkKept(doc, a)
		r.checkSignedHost(a)
	}
	r.checkShared(doc)
	r.checkRedis(doc)
	r.checkVault(doc)
}

// checkKept refuses to put on disk what must not lie there: until it is delivered, an accepted call is kept whole.
func (r *resolver) checkKept(doc *Document, a *Adapter) {
	async := a.Settings.Async()
	for _, o := range a.Operations {
		async = async || o.Settings.Async()
	}
	if async && doc.DLQ.Body == "omit" && doc.DLQ.EncryptionKey == "" {
		r.faults.add(r.place("adapters", a.Name, "delivery"), "adapters."+a.Name+".delivery",
			"keeps the body of an accepted call until it is delivered, although dlq.body is omit; seal it with dlq.encryption_key, or use sync")
	}
}

// checkSignedHost refuses a host of which there are two spellings, where a signature covers it: net/http sends the other.
func (r *resolver) checkSignedHost(a *Adapter) {
	signed := a.Settings.Sign.CoversHost()
	for _, o := range a.Operations {
		signed = signed || o.Settings.Sign.CoversHost()
	}
	if signed && a.Upstream != nil && strings.IndexFunc(a.Upstream.Host, func(c rune) bool { return c > '~' }) >= 0 {
		r.faults.add(r.place("adapters", a.Name, "upstream"), "adapters."+a.Name+".upstream",
			"has a host that is not ASCII, and sign covers the host as it is sent; write its xn-- form")
	}
}

// checkAdapter reports what is wrong with one adapter beside its policies.
func (r *resolver) checkAdapter(a *Adapter, w adapterShape, n *node, s *scope) {
	if v := n.get("version"); v != nil && v.tag == "!!str" && !regexp.MustCompile(semverPattern).MatchString(v.text) {
		r.faults.add(v, s.path+".version", quote(v.text)+" is not a semantic version, such as 2.1.0")
	}
	if w.Upstream != "" {
		u, message := upstream(w.Upstream)
		if message != "" {
			r.faults.add(n.get("upstream"), s.path+".upstream", message)
		}
		a.Upstream = u
	}
	if at := n.get("tls"); a.Upstream != nil && a.Upstream.Scheme == "http" && at != nil && a.Settings.Host.TLS != nil {
		r.warnings.add(at, s.path+".tls", "does nothing: the upstream is called by http, without TLS")
	}
	r.checkAutoReplay(a.Settings, s)
	if why := a.Settings.CheckAuthFault(); why != "" {
		r.faults.add(s.at("health.auth"), s.path+".health.auth", why)
	}
}

// checkAutoReplay refuses to replay by itself, for an adapter or an operation, what the provider may have forgotten.
func (r *resolver) checkAutoReplay(c *policy.Settings, s *scope) {
	if c.DeadLetter == nil || !c.DeadLetter.AutoReplay {
		return
	}
	path, dlq := s.path+".dlq.auto_replay", r.written.DLQ
	if dlq.Body == "omit" {
		r.warnings.add(s.at("dlq.auto_replay"), path, "does nothing: letters are kept without their bodies (the document's dlq.body is omit), so they cannot be replayed")
	}
	if keys := c.Idempotency; keys != nil && dlq.Retention > keys.ProviderTTL {
		r.faults.add(s.at("dlq.auto_replay"), path,
			"would replay a letter that is kept longer (dlq.retention "+dlq.Retention.String()+") than the provider remembers its key (idempotency.provider_ttl "+
				keys.ProviderTTL.String()+"); shorten dlq.retention or switch it off")
	}
}

// upstream reads a base URL. Its messages do not repeat the URL: it may hold a password.
func upstream(text string) (*url.URL, string) {
	u, err := url.Parse(text)
	switch {
	case err != nil:
		return nil, "is not a URL, such as https://api.example.com"
	case u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "":
		return nil, "must be absolute, with http or https and a host, such as https://api.example.com"
	case u.Port() != "" && !validPort(u.Port()):
		return nil, "has a port that is not a number from 1 to 65535"
	case u.User != nil:
		return nil, "holds user information; credentials belong into auth, as secret references"
	case numbersOnly(u.Hostname()):
		return nil, "has a host of numbers that is not an IP address in its usual writing, such as 192.0.2.7; some resolvers would take it for one"
	case neverDialled(u.Hostname()):
		return nil, "is a link-local, metadata, multicast or unspecified address, which is never called; name the external system"
	case u.RawQuery != "" || u.ForceQuery:
		return nil, "holds a query; the application's query is what is sent"
	case u.Fragment != "" || strings.Contains(text, "#"):
		return nil, "holds a fragment, which is never sent"
	}
	return u, ""
}

// neverDialled reports a literal address that every call would be refused at. A name is looked up at each call only.
func neverDialled(host string) bool {
	addr, err := netip.ParseAddr(host)
	return err == nil && egress.Forbidden(addr) != ""
}

// numbersOnly reports a host that ends in a number and is no IP address: 127.1, 0x7f000001 and 2130706433 are all
// 127.0.0.1 to some resolvers (inet_aton), and no domain name ends so.
func numbersOnly(host string) bool {
	if _, err := netip.ParseAddr(host); err == nil {
		return false
	}
	last := strings.TrimSuffix(host, ".")
	last = last[strings.LastIndexByte(last, '.')+1:]
	_, err := strconv.ParseUint(last, 0, 64)
	return err == nil || strings.Trim(last, "0123456789") == ""
}

// checkShared warns of adapters that the Host field cannot tell apart.
func (r *resolver) checkShared(doc *Document) {
	first := map[string]string{}
	for _, a := range doc.Adapters {
		if a.Upstream == nil {
			continue
		}
		at := net.JoinHostPort(strings.ToLower(a.Upstream.Hostname()), upstreamPort(a.Upstream))
		if other, taken := first[at]; taken {
			r.warnings.add(r.place("adapters", a.Name, "upstream"), "adapters."+a.Name+".upstream",
				"has the host and port of adapter "+other+" too; calls by Host field go to "+other+", those by path or by its own address to "+a.Name)
			continue
		}
		first[at] = a.Name
	}
}

// checkMatch reports a method or path pattern that can match nothing.
func (r *resolver) checkMatch(m Match, n *node, path string) {
	if at := n.get("timeout").get("connect"); at != nil {
		r.faults.add(at, path+".timeout.connect", "belongs to the external system as a whole, whose connections its operations share; set it on the adapter")
	}
	match := n.get("match")
	if at := match.get("method"); at != nil && at.tag == "!!str" && !regexp.MustCompile(`^[A-Z][A-Z-]*$`).MatchString(m.Method) {
		r.faults.add(at, path+".match.method", quote(at.text)+" is not a method in capitals, such as POST; leave the key out for any method")
	} else if m.Method == "CONNECT" || m.Method == "TRACE" {
		r.faults.add(at, path+".match.method", m.Method+" is never let through")
	}
	if m.Path == "" {
		return
	}
	if message := pathPattern(m.Path); message != "" {
		r.faults.add(match.get("path"), path+".match.path", quote(m.Path)+" "+message)
	}
}

// pathPattern says what is wrong with a pattern: segments, {name} for any one segment, a last ** for the rest.
func pathPattern(pattern string) string {
	if !strings.HasPrefix(pattern, "/") {
		return "does not begin with /"
	}
	if strings.ContainsAny(pattern, "?# \t\r\n\\") {
		return "holds a character that no path has; a query is not matched"
	}
	name := regexp.MustCompile(`^\{[A-Za-z_][A-Za-z0-9_]*\}$`)
	segments := strings.Split(pattern[1:], "/")
	for i, s := range segments {
		last := i == len(segments)-1
		switch {
		case s == "**" && last, s == "" && last, name.MatchString(s):
		case s == "**":
			return "has ** before its end; it stands for the rest of the path"
		case s == "" || s == "." || s == "..":
			return "has an empty, . or .. segment, which no call can reach"
		case strings.ContainsAny(s, "{}*"):
			return "has a segment that is neither plain nor {name}"
		}
	}
	return ""
}

// place is the node at keys, else the nearest block around it.
func (r *resolver) place(keys ...string) *node {
	found, _ := r.root.nearest(keys)
	return found
}
