package policy

import (
	"mime"
	"strings"
)

// Validate is what the application may send; empty lists allow everything.
type Validate struct {
	Methods      []string `yaml:"methods" doc:"Allowed methods."`
	ContentTypes []string `yaml:"content_types" doc:"Allowed media types of a request with a body; parameters are not compared."`
	Schema       string   `yaml:"schema" later:"*" doc:"JSON Schema of the request body, as file:path."`
}

func (v *Validate) check(r Report) {
	for _, m := range v.Methods {
		if m == "CONNECT" || m == "TRACE" || m != strings.ToUpper(m) || !validFieldName(m) {
			r.Fault("validate.methods", m+" is not a method that can be allowed, such as GET or POST")
		}
	}
	for _, t := range v.ContentTypes {
		if media, _, err := mime.ParseMediaType(t); err != nil || !strings.Contains(media, "/") {
			r.Fault("validate.content_types", t+" is not a media type, such as application/json")
		}
	}
}
