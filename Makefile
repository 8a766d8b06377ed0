# Every target installs what it needs. `make` alone lists the targets.

GO       ?= go
BIN      := bin
VERSION  := $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS  := -s -w -X main.version=$(VERSION)
FUZZTIME ?= 20s
LARGE    ?= 1000000
PROFILE  := cmd/terse/release.pgo
PGO      := $(or $(wildcard $(PROFILE)),off)

GOLANGCI_LINT_VERSION := v2.15.0
GOFUMPT_VERSION       := v0.12.0
K6_VERSION            := v1.8.1
PEBBLE_VERSION        := v2.10.3
CRAWLERS_VERSION      := 1.60.0
UPLOT_VERSION         := 1.6.32

# Tests mostly wait for servers, so more of them run at the same time than there are cores.
PARALLEL := -parallel 4

# The names of the tests with testenv.Long, separated by |. With -short, TestConformance is shorter too.
LONG = $(shell awk '/^func Test/ {sub(/[^A-Za-z0-9_].*/, "", $$2); name = $$2} /testenv[.]Long/ {print name}' $$(git ls-files '*_test.go') | sort -u | paste -sd '|')

export CGO_ENABLED ?= 0

K6       := $(BIN)/k6-$(K6_VERSION)
PEBBLE   := $(BIN)/pebble-$(PEBBLE_VERSION) $(BIN)/pebble-challtestsrv-$(PEBBLE_VERSION)
PROVIDER := $(BIN)/provider
NPM      := web/testdata/node_modules/.package-lock.json

.DEFAULT_GOAL := help

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: build
build: ## build bin/terse, one static binary, with the recorded profile
	$(GO) build -trimpath -buildvcs=false -pgo $(PGO) -ldflags '$(LDFLAGS)' -o $(BIN)/terse ./cmd/terse

.PHONY: run
run: build ## start on the embedded database in ./data and print the address
	@exec $(BIN)/terse serve

.PHONY: test
test: test-tools ## run the tests except the long ones; install missing servers first
	$(GO) test $(PARALLEL) -short -timeout 15m ./...
	$(GO) test -C deploy/validate -short -count 1 ./... # go's test cache ignores files outside the module
	@echo "Storms, scenes of faults, load tests and the image were skipped: make test-long runs them."

.PHONY: test-long
test-long: test-tools ## run the tests that make test skips
	$(GO) test $(PARALLEL) -timeout 30m -run '^($(LONG)|TestConformance)$$' ./...
	$(GO) test -C deploy/validate -count 1 -timeout 30m ./...
	@test "$$(git rev-parse --is-shallow-repository)" = false || echo "Tests of upgrades were skipped: run git fetch --unshallow."

# The translated code of SQLite runs without the race detector, which would make it three times slower.
.PHONY: race
race: test-tools ## run the tests of make test under the race detector, with fewer rounds
	@.ci/install cc
	CGO_ENABLED=1 GOFLAGS='$(GOFLAGS) -gcflags=modernc.org/sqlite/lib=-race=false' $(GO) test $(PARALLEL) -race -short -timeout 30m ./...

.PHONY: test-tools
test-tools: $(NPM) $(K6) $(PEBBLE) $(PROVIDER)
	@.ci/install chromium postgres pgbouncer redis varnish nginx prometheus podman zbarimg zsh fish

$(NPM): web/testdata/package-lock.json
	@.ci/install npm
	npm ci --prefix web/testdata --ignore-scripts --no-audit --no-fund
	@touch $@

.PHONY: lint
lint: $(BIN)/golangci-lint-$(GOLANGCI_LINT_VERSION) $(BIN)/gofumpt-$(GOFUMPT_VERSION) ## check format and style
	@! $(BIN)/gofumpt-$(GOFUMPT_VERSION) -l . | grep .
	$(GO) vet ./...
	$(BIN)/golangci-lint-$(GOLANGCI_LINT_VERSION) run
	cd deploy/validate && ../../$(BIN)/golangci-lint-$(GOLANGCI_LINT_VERSION) run

.PHONY: fmt
fmt: $(BIN)/gofumpt-$(GOFUMPT_VERSION) ## format the code
	$(BIN)/gofumpt-$(GOFUMPT_VERSION) -w .

.PHONY: fuzz
fuzz: ## run every fuzz target for FUZZTIME each
	@for target in $$(grep -rhoE --include='*_test.go' 'func Fuzz[A-Za-z0-9]+' . | cut -c6- | sort -u); do \
		dir=$$(dirname $$(grep -rlE --include='*_test.go' "func $$target\(" . | head -n 1)); \
		echo "$$target in $$dir"; \
		$(GO) test -run '^$$' -fuzz "^$$target$$" -fuzztime $(FUZZTIME) "$$dir" || exit 1; \
	done

