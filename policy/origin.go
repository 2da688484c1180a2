package policy

import (
	"net/url"
	"strings"
)

// Origin is scheme and authority of an external system, as it knows itself from the calls of the sidecar.
func Origin(upstream *url.URL) string { return upstream.Scheme + "://" + authority(upstream) }

// authority is the host in the one form that everybody who signs it agrees on: lower case, without the scheme's own
// port (RFC 9421 section 2.2.3). It is sent like that, too.
func authority(u *url.URL) string {
	host := strings.ToLower(u.Host)
	own := ":80"
	if u.Scheme == "https" {
		own = ":443"
	}
	return strings.TrimSuffix(strings.TrimSuffix(host, own), ":")
}
