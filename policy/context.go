package policy

// Context is what of a call's context is sent on to the external system, which is a third party.
type Context struct {
	Forward []string `yaml:"forward" enum:"tenant,user,baggage" doc:"Fields sent on: tenant (X-Tenant-ID), user (X-User-ID), baggage. The correlation id and traceparent always are."`
}
