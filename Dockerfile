# syntax=docker/dockerfile:1
FROM golang:1.26 AS build
ARG VERSION=dev
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
RUN CGO_ENABLED=0 go build -trimpath -ldflags "-s -w -X main.version=${VERSION}" -o /terse ./cmd/terse \
	&& mkdir /data

FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=build /terse /terse
COPY --from=build --chown=65532:65532 /data /data
USER 65532:65532
ENV TERSE_DATA_DIR=/data
VOLUME /data
EXPOSE 8080
ENTRYPOINT ["/terse"]
CMD ["serve"]
