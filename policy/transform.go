package policy

// Transform are jq programs over JSON bodies.
type Transform struct {
	Request  string `yaml:"request" later:"*" doc:"Program over the request body."`
	Response string `yaml:"response" later:"*" doc:"Program over the response body."`
}