.PHONY: bench
bench: build ## measure redirects, creates and disk space against yardsticks; LARGE=10000000 for the full figure
	@.ci/install postgres redis
	$(GO) run ./loadtest/ratio -terse $(BIN)/terse -links-large $(LARGE)

.PHONY: profile
profile: build ## record the compiler's profile of redirects and creates under load
	@.ci/install postgres redis
	$(GO) run ./loadtest/ratio -terse $(BIN)/terse -profile $(PROFILE)

.PHONY: loadtest
loadtest: $(K6) ## run SCENARIO=smoke, load, spike, soak or stress against make stack, or BASE_URL
	@$(if $(BASE_URL),,$(GO) run ./deploy/stack status -json >$(BIN)/stack.json)
	@BASE_URL=$(BASE_URL) STACK=$(if $(BASE_URL),,$(abspath $(BIN)/stack.json)) loadtest/k6/run.sh $(K6) "$(SCENARIO)"

.PHONY: faults
faults: build ## break parts of the production topology under load and print the cost; FAULTS=NAME for one scene
	@.ci/install postgres redis varnish nginx prometheus
	$(GO) run ./loadtest/faults -terse $(BIN)/terse $(if $(FAULTS),-only $(FAULTS))

.PHONY: hostile
hostile: build ## send a million malformed requests; none may get a 5xx
	$(GO) run ./loadtest/hostile -terse $(BIN)/terse

.PHONY: docker
docker: ## build the container image terse:VERSION; PLATFORMS=linux/amd64,linux/arm64 for several machines
	docker build $(if $(PLATFORMS),--platform $(PLATFORMS)) --build-arg VERSION=$(VERSION) \
		--build-arg REVISION=$$(git rev-parse HEAD) -t terse:$(VERSION) .

.PHONY: crawlers
crawlers: ## write the list of robots of useragent anew, from the npm package crawler-user-agents
	@.ci/install npm jq
	npm pack --silent --pack-destination $(BIN) crawler-user-agents@$(CRAWLERS_VERSION)
	tar -xzf $(BIN)/crawler-user-agents-$(CRAWLERS_VERSION).tgz -C $(BIN)
	jq -c '.[] | {pattern, tags: (.tags // [])}' $(BIN)/package/crawler-user-agents.json >useragent/crawlers.jsonl
	cp $(BIN)/package/LICENSE useragent/crawlers.LICENSE
	rm -r $(BIN)/package $(BIN)/crawler-user-agents-$(CRAWLERS_VERSION).tgz

.PHONY: uplot
uplot: ## copy the library of the charts into web/static, from the npm package uplot
	@.ci/install npm
	@mkdir -p $(BIN)
	npm pack --silent --pack-destination $(BIN) uplot@$(UPLOT_VERSION)
	tar -xzf $(BIN)/uplot-$(UPLOT_VERSION).tgz -C $(BIN)
	cp $(BIN)/package/dist/uPlot.iife.min.js web/static/uplot.js
	cp $(BIN)/package/dist/uPlot.min.css web/static/uplot.css
	cp $(BIN)/package/LICENSE web/static/uplot.LICENSE
	rm -r $(BIN)/package $(BIN)/uplot-$(UPLOT_VERSION).tgz

.PHONY: manifests
manifests: ## copy the rules of deploy/prometheus into deploy/k8s
	$(GO) test -C deploy/validate -run '^TestRules$$' . -update

.PHONY: stack
stack: build ## run the production topology on this machine and print the addresses
	@.ci/install postgres redis varnish nginx prometheus
	@$(GO) run ./deploy/stack up

.PHONY: stack-down
stack-down: ## stop what make stack started
	@$(GO) run ./deploy/stack down

.PHONY: clean
clean: ## delete build results; keep data
	rm -rf $(BIN) web/testdata/node_modules

$(BIN)/golangci-lint-$(GOLANGCI_LINT_VERSION):
	GOBIN=$(abspath $(BIN)) $(GO) install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_LINT_VERSION)
	mv $(BIN)/golangci-lint $@

$(BIN)/gofumpt-$(GOFUMPT_VERSION):
	GOBIN=$(abspath $(BIN)) $(GO) install mvdan.cc/gofumpt@$(GOFUMPT_VERSION)
	mv $(BIN)/gofumpt $@

$(K6):
	GOBIN=$(abspath $(BIN)) $(GO) install go.k6.io/k6@$(K6_VERSION)
	mv $(BIN)/k6 $@

$(PROVIDER): $(wildcard internal/testenv/provider/*)
	$(GO) build -C internal/testenv/provider -o $(abspath $@) .

$(PEBBLE): $(BIN)/%-$(PEBBLE_VERSION):
	GOBIN=$(abspath $(BIN)) $(GO) install github.com/letsencrypt/pebble/v2/cmd/$*@$(PEBBLE_VERSION)
	mv $(BIN)/$* $@
