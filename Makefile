# Perspective Broker for Go, on actors. `make` alone lists what can be done.

SHELL := /bin/bash
.DEFAULT_GOAL := help

# How long each fuzz target runs; FUZZTIME=5m make fuzz is a night's worth.
FUZZTIME ?= 20s

LINTER := bin/golangci-lint

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: run
run: ## a Go server and a Go client talking over TCP, with what the actors do
	go run ./examples/quickstart

.PHONY: test
test: ## all tests, under the race detector; installs the stock peers if it can
	@.ci/stock.sh || true
	.ci/test.sh $$(.ci/race.sh)

.PHONY: race
race: ## all tests under the race detector, three times and in random order
	.ci/test.sh -race -count=3 -shuffle=on

.PHONY: fuzz
fuzz: ## every fuzz target for FUZZTIME (20s) each
	@.ci/fuzz.sh $(FUZZTIME)

# How long the soak lasts, and the seed of its random numbers; 0 for one of its own, which it prints.
MINUTES ?= 2
SEED ?= 0

.PHONY: soak
soak: ## a mixed load with faults for MINUTES (2); fails when something is lost or grows
	go run ./internal/soak -minutes $(MINUTES) -seed $(SEED)

.PHONY: lint
lint: $(LINTER) ## gofmt, vet, staticcheck, import fences
	.ci/lint.sh

.PHONY: bench
bench: ## measure it beside other systems (six minutes), and draw docs/performance.svg
	go -C bench run ./cmd/compare
	@$(MAKE) --no-print-directory chart

.PHONY: gobench
gobench: ## the Go benchmarks of every package, for benchstat
	.ci/test.sh -run '^$$' -bench . -benchmem

.PHONY: chart
chart: ## draw docs/performance.svg from the newest full run in bench/results
	go -C bench run ./cmd/chart -out ../docs/performance.svg

.PHONY: interop
interop: ## only the tests against stock Twisted; fails where it is missing
	@table=$$(mktemp); \
	PB_REQUIRE_STOCK=1 PB_INTEROP_TABLE=$$table go test -race -count=1 ./internal/stock/... ./internal/interop/...; \
	status=$$?; cat $$table; rm -f $$table; exit $$status
	PB_REQUIRE_STOCK=1 go test -race -count=1 -run 'Stock|Golden|Interop' ./...

.PHONY: cover
cover: ## statement coverage, package by package; fails below 85 % (broker, codec: 92)
	@.ci/cover.sh

.PHONY: vuln
vuln: ## known vulnerabilities in what this depends on; needs vuln.go.dev
	@.ci/vuln.sh

.PHONY: tidy-check
tidy-check: ## fails when go.mod or go.sum are not what the code needs
	@.ci/tidy.sh

$(LINTER): .ci/tools/go.mod .ci/tools/go.sum
	@echo "building the linter (about two minutes, once)"
	go -C .ci/tools build -o ../../$(LINTER) github.com/golangci/golangci-lint/v2/cmd/golangci-lint
