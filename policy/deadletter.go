package policy

// DeadLetter says which final failures are kept as letters.
type DeadLetter struct {
	On         []string `yaml:"on" default:"network,timeout,429,5xx,circuit_open,outcome_unknown" enum:"network,timeout,429,5xx,circuit_open,outcome_unknown" doc:"Final outcomes that are kept."`
	Methods    []string `yaml:"methods" default:"POST,PUT,PATCH,DELETE" doc:"Methods whose failures are kept."`
	AutoReplay bool     `yaml:"auto_replay" default:"false" later:"true" doc:"Replay letters by themselves when the breaker closes again."`
}

func (d *DeadLetter) check(r Report) {
	for _, m := range d.Methods {
		if !validFieldName(m) || m == "CONNECT" || m == "TRACE" {
			r.Fault("dlq.methods", m+" is not a method")
		}
	}
}
