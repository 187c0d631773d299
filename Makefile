# SPDX-License-Identifier: Apache-2.0
# The thin front door: packages, then CMake, which does the work. "make help" lists the targets.

MAKEFLAGS += --no-print-directory

BUILD ?= build
PREFIX ?= /usr/local
JOBS ?= $(shell nproc)
KERNELS ?= 6.1
JSON ?= $(BUILD)/bench.json

# Debian 12. Each list holds what its targets need beyond the ones before it.
BUILD_PACKAGES = cmake make g++ clang libbpf-dev bpftool libcli11-dev libspdlog-dev libfmt-dev libexpected-dev \
	nlohmann-json3-dev libpcap-dev libarchive-dev libnl-3-dev libnl-genl-3-dev \
	libcap-ng-dev libseccomp-dev nettle-dev libsimdjson-dev libtomlplusplus-dev libncurses-dev pkg-config linux-libc-dev libelf-dev zlib1g-dev
DEMO_PACKAGES = iproute2 util-linux tcpreplay python3
KERNEL_PACKAGES = qemu-system-x86 busybox-static iproute2 jq binutils libc-bin python3
TEST_PACKAGES = libgtest-dev libgmock-dev python3-pytest python3-jsonschema \
	python3-fastjsonschema python3-pyte tcptrace tshark wireshark-common ethtool strace
BENCH_PACKAGES = iproute2 iperf3

# Once the tests were built in, or where GoogleTest is at hand, they stay; a demo needs none.
GTEST_FOUND = $(if $(wildcard /usr/include/gtest/gtest.h /usr/local/include/gtest/gtest.h),ON,OFF)

# Shell: the packages that are missing, in $missing, or an end without an error. Where there is no dpkg, CMake says what
# is missing.
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

# $(call need,packages): installs those that are missing, if we may.
define need
	@$(find_missing); \
	if [ "$$(id -u)" -ne 0 ]; then \
		echo "make $@: these packages are missing, and only root can install them (sudo make $@):$$missing" >&2; \
		exit 1; \
	fi; \
	$(install_missing)
endef

# $(call want,packages): the same, but who cannot have them goes on: the tests that need them say why they are skipped.
define want
	@$(find_missing); \
	if [ "$$(id -u)" -ne 0 ]; then \
		echo "make $@: these packages are missing, and only root can install them:$$missing"; \
		exit 0; \
	fi; \
	{ $(install_missing); } || echo "make $@: they could not be installed; what needs them is skipped"
endef

# $(call compile,ON|OFF): with or without the tests.
define compile
	cmake -S . -B $(BUILD) -DTCPWIN_TESTS=$(1)
	cmake --build $(BUILD) -j$(JOBS)
endef

.PHONY: all help deps build demo test bench test-kernels schema install fmt clean
.NOTPARALLEL:
all: build

help: ## This list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' Makefile

deps: ## Install every package that building, demo and tests need (root)
	$(call need,$(BUILD_PACKAGES) $(DEMO_PACKAGES) $(TEST_PACKAGES) $(KERNEL_PACKAGES))

build: ## Build build/tcpwin-agent, and the tests if GoogleTest is installed
	$(call need,$(BUILD_PACKAGES))
	$(call compile,$(GTEST_FOUND))

demo: ## Watch a replayed capture in network namespaces (root)
	$(call need,$(BUILD_PACKAGES) $(DEMO_PACKAGES))
	$(call compile,$(GTEST_FOUND))
	@TCPWIN_AGENT=$(abspath $(BUILD))/tcpwin-agent tests/demo/demo.sh

test: ## Run every test (root; without root those that need it are skipped)
	$(call need,$(BUILD_PACKAGES) $(DEMO_PACKAGES) $(TEST_PACKAGES))
	$(call want,$(KERNEL_PACKAGES))
	$(call compile,ON)
	@[ "$$(id -u)" -eq 0 ] || echo "Not root: the tests that load BPF programs or make network namespaces are skipped."
	@ctest --test-dir $(BUILD) --output-on-failure; code=$$?; \
	grep -E '^SKIPPED |: SKIPPED: ' $(BUILD)/Testing/Temporary/LastTest.log; \
	exit $$code

bench: ## Measure replay beside other tools, which it installs, and what watching costs (root; JSON=build/bench.json)
	$(call need,$(BUILD_PACKAGES) $(TEST_PACKAGES) $(BENCH_PACKAGES))
	cmake -S . -B $(BUILD) -DTCPWIN_TESTS=ON -DTCPWIN_BENCH=ON
	cmake --build $(BUILD) -j$(JOBS) --target tcpwin-agent pcap_loop make_input bench_programs live_frames_sender
	/usr/bin/python3 -B tests/bench/bench.py --agent $(BUILD)/tcpwin-agent \
		--baseline $(BUILD)/tests/bench/pcap_loop --generator $(BUILD)/tests/bench/make_input --json $(JSON)
	/usr/bin/python3 -B tests/bench/live.py --agent $(BUILD)/tcpwin-agent --programs $(BUILD)/tests/bench \
		--sender $(BUILD)/tests/live_frames_sender --add-to $(JSON)

test-kernels: ## Load and attach on Debian's own kernels, in emulated machines (KERNELS="6.1 6.12")
	$(call need,$(BUILD_PACKAGES) $(KERNEL_PACKAGES))
	$(call compile,$(GTEST_FOUND))
	@TCPWIN_AGENT=$(abspath $(BUILD))/tcpwin-agent /usr/bin/python3 -B tests/kernels/run.py \
		--cache $(abspath $(BUILD))/kernels $(KERNELS) || [ $$? -eq 77 ]

schema: ## Rewrite the schema and the tables of docs/records.md from the lists of the code
	cmake -S . -B $(BUILD) -DTCPWIN_TESTS=ON
	cmake --build $(BUILD) -j$(JOBS) --target generate_schema
	$(BUILD)/tests/generate_schema schema/tcpwin-agent.schema.json docs/records.md

install: ## Install into PREFIX (/usr/local), below DESTDIR if that is set
	$(call need,$(BUILD_PACKAGES))
	$(call compile,$(GTEST_FOUND))
	DESTDIR='$(DESTDIR)' cmake --install $(BUILD) --prefix '$(PREFIX)'

fmt: ## Format the C and C++ sources in place
	@command -v clang-format >/dev/null || { echo "make fmt: clang-format is not installed" >&2; exit 1; }
	git ls-files -co --exclude-standard -- '*.c' '*.h' '*.cpp' '*.hpp' | xargs -r clang-format -i --style=file --fallback-style=none

clean: ## Remove the build directory
	rm -rf $(BUILD)
