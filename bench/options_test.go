package main

import (
	"io"
	"slices"
	"testing"
)

func TestOptionsChooseTargets(t *testing.T) {
	tests := []struct {
		name string
		args []string
		want []string
	}{
		{"default", nil, defaultNames()},
		{"only, in printing order", []string{"-only", "httputil, direct"}, []string{nameDirect, nameHTTPUtil}},
		{"without", []string{"-without", "nginx,haproxy"}, []string{nameDirect, nameHTTPUtil, nameSidecar, nameSidecarLog, nameObserved, nameRedis}},
		{"pooled on demand", []string{"-only", "httputil-pool"}, []string{namePooled}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			o, err := parseOptions(tt.args, io.Discard)
			if err != nil || !slices.Equal(o.names, tt.want) {
				t.Fatalf("%v, %v", o.names, err)
			}
		})
	}
}

func TestOptionsRefuse(t *testing.T) {
	for _, args := range [][]string{
		{"-only", "nginks"},
		{"-without", "nginks"},
		{"-only", "nginx", "-without", "nginx"},
		{"-rounds", "0"},
		{"-duration", "0s"},
		{"-conns", "-1"},
		{"extra"},
	} {
		if _, err := parseOptions(args, io.Discard); err == nil {
			t.Errorf("%v was taken", args)
		}
	}
}
