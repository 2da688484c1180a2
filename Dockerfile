# A static binary in an image with nothing else: no shell, no package manager, a numeric user.
FROM --platform=$BUILDPLATFORM golang:1.26 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG TARGETOS TARGETARCH VERSION=dev COMMIT=unknown
RUN CGO_ENABLED=0 GOOS=$TARGETOS GOARCH=$TARGETARCH go build -trimpath -buildvcs=false -tags grpcnotrace \
      -ldflags "-s -w -X main.version=$VERSION -X main.commit=$COMMIT" -o /out/sidecar ./cmd/sidecar \
 && mkdir -p /out/spool

FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=build /src/docs/licenses.md /licenses.md
COPY --from=build /out/sidecar /sidecar
COPY --from=build --chown=65532:65532 /out/spool /var/lib/sidecar/dlq
USER 65532:65532
EXPOSE 8080 9902
VOLUME /var/lib/sidecar/dlq
HEALTHCHECK CMD ["/sidecar", "health"]
ENTRYPOINT ["/sidecar"]
CMD ["run", "--config", "/etc/sidecar/config.yaml"]
