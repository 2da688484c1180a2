package wire

import "strings"

// hopByHop are the fields that concern one connection and never pass an intermediary (RFC 9110 section 7.6.1, with
// those of RFC 2616 section 13.5.1 that are still met).
var hopByHop = [...]string{"Connection", "Keep-Alive", "Proxy-Connection", "Proxy-Authenticate", "Proxy-Authorization",
	"Te", "Trailer", "Transfer-Encoding", "Upgrade"}

// EndToEnd removes, in place, the fields that concern only the connection they came over: the known ones and those
// that Connection names.
func (f Fields) EndToEnd() Fields {
	named := f.connectionOptions()
	kept := f[:0]
	for _, field := range f {
		if !isHopByHop(field.Name) && !containsFold(named, field.Name) {
			kept = append(kept, field)
		}
	}
	return kept
}

func (f Fields) connectionOptions() []string {
	var named []string
	for _, field := range f {
		if !strings.EqualFold(field.Name, "Connection") {
			continue
		}
		for option := range strings.SplitSeq(field.Value, ",") {
			if option = strings.TrimSpace(option); option != "" && !strings.EqualFold(option, "close") && !strings.EqualFold(option, "keep-alive") {
				named = append(named, option)
			}
		}
	}
	return named
}

func isHopByHop(name string) bool {
	for _, h := range hopByHop {
		if len(h) == len(name) && strings.EqualFold(h, name) {
			return true
		}
	}
	return false
}

func containsFold(list []string, s string) bool {
	for _, e := range list {
		if strings.EqualFold(e, s) {
			return true
		}
	}
	return false
}
