# The two commands of a newcomer are make demo and make test; make help prints the rest.

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
COMMIT  ?= $(shell git rev-parse --short=12 HEAD 2>/dev/null || echo unknown)
# Without it gRPC, which the exporter of spans links, brings html/template, and that switches off half of the linker's pruning: 11 MB.
TAGS    := grpcnotrace
LDFLAGS := -s -w -X main.version=$(VERSION) -X main.commit=$(COMMIT)
CONFIG  ?= config.example.yaml
FUZZTIME ?= 20s
IMAGE   ?= integration-sidecar:$(VERSION)
BINARY  ?= bin/sidecar
# Of the image. A docker whose daemon does not answer cannot build; info tells. PLATFORM, as linux/arm64, builds for another
# machine than this one. EPOCH is the time that files get in the image; docker gives it to the image only. Older podmans do
# not know which platform they run on.
IMAGE_TOOL ?= $(shell for t in docker podman buildah; do $$t info >/dev/null 2>&1 && { echo $$t; break; }; done)
PLATFORM   ?=
EPOCH      ?= $(shell git log -1 --format=%ct 2>/dev/null || echo 0)
IMAGE_FLAGS ?=
IS_DOCKER = $(filter docker,$(notdir $(IMAGE_TOOL)))

STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2
GOVULNCHECK := golang.org/x/vuln/cmd/govulncheck@v1.9.0
GOLICENSES  := github.com/google/go-licenses@v1.6.0
CYCLONEDX   := github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod@v1.10.0
# Tools of their own, so that the project's go.mod does not carry them.
TOOLS := $(CURDIR)/bin/tools

# The race detector needs a C compiler on Linux; without one the tests still run, and say so.
RACE := $(if $(shell command -v $${CC:-cc}),-race,)

.DEFAULT_GOAL := help
.PHONY: help demo run build test e2e bench lint vuln licenses sbom fuzz image schema

help: ## what there is
	@awk -F ':.*## ' '/^[a-z0-9]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: ## see the whole product work on this machine, with no other server (under a minute)
	@CGO_ENABLED=0 go run ./cmd/sidecar demo

run: build ## serve CONFIG (default config.example.yaml)
	$(BINARY) run --config $(CONFIG)

build: ## the static binary, in bin/; the same bytes as in the image, with the same version of Go
	CGO_ENABLED=0 go build -trimpath -buildvcs=false -tags $(TAGS) -ldflags '$(LDFLAGS)' -o $(BINARY) ./cmd/sidecar

test: ## every test that needs only Go, with the race detector
	$(if $(RACE),,@echo "no C compiler found: the tests run without the race detector")
	go test $(RACE) -count 1 -timeout 9m ./...

e2e: ## install and start the real servers, and test the built binary against them
	bash e2e/setup.sh
	go test -tags e2e -count 1 -timeout 40m ./e2e/servers/... ./bench
	cd e2e/browser && go test -tags e2e -count 1 -timeout 15m .

bench: ## measure the sidecar beside nginx, HAProxy and httputil in one run
	bash bench/setup.sh
	go run ./bench
	go test -run '^$$' -bench . -benchmem ./policy

lint: ## gofmt, go vet, staticcheck, import directions, the modules' checksums
	@unformatted=$$(gofmt -l .); if [ -n "$$unformatted" ]; then echo "not formatted:"; echo "$$unformatted"; exit 1; fi
	go vet ./...
	go vet -tags e2e ./e2e/... ./bench
	cd e2e/browser && go vet -tags e2e .
	go run $(STATICCHECK) ./...
	go run $(STATICCHECK) -tags e2e ./e2e/... ./bench
	go mod tidy -diff
	go mod verify
	go test -count 1 -run 'Import|Licences' ./cmd/sidecar

vuln: ## known vulnerabilities of what the binary calls (needs the network: it fetches the Go vulnerability database)
	go run $(GOVULNCHECK) ./...

licenses: ## write docs/licenses.md anew: licences of all that is linked into the binary
	GOBIN=$(TOOLS) go install $(GOLICENSES)
	CGO_ENABLED=0 GOOS=linux GOFLAGS=-tags=$(TAGS) $(TOOLS)/go-licenses report ./cmd/sidecar --template docs/licenses.tpl >$(TOOLS)/licenses.md
	mv $(TOOLS)/licenses.md docs/licenses.md

sbom: ## what the binary is made of, as CycloneDX, in bin/sidecar.cdx.json
	GOBIN=$(TOOLS) go install $(CYCLONEDX)
	CGO_ENABLED=0 GOOS=linux GOFLAGS=-tags=$(TAGS) $(TOOLS)/cyclonedx-gomod app -json -licenses -output bin/sidecar.cdx.json -main cmd/sidecar .

fuzz: ## every fuzz target for FUZZTIME each
	@set -e; for package in $$(go list ./...); do \
	  for target in $$(go test -list '^Fuzz' $$package | grep '^Fuzz' || true); do \
	    echo "$$package $$target"; go test -run '^$$' -fuzz "^$$target$$" -fuzztime $(FUZZTIME) $$package; \
	  done; \
	done

schema: ## write config.schema.json, what is rendered in k8s/, and the golden files anew
	go test ./internal/config -update
	go test ./internal/inject -update

image: sbom ## the container image, by docker, podman or buildah (IMAGE_TOOL), and its bill of materials in bin/
	@[ -n "$(IMAGE_TOOL)" ] || { echo "make image needs podman, buildah, or docker with its daemon"; exit 1; }
	SOURCE_DATE_EPOCH=$(EPOCH) $(IMAGE_TOOL) build $(if $(PLATFORM),--platform $(PLATFORM)) \
	  $(if $(IS_DOCKER),,--timestamp $(EPOCH) --build-arg BUILDPLATFORM=linux/$$(go env GOHOSTARCH)) \
	  --build-arg VERSION=$(VERSION) --build-arg COMMIT=$(COMMIT) $(IMAGE_FLAGS) -t $(IMAGE) .
