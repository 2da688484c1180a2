# A static binary in an image with nothing else: no shell, no package manager, a numeric user.
# The version of Go is exact, because another one makes another binary; BUILDER names a mirror, or an image by its digest.
ARG BUILDER=golang:1.26.8
FROM --platform=$BUILDPLATFORM $BUILDER AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG TARGETOS
ARG TARGETARCH
ARG VERSION=dev
ARG COMMIT=unknown
RUN CGO_ENABLED=0 GOOS=$TARGETOS GOARCH=$TARGETARCH go build -trimpath -buildvcs=false -tags grpcnotrace \
      -ldflags "-s -w -X main.version=$VERSION -X main.commit=$COMMIT" -o /out/sidecar ./cmd/sidecar \
 && mkdir -p /out/spool

FROM scratch
ARG VERSION=dev
ARG COMMIT=unknown
LABEL org.opencontainers.image.title="integration sidecar" \
      org.opencontainers.image.description="Sees outbound HTTP calls through: retries, idempotency keys, limits, breakers, signatures, letters of what failed" \
      org.opencontainers.image.source="https://github.com/fsm-integrations/sidecar" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$COMMIT"
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=build /src/LICENSE /src/docs/licenses.md /licenses/
COPY --from=build /out/sidecar /sidecar
# made here so that the folders above the spool stay root's
WORKDIR /var/lib/sidecar
COPY --from=build --chown=65532:65532 /out/spool dlq
WORKDIR /
# kubectl exec … -- sidecar status
ENV PATH=/
USER 65532:65532
EXPOSE 9902
VOLUME /var/lib/sidecar/dlq
ENTRYPOINT ["/sidecar"]
CMD ["run", "--config", "/etc/sidecar/config.yaml"]
