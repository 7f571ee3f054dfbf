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

# Those that need no reload, no helper and no crash; and, with a master,
# those and all that skip a part without one. Both without what takes too long.
VALGRIND_TESTS := $(filter-out t/api/dashboard.t t/ctl/% t/replay/% t/tools/% \
                    t/core/simulate.t t/core/vectors.t $(addprefix t/, \
                    state/durable.t control/endurance.t state/faults.t \
                    control/kill.t control/reload.t state/state.t \
                    state/upgrade.t rollout/writes.t), $(wildcard t/*/*.t))
VALGRIND_MASTER_TESTS := $(addprefix t/,state/durable.t traffic/failures.t \
                    core/judge.t http/key.t traffic/outcome.t \
                    core/quantiles.t control/reload.t traffic/rows.t \
                    core/split.t state/state.t rollout/trip.t zone/zone.t)

VALGRIND_RUN := TEST_CANARY_MODULE=$(CURDIR)/build/$(MODULE) \
                TEST_CANARY_VALGRIND=$(CURDIR)/tools/valgrind.supp \
                TEST_NGINX_TIMEOUT=1800

## the tests that a single process can do, in valgrind; then those that a
## master and its workers do
valgrind:
	@tools/packages $(sort $(BUILD_PACKAGES) $(TEST_PACKAGES) valgrind)
	@$(MAKE) --no-print-directory build $(FAULTS)
	@$(VALGRIND_RUN) prove -j $(PROVE_JOBS) $(VALGRIND_TESTS)
	@$(VALGRIND_RUN) TEST_CANARY_VALGRIND_MASTER=1 \
		TEST_CANARY_FAULTS=$(CURDIR)/$(FAULTS) \
		prove -j $(PROVE_JOBS) $(VALGRIND_MASTER_TESTS)
