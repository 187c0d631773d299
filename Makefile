# SPDX-License-Identifier: Apache-2.0
# Installs packages, then runs CMake, which does the work. "make help" lists the targets.

MAKEFLAGS += --no-print-directory

BUILD ?= build
PREFIX ?= /usr/local
JOBS ?= $(shell nproc)
KERNELS ?= 6.1
JSON ?= $(BUILD)/bench.json
SANITIZE ?=

# Package names of Debian 12 and 13. Each list holds what its targets need in addition to the lists before it.
BUILD_PACKAGES = cmake make g++ clang libbpf-dev bpftool libcli11-dev libspdlog-dev libfmt-dev libexpected-dev \
	nlohmann-json3-dev libpcap-dev libarchive-dev libnl-3-dev libnl-genl-3-dev \
	libcap-ng-dev libseccomp-dev nettle-dev libsimdjson-dev libtomlplusplus-dev libncurses-dev pkg-config linux-libc-dev libelf-dev zlib1g-dev
DEMO_PACKAGES = iproute2 util-linux tcpreplay python3
KERNEL_PACKAGES = qemu-system-x86 busybox-static iproute2 jq binutils libc-bin python3
TEST_PACKAGES = libgtest-dev libgmock-dev python3-pytest python3-jsonschema \
	python3-fastjsonschema python3-pyte tcptrace tshark wireshark-common ethtool strace
BENCH_PACKAGES = iproute2 iperf3
LINT_PACKAGES = git clang-format-19 clang-tidy-19 shellcheck python3-pyflakes python3
COVERAGE_PACKAGES = gcovr

# Shell: sets $missing to the packages that are missing, or exits with 0 if none is. Without dpkg, CMake reports what is
# missing.
define find_missing
	command -v dpkg-query >/dev/null || exit 0; \
	missing=; \
	for package in $(1); do \
		dpkg-query --show --showformat='$${db:Status-Status}\n' $$package 2>/dev/null | grep -qx installed || \
			missing="$$missing $$package"; \
	done; \
	[ -n "$$missing" ] || exit 0
endef

install_missing = export DEBIAN_FRONTEND=noninteractive; \
	echo "Installing packages, which takes a minute or two:$$missing"; \
	apt-get update -qq && apt-get install -y -qq --no-install-recommends $$missing >/dev/null

# $(call need,packages): installs those that are missing; only root can.
define need
	@$(find_missing); \
	if [ "$$(id -u)" -ne 0 ]; then \
		echo "make $@: these packages are missing, and only root can install them (sudo make $@):$$missing" >&2; \
		exit 1; \
	fi; \
	$(install_missing)
endef

# $(call want,packages): the same, but without them make continues, and the tests that need them are skipped.
define want
	@$(find_missing); \
	if [ "$$(id -u)" -ne 0 ]; then \
		echo "make $@: these packages are missing, and only root can install them:$$missing"; \
		exit 0; \
	fi; \
	{ $(install_missing); } || \
		echo "make $@: the packages could not be installed; tests that need them are skipped"
endef

# The agent alone; tests that were built before stay.
define compile
	cmake -S . -B $(BUILD) -DTCPWIN_TESTS=OFF
	cmake --build $(BUILD) -j$(JOBS)
endef
define compile_tests
	cmake -S . -B $(BUILD) -DTCPWIN_TESTS=ON
	cmake --build $(BUILD) -j$(JOBS)
endef
# $(call compile_in,directory,option): the agent, unit and replay tests.
define compile_in
	cmake -S . -B $(1) -DCMAKE_BUILD_TYPE=Debug -DTCPWIN_TESTS=ON $(2)
	cmake --build $(1) -j$(JOBS)
endef
# clang-tidy needs compiler options without GCC's precompiled headers, and the skeleton.
define prepare_lint
	@cmake -S . -B $(BUILD)/lint -DCMAKE_BUILD_TYPE=Debug -DTCPWIN_TESTS=OFF -DCMAKE_DISABLE_PRECOMPILE_HEADERS=ON >/dev/null
	@cmake --build $(BUILD)/lint --target skeleton >/dev/null
endef

RUN_CTEST = ctest --output-on-failure --output-junit junit.xml --test-output-size-passed 1000000 --test-dir
RUN_LINT = /usr/bin/python3 -B tests/lint/run.py $(BUILD)/lint $(BUILD)/lint/junit.xml
SUMMARIZE = /usr/bin/python3 -B tests/lint/summary.py

.PHONY: all help deps build demo test lint coverage bench test-kernels schema install fmt clean
.NOTPARALLEL:
all: build

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' Makefile

deps: ## Install the packages that building, demo, tests and lint need (root)
	$(call need,$(BUILD_PACKAGES) $(DEMO_PACKAGES) $(TEST_PACKAGES) $(KERNEL_PACKAGES) $(LINT_PACKAGES))

build: ## Build build/tcpwin-agent
	$(call need,$(BUILD_PACKAGES))
	$(compile)

