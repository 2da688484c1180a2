package wire

import "net/textproto"

// FromHeader takes the fields of a header kept by name, as net/http keeps it, except those called like one of left
// (in canonical spelling). The order of names is lost there already; that of one name's values is kept.
func FromHeader(header map[string][]string, left ...string) Fields {
	fields := make(Fields, 0, len(header)+6) // room for what policies add
next:
	for name, values := range header {
		for _, l := range left {
			if name == l {
				continue next
			}
		}
		for _, value := range values {
			fields = append(fields, Field{Name: name, Value: value})
		}
	}
	return fields
}

// AddTo adds the fields to a header kept by canonical name. The values share one array.
func (f Fields) AddTo(header map[string][]string) {
	values := make([]string, 0, len(f))
	for i := range f {
		name := textproto.CanonicalMIMEHeaderKey(f[i].Name)
		if earlier, ok := header[name]; ok {
			header[name] = append(earlier, f[i].Value)
			continue
		}
		values = append(values, f[i].Value)
		header[name] = values[len(values)-1 : len(values) : len(values)]
	}
}
