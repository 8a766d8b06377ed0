# syntax=docker/dockerfile:1

# Name a mirror or a digest in their places, to build the same from the same.
ARG GOLANG=golang:1.26-bookworm
ARG BASE=gcr.io/distroless/static-debian12:nonroot

# Built on the machine's own platform for any: Go needs no emulation for that.
FROM --platform=$BUILDPLATFORM ${GOLANG} AS build
ARG TARGETOS
ARG TARGETARCH
ARG VERSION=dev
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
RUN CGO_ENABLED=0 GOOS=${TARGETOS} GOARCH=${TARGETARCH} go build -trimpath -buildvcs=false -pgo cmd/terse/release.pgo -ldflags "-s -w -X main.version=${VERSION}" -o /out/terse ./cmd/terse
RUN mkdir /out/data

# Certificates, time zones and an unprivileged user, and no shell. For want of one there
# is no HEALTHCHECK: ask /readyz of the admin listener, as deploy/k8s does.
FROM ${BASE}
ARG VERSION=dev
ARG REVISION
LABEL org.opencontainers.image.title="Terse" \
      org.opencontainers.image.description="A URL shortener" \
      org.opencontainers.image.source="https://github.com/terse/terse" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
COPY --from=build /out/terse /terse
COPY --from=build --chown=65532:65532 /out/data /data
USER 65532:65532
ENV TERSE_DATA_DIR=/data
VOLUME /data
EXPOSE 8080
STOPSIGNAL SIGTERM
ENTRYPOINT ["/terse"]
CMD ["serve"]
