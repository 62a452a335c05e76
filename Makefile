# Two commands do everything on a fresh machine with Go: make demo, make test.
SHELL := /bin/bash
GO ?= go
GOFLAGS_BUILD := -trimpath -ldflags=-buildid=

.DEFAULT_GOAL := help
.PHONY: help demo tour build test check lint race fuzz mutate bench corpus e2e generate clean

help: ## list the targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):[^#]*## /  \1\t/' | expand -t 14

build: ## build bin/suti
	@mkdir -p bin
	CGO_ENABLED=0 $(GO) build $(GOFLAGS_BUILD) -o bin/suti ./cmd/suti

demo: build ## run the whole system on this machine; Ctrl-C stops it, its data stays
	@./bin/suti demo

tour: build ## take the whole system through its main job, headless
	@./bin/suti tour --out out/tour

test: ## install what the tests need, start throw-away servers, run every test
	@.ci/tools.sh
	@.ci/servers.sh .ci/test.sh

check: ## gofmt, vet, staticcheck, tidy modules
	@.ci/check.sh

lint: check ## the same as check

e2e: ## the browser tests alone
	@.ci/tools.sh
	@.ci/servers.sh .ci/test.sh -run 'E2E|Screens|Accessible|Browser'

generate: ## nothing is generated that is not checked in
	@true

race: ## every test under the race detector
	@.ci/tools.sh
	@.ci/servers.sh .ci/test.sh -race

fuzz: ## each fuzz target for FUZZTIME (default 30s); with FUZZEXECS=N those over documents to N executions
	@.ci/fuzz.sh $(or $(FUZZTIME),30s)

mutate: ## make small faults in the verifier's policy code and count those that the tests notice (MUTATE="-again …" is passed on)
	@.ci/mutate.sh $(MUTATE)

corpus: ## sign every PDF file of the folder CORPUS and look for damage with other programs
	@.ci/corpus.sh

bench: ## every Go benchmark once
	@.ci/tools.sh
	@.ci/servers.sh $(GO) test -run '^$$' -bench . -benchmem ./...
