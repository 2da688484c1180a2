package main

import (
	"context"
	"errors"
	"flag"
	"net/http"
	"net/http/httputil"
	"net/url"
	"sync"
)

const roleHTTPUtil = "bench-httputil"

// idlePerHost is above every sensible -conns: with the default of 2 a transport would dial anew on most calls, and
// the yardstick would be made of dialling.
const idlePerHost = 1024

// runHTTPUtil is the role of the yardstick: what the standard library gives when nothing but the connection pool
// and the client's compression are set.
func runHTTPUtil(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet(roleHTTPUtil, flag.ContinueOnError)
	listen := flags.String("listen", "127.0.0.1:0", "address")
	upstream := flags.String("upstream", "", "address of the upstream")
	pooled := flags.Bool("pool", false, "reuse copy buffers")
	if err := flags.Parse(args); err != nil {
		return err
	}
	target := &url.URL{Scheme: "http", Host: *upstream}
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) },
		Transport: &http.Transport{
			MaxIdleConns:        idlePerHost,
			MaxIdleConnsPerHost: idlePerHost,
			DisableCompression:  true,
		},
	}
	if *pooled {
		proxy.BufferPool = &copyBuffers{}
	}
	server := &http.Server{Addr: *listen, Handler: proxy}
	defer context.AfterFunc(ctx, func() { _ = server.Close() })()
	if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// copyBuffers is the pool that httputil.ReverseProxy takes: without one it makes 32 KiB of garbage per response.
type copyBuffers struct{ pool sync.Pool }

func (c *copyBuffers) Get() []byte {
	if buf, ok := c.pool.Get().(*[]byte); ok {
		return *buf
	}
	return make([]byte, 32<<10)
}

func (c *copyBuffers) Put(buf []byte) { c.pool.Put(&buf) }
