# Perspective Broker for Go, on actors. Without a target, make lists the targets.

SHELL := /bin/bash
.DEFAULT_GOAL := help

# How long each fuzz target runs, for example FUZZTIME=5m make fuzz.
FUZZTIME ?= 20s

LINTER := bin/golangci-lint

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: run
run: ## run the quickstart example: a server and a client over TCP
	go run ./examples/quickstart

.PHONY: cluster
cluster: ## start an etcd and three nodes of the example rooms, and print where users connect
	@cluster/examples/rooms/three.sh

.PHONY: test
test: ## run all tests under the race detector; installs the stock peers if possible
	@.ci/stock.sh || true
	.ci/test.sh $$(.ci/race.sh)

.PHONY: race
race: ## run all tests three times under the race detector, in random order
	.ci/test.sh -race -count=3 -shuffle=on

.PHONY: fuzz
fuzz: ## run each fuzz target for FUZZTIME (20s)
	@.ci/fuzz.sh $(FUZZTIME)

# The duration of the soak test and the seed of its random numbers. With seed 0 it picks one and prints it.
MINUTES ?= 2
SEED ?= 0

.PHONY: soak
soak: ## run a mixed load with faults for MINUTES (2); fails if anything is lost or leaks
	go run ./internal/soak -minutes $(MINUTES) -seed $(SEED)

.PHONY: soak-cluster
soak-cluster: ## run a cluster with random faults for MINUTES (2); fails if it breaks a promise
	PB_REQUIRE_STOCK=1 PB_SOAK_MINUTES=$(MINUTES) PB_SOAK_SEED=$(SEED) go -C cluster test -race -count=1 -v -timeout 0 \
	  -run '^TestSoak$$' ./internal/scenarios

.PHONY: lint
lint: $(LINTER) ## run gofmt, vet, staticcheck, import fences, line length, commit subjects
	.ci/lint.sh

.PHONY: dist
dist: ## build the Buildbot worker for all systems into dist/, with checksums
	.ci/dist.sh dist

.PHONY: bench
bench: ## compare with other systems (six minutes) and draw docs/performance.svg
	go -C bench run ./cmd/compare
	@$(MAKE) --no-print-directory chart

.PHONY: gobench
gobench: ## run the Go benchmarks of every package, for benchstat
	.ci/test.sh -run '^$$' -bench . -benchmem

.PHONY: chart
chart: ## draw docs/performance.svg from the newest full run in bench/results
	go -C bench run ./cmd/chart -out ../docs/performance.svg

.PHONY: interop
interop: ## run only the tests against stock Twisted; fails if it is missing
	@table=$$(mktemp); \
	PB_REQUIRE_STOCK=1 PB_INTEROP_TABLE=$$table go test -race -count=1 ./internal/stock/... ./internal/interop/...; \
	status=$$?; cat $$table; rm -f $$table; exit $$status
	PB_REQUIRE_STOCK=1 go test -race -count=1 -run 'Stock|Golden|Interop' ./...
	PB_REQUIRE_STOCK=1 go -C cmd test -race -count=1 -run Stock ./...

.PHONY: cover
cover: ## print statement coverage by package; fails below 85 % (broker, codec: 92)
	@.ci/cover.sh

.PHONY: vuln
vuln: ## check for known vulnerabilities; needs vuln.go.dev
	@.ci/vuln.sh

.PHONY: tidy-check
tidy-check: ## fail if go.mod or go.sum is not tidy
	@.ci/tidy.sh

$(LINTER): .ci/tools/go.mod .ci/tools/go.sum
	@echo "building the linter (about two minutes, once)"
	go -C .ci/tools build -o ../../$(LINTER) github.com/golangci/golangci-lint/v2/cmd/golangci-lint
