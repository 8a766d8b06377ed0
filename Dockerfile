# The digest decides which image is used; the tag names it for people. A mirror works too.
ARG GOLANG=golang:1.26.8-bookworm@sha256:a688600ca24f8a4d3ca77f95b0dd40704a9fc787c826660eb7ba0b641b8b175d
ARG BASE=gcr.io/distroless/static-debian12:nonroot@sha256:afa5c872c891853ca7fcf1f12c3edb23f7eeef36189728842dd51042ff57f7ab

# Go cross-compiles on the platform of the build machine.
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

# The base has certificates, time zones and an unprivileged user. It has no shell, so there is no
# HEALTHCHECK: probe /readyz on the admin listener, as deploy/k8s does.
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
