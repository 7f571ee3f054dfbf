# The targets are in make/*.mk, by topic; make help lists them, from the ##
# above each target and each variable that may be set.

## the nginx to build for: Debian's nginx-dev, or an unpacked source
NGINX_SRC  ?= /usr/share/nginx/src
## its configure arguments, as nginx -V prints them (the default: those of
## nginx-dev, or --with-compat)
NGINX_FLAGS ?=
CFLAGS     ?= -O2 -g -fstack-protector-strong -Wformat \
              -Werror=format-security -D_FORTIFY_SOURCE=2
LDFLAGS    ?= -Wl,-z,relro -Wl,-z,now
## test files that run beside each other
PROVE_JOBS ?= 2

ifeq ($(origin CC),default)
## gcc or clang
CC := gcc
endif

# Debian's nginx lives where the PATH of an ordinary user does not lead.
export PATH := $(PATH):/usr/sbin

# Its quotes are for tools/build.
export NGINX_FLAGS

# What lies in build/.

MODULE   := ngx_http_canary_module.so
CTL      := build/canaryctl
REPLAY   := build/canary-replay
UNIT_DIR := build/unit
FUZZ_DIR := build/fuzz

# A disk and a shared memory that fail, for nginx under test.
FAULTS   := build/faults/faults.so

# The module, whose stores to shared memory are counted: t/kills/driver.c.
STORES   := build/kills

# What drives a browser. t/api/dashboard.t looks for it there.
BROWSER  := build/browser/node_modules

.NOTPARALLEL:
.PHONY: help deps clean FORCE
.DEFAULT_GOAL := build

include $(addprefix make/,packages.mk sources.mk build.mk deb.mk test.mk \
          unit.mk fleet.mk sanitizers.mk kills.mk matrix.mk fuzz.mk bench.mk lint.mk)

## this text
help:
	@awk -f make/help.awk $(filter Makefile make/%.mk,$(MAKEFILE_LIST))

## the Debian packages for all targets (each installs its own)
deps:
	@tools/packages $(sort $(BUILD_PACKAGES) $(TEST_PACKAGES) $(ASAN_PACKAGES) $(MATRIX_PACKAGES) $(CONFORMANCE_PACKAGES) $(FUZZ_PACKAGES) \
		$(BENCH_PACKAGES) $(LINT_PACKAGES) $(DEB_PACKAGES) $(DEB_TEST_PACKAGES))

## remove build/
clean:
	rm -rf build
