# The tools are pinned here, once; .ci/run reads these two lines.
GOLANGCI_LINT := github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
GOVULNCHECK := golang.org/x/vuln/cmd/govulncheck@v1.8.0

SEEDS ?= 30000
FUZZTIME ?= 2m
BENCH ?= .

.DEFAULT_GOAL := help

.PHONY: help
help: ## Show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "  %-8s %s\n", $$1, $$2}' Makefile

.PHONY: test
test: ## Run all tests
	go test ./...

.PHONY: race
race: ## Run all tests under the race detector
	go test -race ./...

.PHONY: lint
lint: ## Vet, lint, and look for known vulnerabilities
	go vet ./...
	go run $(GOLANGCI_LINT) run ./...
	go run $(GOVULNCHECK) ./...

.PHONY: fmt
fmt: ## Format the code (gofumpt, gci)
	go run $(GOLANGCI_LINT) fmt

.PHONY: fuzz
fuzz: ## Run each fuzz target for FUZZTIME (2m)
	@set -e; for dir in ./fuzz ./transport; do for target in $$(go test -list '^Fuzz' $$dir | grep '^Fuzz'); do \
		echo "$$dir $$target"; go test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) $$dir; \
	done; done

.PHONY: sim
sim: ## Simulate SEEDS (30000) random schedules
	go test -run TestSimulation -count=1 -timeout 0 . -sim.seeds=$(SEEDS)

.PHONY: bench
bench: ## Run the benchmarks that match BENCH (all), here and in bench/
	go test -run '^$$' -bench '$(BENCH)' -benchmem ./...
	@if [ -f bench/go.mod ]; then cd bench && go test -run '^$$' -bench '$(BENCH)' -benchmem ./...; fi

.PHONY: cover
cover: ## Write coverage.out and coverage.html
	go test -coverpkg=./... -coverprofile=coverage.out ./...
	go tool cover -html=coverage.out -o coverage.html
	@go tool cover -func=coverage.out | tail -n 1

.PHONY: golden
golden: ## Rewrite golden files; read the diff before you commit it
	@set -e; dirs=$$(grep -rl --include='*_test.go' 'flag.Bool("update"' . | xargs -r -n 1 dirname | sort -u); \
	if [ -z "$$dirs" ]; then echo "no package has golden files"; exit 0; fi; \
	go test $$dirs -run Golden -count=1 -update

.PHONY: ci
ci: ## Run what CI runs
	bash .ci/run