demo: ## Show the agent at work on a replayed capture, in network namespaces (root)
	$(call need,$(BUILD_PACKAGES) $(DEMO_PACKAGES))
	$(compile)
	@TCPWIN_AGENT=$(abspath $(BUILD))/tcpwin-agent tests/demo/demo.sh

ifeq ($(SANITIZE),)
test: SANITIZE = address,undefined
test: ## Run all tests and lint (root; SANITIZE=address,undefined: only unit and replay tests, with these sanitizers)
	$(call need,$(BUILD_PACKAGES) $(DEMO_PACKAGES) $(TEST_PACKAGES) $(LINT_PACKAGES))
	$(call want,$(KERNEL_PACKAGES))
	$(compile_tests)
	$(call compile_in,$(BUILD)/sanitize,-DTCPWIN_SANITIZE=$(SANITIZE))
	$(prepare_lint)
	@[ "$$(id -u)" -eq 0 ] || echo "Not root: tests that load BPF programs or make network namespaces are skipped."
	@rm -f $(BUILD)/junit.xml $(BUILD)/sanitize/junit.xml $(BUILD)/lint/junit.xml
	@$(RUN_CTEST) $(BUILD) || true
	@$(RUN_CTEST) $(BUILD)/sanitize -j$(JOBS) || true
	@$(RUN_LINT) || true
	@$(SUMMARIZE) $(BUILD)/junit.xml $(BUILD)/sanitize/junit.xml $(BUILD)/lint/junit.xml
else
test:
	$(call need,$(BUILD_PACKAGES) $(TEST_PACKAGES))
	$(call compile_in,$(BUILD)/sanitize,-DTCPWIN_SANITIZE=$(SANITIZE))
	@rm -f $(BUILD)/sanitize/junit.xml
	@$(RUN_CTEST) $(BUILD)/sanitize -j$(JOBS) || true
	@$(SUMMARIZE) $(BUILD)/sanitize/junit.xml
endif

lint: ## Check format, clang-tidy, scripts, licenses and the direction of includes
	$(call need,$(BUILD_PACKAGES) $(LINT_PACKAGES))
	$(prepare_lint)
	@$(RUN_LINT)

coverage: ## Print the share of lines and branches that unit and replay tests execute (root)
	$(call need,$(BUILD_PACKAGES) $(TEST_PACKAGES) $(COVERAGE_PACKAGES))
	$(call compile_in,$(BUILD)/coverage,-DTCPWIN_COVERAGE=ON)
	@find $(BUILD)/coverage -name '*.gcda' -delete
	@$(RUN_CTEST) $(BUILD)/coverage -j$(JOBS)
	@gcovr --root . --filter user/ --filter include/ --exclude-throw-branches --print-summary \
		--txt $(BUILD)/coverage/files.txt $(BUILD)/coverage
	@echo "Each file: $(BUILD)/coverage/files.txt"

bench: ## Measure replay against other tools, and the cost of watching (root; JSON=build/bench.json)
	$(call need,$(BUILD_PACKAGES) $(TEST_PACKAGES) $(BENCH_PACKAGES))
	cmake -S . -B $(BUILD) -DTCPWIN_TESTS=ON -DTCPWIN_BENCH=ON
	cmake --build $(BUILD) -j$(JOBS) --target tcpwin-agent pcap_loop make_input bench_programs live_frames_sender
	/usr/bin/python3 -B tests/bench/bench.py --agent $(BUILD)/tcpwin-agent \
		--baseline $(BUILD)/tests/bench/pcap_loop --generator $(BUILD)/tests/bench/make_input --json $(JSON)
	/usr/bin/python3 -B tests/bench/live.py --agent $(BUILD)/tcpwin-agent --programs $(BUILD)/tests/bench \
		--sender $(BUILD)/tests/live_frames_sender --add-to $(JSON)

test-kernels: ## Load and attach on the kernels of Debian, in emulated machines (KERNELS="6.1 6.12")
	$(call need,$(BUILD_PACKAGES) $(KERNEL_PACKAGES))
	$(compile)
	@TCPWIN_AGENT=$(abspath $(BUILD))/tcpwin-agent /usr/bin/python3 -B tests/kernels/run.py \
		--cache $(abspath $(BUILD))/kernels $(KERNELS) || [ $$? -eq 77 ]

schema: ## Rewrite the schema and the tables of docs/records.md from the lists in the code
	cmake -S . -B $(BUILD) -DTCPWIN_TESTS=ON
	cmake --build $(BUILD) -j$(JOBS) --target generate_schema
	$(BUILD)/tests/generate_schema schema/tcpwin-agent.schema.json docs/records.md

install: ## Install into PREFIX (/usr/local), below DESTDIR if set
	$(call need,$(BUILD_PACKAGES))
	$(compile)
	DESTDIR='$(DESTDIR)' cmake --install $(BUILD) --prefix '$(PREFIX)'

fmt: ## Format the C and C++ sources in place
	$(call need,$(LINT_PACKAGES))
	git ls-files -co --exclude-standard -- '*.c' '*.h' '*.cpp' '*.hpp' | xargs -r clang-format-19 -i --style=file

clean: ## Remove the build directory
	rm -rf $(BUILD)
