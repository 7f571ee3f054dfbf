# AddressSanitizer, UndefinedBehaviorSanitizer and valgrind.

.PHONY: asan valgrind

# nonnull-attribute and alignment: nginx 1.22 itself trips over them.
SANITIZE := -fsanitize=address,undefined \
            -fno-sanitize=nonnull-attribute,alignment \
            -fno-sanitize-recover=undefined -fno-omit-frame-pointer

# NGX_DEBUG_PALLOC: each allocation from a pool is one of malloc, watched.
ASAN_FLAGS := CFLAGS='-O1 -g $(SANITIZE) -DNGX_DEBUG_PALLOC=1' \
              LDFLAGS='$(SANITIZE)'
ASAN_BUILD := NGINX_SRC='$(NGINX_SRC)' CC='$(CC)' $(ASAN_FLAGS)

# detect_odr_violation: every module has an ngx_modules of its own.
ASAN_RUN := ASAN_OPTIONS=detect_odr_violation=0:detect_leaks=1 \
            LSAN_OPTIONS=suppressions=$(CURDIR)/tools/lsan.supp:print_suppressions=0 \
            UBSAN_OPTIONS=print_stacktrace=1

## all tests, with AddressSanitizer and UndefinedBehaviorSanitizer
asan:
	@tools/packages $(sort $(BUILD_PACKAGES) $(TEST_PACKAGES) $(ASAN_PACKAGES))
	@$(ASAN_BUILD) tools/asan-nginx build/asan
	@$(ASAN_BUILD) NGINX_SRC=build/asan/src tools/build build/asan
	@$(MAKE) --no-print-directory $(BROWSER) unit-programs \
		UNIT_DIR=build/asan/unit UNIT_SANITIZE='$(SANITIZE)'
	@$(MAKE) --no-print-directory build/asan/canary-replay \
		REPLAY=build/asan/canary-replay $(ASAN_FLAGS)
	@$(MAKE) --no-print-directory ctl-program CTL=build/asan/canaryctl \
		CFLAGS='-O1 -g $(SANITIZE)' LDFLAGS='$(SANITIZE)'
	@$(ASAN_RUN) TEST_NGINX_BINARY=$(CURDIR)/build/asan/nginx \
		TEST_CANARY_MODULE=$(CURDIR)/build/asan/$(MODULE) \
		TEST_CANARYCTL=$(CURDIR)/build/asan/canaryctl \
		TEST_CANARY_UNIT=$(CURDIR)/build/asan/unit \
		TEST_CANARY_REPLAY=$(CURDIR)/build/asan/canary-replay \
		prove -j $(PROVE_JOBS) -r t

# All that start nginx, which skip themselves if they need what they do not have
# in valgrind; and with a master those that need its processes, and no speed:
# t/lib/Canary/Needs.pm.
VALGRIND_TESTS = $(shell grep -rl --include='*.t' '^use Canary::Test' t)
VALGRIND_MASTER_TESTS = $(shell grep -rlP --include='*.t' \
                          "(needs|lacks).(?!.*'speed').*'processes'" t)

VALGRIND_RUN := TEST_CANARY_MODULE=$(CURDIR)/build/$(MODULE) \
                TEST_CANARY_VALGRIND=$(CURDIR)/tools/valgrind.supp \
                TEST_NGINX_TIMEOUT=1800

## the tests that a single process can do, in valgrind; then those that a
## master and its workers do
valgrind:
	@tools/packages $(sort $(BUILD_PACKAGES) $(TEST_PACKAGES) valgrind)
	@$(MAKE) --no-print-directory build $(FAULTS)
	@$(VALGRIND_RUN) prove -j $(PROVE_JOBS) $(sort $(VALGRIND_TESTS))
	@$(VALGRIND_RUN) TEST_CANARY_VALGRIND_MASTER=1 \
		TEST_CANARY_FAULTS=$(CURDIR)/$(FAULTS) \
		prove -j $(PROVE_JOBS) $(sort $(VALGRIND_MASTER_TESTS))
