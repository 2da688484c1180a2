// Package servers holds the product to its contract against real servers: nginx as a provider with TLS, HTTP/2 and
// connections it closes when idle; promtool as the reader of the metrics; toxiproxy as a bad network; a small tmpfs as
// a full disk; providers that believe only the official libraries of signatures (e2e/verify); a kube-apiserver as the
// judge of k8s/; podman as the builder and the runner of the image. Its tests carry the build tag e2e, and fail when a
// server is missing: e2e/setup.sh installs them.
package servers
