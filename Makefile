# make help says what there is.

# What may be set:
#
#   NGINX_SRC   the nginx to build for: Debian's nginx-dev, or an unpacked source
#   CC          gcc or clang
#   PROVE_JOBS  test files that run beside each other
#   ONLY        words of the cells of the matrix to run: a version, gcc or clang,
#               dynamic or static, debug or no-debug
#   ASAN        1: the matrix is built and run with the sanitizers
#   CONF        the configuration that the demo runs
#   FUZZ_TIME   seconds that each fuzz target runs
#   SOAK_TIME   seconds that the soak runs
#   NGINX_TESTS a checkout of nginx's own tests, for make conformance
#   MODES FILES words: a part of what make conformance runs
#   KEEP        1: the demo leaves nginx running
#   QUICK       1: the benchmark takes four minutes, with fewer rounds
#   VECTORS     the file of test vectors for the statistics
#   RUNS        simulated rollouts for each row of a table
#   LONG        1: the simulation of rollouts that go on for months, in full,
#               and a replay of eight days (an hour)
#   LOOPS       processes that make the machine busy
#   TIMES       that the tests run so
#   DESTDIR, MODULESDIR
#   PREFIX      of the programs, their manual and completion

NGINX_SRC  ?= /usr/share/nginx/src
CFLAGS     ?= -O2 -g -fstack-protector-strong -Wformat \
              -Werror=format-security -D_FORTIFY_SOURCE=2
LDFLAGS    ?= -Wl,-z,relro -Wl,-z,now
PROVE_JOBS ?= 1
ONLY       ?=
ASAN       ?=
CONF       ?= conf.example
KEEP       ?=
FUZZ_TIME  ?= 30
SOAK_TIME  ?= 3600
NGINX_TESTS ?=
MODES      ?=
FILES      ?=
QUICK      ?=
VECTORS    ?= t/vectors/cr-1.json
RUNS       ?= 1000
LONG       ?=
LOOPS      ?= 16
TIMES      ?= 3
PREFIX     ?= /usr/local
MODULESDIR ?= $(shell PATH='$(PATH)' nginx -V 2>&1 | \
                sed -n 's/.*--modules-path=\([^ ]*\).*/\1/p')

ifeq ($(origin CC),default)
CC := gcc
endif

# Debian's nginx lives where the PATH of an ordinary user does not lead.
export PATH := $(PATH):/usr/sbin

MODULE := ngx_http_canary_module.so

# A package, unless there is that program from elsewhere.
unless = $(if $(shell PATH='$(PATH)' command -v $(1)),,$(2))

CTL_PACKAGES   := $(firstword $(subst -, ,$(notdir $(CC)))) make libc6-dev \
                  libcjson-dev libcurl4-openssl-dev libssl-dev
BUILD_PACKAGES := $(CTL_PACKAGES)
TEST_PACKAGES  := gcc libcmocka-dev libio-pty-perl mandoc openssl perl \
                  prometheus chromium fonts-dejavu-core \
                  $(call unless,node,nodejs) $(call unless,npm,npm)
ASAN_PACKAGES  := dpkg-dev libpcre2-dev zlib1g-dev
MATRIX_PACKAGES := gcc clang dpkg-dev libpcre2-dev zlib1g-dev
CONFORMANCE_PACKAGES := perl libio-socket-ssl-perl libfcgi-perl libscgi-perl \
                  libcryptx-perl libcache-memcached-perl memcached
FUZZ_PACKAGES  := clang libcjson-dev libssl-dev
LINT_PACKAGES  := gcc clang perl
BENCH_PACKAGES := gcc libc6-dev perl valgrind wrk haproxy libnginx-mod-http-lua

# The suite loads all modules that Debian's nginx is configured with.
ifeq ($(NGINX_SRC),/usr/share/nginx/src)
BUILD_PACKAGES += nginx nginx-dev
CONFORMANCE_PACKAGES += $(addprefix libnginx-mod-,http-geoip http-image-filter \
                  http-perl http-xslt-filter mail stream stream-geoip)
else
BUILD_PACKAGES += libpcre2-dev zlib1g-dev
endif

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

# Those that need no reload, no helper and no crash; and, with a master,
# those and all that skip a part without one. Both without what takes too long.
VALGRIND_TESTS := $(filter-out $(addprefix t/canary_,durable.t endurance.t \
                    faults.t kill.t reload.t state.t upgrade.t writes.t), \
                    $(wildcard t/canary_*.t))
VALGRIND_MASTER_TESTS := $(addprefix t/canary_,durable.t failures.t judge.t \
                    key.t outcome.t quantiles.t reload.t rows.t \
                    split.t state.t trip.t zone.t)

VALGRIND_RUN := TEST_CANARY_MODULE=$(CURDIR)/build/$(MODULE) \
                TEST_CANARY_VALGRIND=$(CURDIR)/tools/valgrind.supp \
                TEST_NGINX_TIMEOUT=1800

# A disk and a shared memory that fail, for nginx under test.
FAULTS := build/faults/faults.so

# The module, whose stores to shared memory are counted: t/kills/driver.c.
STORES := build/kills

# What drives a browser. t/dashboard.t looks for it there.
BROWSER := build/browser/node_modules

.NOTPARALLEL:
.PHONY: build ctl help deps demo test busy unit vectors simulate test-packages \
        ctl-program unit-programs vectors-program simulate-program asan matrix \
        stores-programs conformance fuzz kills endurance soak valgrind bench lint \
        install clean FORCE

build:
	@tools/packages $(sort $(BUILD_PACKAGES))
	@NGINX_SRC='$(NGINX_SRC)' CC='$(CC)' CFLAGS='$(CFLAGS)' \
		LDFLAGS='$(LDFLAGS)' tools/build build
	@$(MAKE) --no-print-directory ctl-program
ifeq ($(NGINX_SRC),/usr/share/nginx/src)
	@tools/loads build/$(MODULE)
endif
	@$(MAKE) --no-print-directory $(REPLAY)

ctl:
	@tools/packages $(sort $(CTL_PACKAGES))
	@$(MAKE) --no-print-directory ctl-program

help:
	@echo 'make build    build/$(MODULE), for the nginx on the PATH (the default),'
	@echo '              build/canaryctl and build/canary-replay'
	@echo 'make build NGINX_SRC=dir   the same, for an unpacked nginx source'
	@echo 'make ctl      build/canaryctl only'
	@echo 'make demo     watch a good rollout and a bad one (KEEP=1: leave nginx running)'
	@echo 'make test     all tests: unit and end-to-end'
	@echo 'make busy     the same three times in a row, beside 16 busy loops (TIMES, LOOPS)'
	@echo 'make kills    200 times: all processes killed after an acknowledgement, or in a write, nothing lost;'
	@echo '              and one killed before any of its stores to shared memory, and mended'
	@echo '              (an hour; KILLS_ONLY=scenario: see t/kills/driver.c)'
	@echo 'make endurance  100 kills, 50 reloads and 20 binary upgrades under load, 3,000 names (15 minutes)'
	@echo 'make soak     all of that at random, with an invariant checker (SOAK_TIME=3600 seconds)'
	@echo 'make valgrind  the tests that a single process can do, in valgrind; then those'
	@echo '              that a master and its workers do'
	@echo 'make unit     unit tests only'
	@echo 'make vectors  the statistics, with the numbers of a reference (VECTORS=file)'
	@echo 'make simulate what they do to good and bad canaries, in simulated rollouts (two minutes; RUNS=n);'
	@echo '              LONG=1: to those of 90 days, observation by observation (an hour)'
	@echo 'make asan     all tests, with AddressSanitizer and UndefinedBehaviorSanitizer'
	@echo 'make fuzz     what reads input, with libFuzzer (FUZZ_TIME=30 seconds each)'
	@echo 'make matrix   all tests with each nginx from 1.22.1 on that Debian has the source of,'
	@echo '              gcc and clang, dynamic and static, with and without --with-debug'
	@echo '              (ONLY=1.26.3, ONLY="clang static": a part of that; ASAN=1: with the'
	@echo '              sanitizers, gcc only)'
	@echo 'make conformance NGINX_TESTS=dir   nginx'\''s own tests, a checkout of which is there: as'
	@echo '              with stock, behind endpoints too? (an hour; MODES, FILES="proxy*.t": a part)'
	@echo 'make bench    what the module costs, beside others (12 minutes; QUICK=1: 4)'
	@echo 'make lint     warnings of gcc, clang, cppcheck, shellcheck'
	@echo 'make install  into $(DESTDIR)$(MODULESDIR) and $(DESTDIR)$(PREFIX)'
	@echo '              (DESTDIR, MODULESDIR, PREFIX)'
	@echo 'make deps     the Debian packages for all of that (each target installs its own)'
	@echo 'make clean    remove build/'
	@echo
	@echo 'CC=clang, PROVE_JOBS=n, CONF=file (demo) may be set too.'

deps:
	@tools/packages $(sort $(BUILD_PACKAGES) $(TEST_PACKAGES) $(ASAN_PACKAGES) $(MATRIX_PACKAGES) $(CONFORMANCE_PACKAGES) $(FUZZ_PACKAGES) \
		$(BENCH_PACKAGES) $(LINT_PACKAGES))

demo:
	@tools/packages $(sort $(BUILD_PACKAGES) perl $(if $(filter 1,$(KEEP)),curl))
	@$(MAKE) --no-print-directory build
	@tools/demo $(if $(filter 1,$(KEEP)),--keep) build/$(MODULE) $(CONF)

test: test-packages build unit-programs stores-programs $(FAULTS) $(BROWSER)
	@TEST_CANARY_MODULE=$(CURDIR)/build/$(MODULE) \
		TEST_CANARY_FAULTS=$(CURDIR)/$(FAULTS) \
		TEST_CANARY_STORES=$(CURDIR)/$(STORES) \
		TEST_CANARY_UNIT=$(CURDIR)/$(UNIT_DIR) prove -j $(PROVE_JOBS) -r t

busy: test-packages build unit-programs stores-programs $(FAULTS) $(BROWSER)
	@for n in $$(seq '$(TIMES)'); do \
		tools/busy '$(LOOPS)' $(MAKE) --no-print-directory test || exit 1; \
	done

unit: test-packages unit-programs
	@TEST_CANARY_UNIT=$(CURDIR)/$(UNIT_DIR) prove t/unit.t

kills: test-packages build stores-programs $(FAULTS)
	@TEST_CANARY_MODULE=$(CURDIR)/build/$(MODULE) TEST_CANARY_KILLS=200 \
		TEST_CANARY_FAULTS=$(CURDIR)/$(FAULTS) \
		TEST_CANARY_STORES=$(CURDIR)/$(STORES) \
		TEST_NGINX_TIMEOUT=20000 \
		prove t/canary_state.t t/canary_faults.t t/canary_stores.t

endurance: test-packages build
	@TEST_CANARY_MODULE=$(CURDIR)/build/$(MODULE) TEST_CANARY_ENDURANCE=1 \
		TEST_NGINX_TIMEOUT=20000 prove t/canary_kill.t t/canary_endurance.t

soak: test-packages build $(FAULTS)
	@TEST_CANARY_MODULE=$(CURDIR)/build/$(MODULE) \
		TEST_CANARY_FAULTS=$(CURDIR)/$(FAULTS) t/soak/soak '$(SOAK_TIME)'

# First with master_process off, then with a master, workers and the helper.
valgrind:
	@tools/packages $(sort $(BUILD_PACKAGES) $(TEST_PACKAGES) valgrind)
	@$(MAKE) --no-print-directory build $(FAULTS)
	@$(VALGRIND_RUN) prove -j $(PROVE_JOBS) $(VALGRIND_TESTS)
	@$(VALGRIND_RUN) TEST_CANARY_VALGRIND_MASTER=1 \
		TEST_CANARY_FAULTS=$(CURDIR)/$(FAULTS) \
		prove -j $(PROVE_JOBS) $(VALGRIND_MASTER_TESTS)

vectors: test-packages vectors-program
	@$(UNIT_DIR)/vectors '$(VECTORS)'

simulate: test-packages simulate-program
ifeq ($(LONG),1)
	@$(UNIT_DIR)/simulate '$(RUNS)' ages
	@$(UNIT_DIR)/simulate '$(RUNS)' limit
	@$(MAKE) --no-print-directory $(REPLAY)
	@TEST_CANARY_LONG=1 prove t/replay.t
else
	@$(UNIT_DIR)/simulate '$(RUNS)'
endif

test-packages:
	@tools/packages $(sort $(BUILD_PACKAGES) $(TEST_PACKAGES))

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

# With the sanitizers only by gcc: those of clang find more in nginx itself.
matrix:
	@tools/packages $(sort $(BUILD_PACKAGES) $(TEST_PACKAGES) $(MATRIX_PACKAGES))
	@$(MAKE) --no-print-directory unit-programs ctl-program $(FAULTS) $(REPLAY) $(BROWSER)
	@$(if $(filter 1,$(ASAN)),$(ASAN_FLAGS) $(ASAN_RUN) ASAN=1) \
		ONLY='$(ONLY)$(if $(filter 1,$(ASAN)), gcc)' PROVE_JOBS='$(PROVE_JOBS)' \
		TEST_CANARY_FAULTS=$(CURDIR)/$(FAULTS) \
		TEST_CANARY_UNIT=$(CURDIR)/$(UNIT_DIR) tools/matrix build/matrix

# With the nginx on the PATH, or TEST_NGINX_BINARY with its NGINX_SRC.
conformance:
	@tools/packages $(sort $(BUILD_PACKAGES) $(CONFORMANCE_PACKAGES))
	@$(MAKE) --no-print-directory build
	@MODES='$(MODES)' FILES='$(FILES)' PROVE_JOBS='$(PROVE_JOBS)' \
		t/conformance/run build/$(MODULE) '$(NGINX_TESTS)'

fuzz:
	@tools/packages $(sort $(FUZZ_PACKAGES))
	@$(MAKE) --no-print-directory fuzz-programs
	@for target in $(FUZZ_TARGETS); do \
		t/fuzz/run $(FUZZ_DIR)/$$target $(FUZZ_TIME) || exit 1; \
	done

# For the nginx on the PATH.
bench:
	@tools/packages $(sort $(BUILD_PACKAGES) $(BENCH_PACKAGES))
	@$(MAKE) --no-print-directory build
	@t/bench/run $(if $(filter 1,$(QUICK)),--quick) build/$(MODULE)

lint:
	@tools/packages $(sort $(BUILD_PACKAGES) $(LINT_PACKAGES))
	@NGINX_SRC='$(NGINX_SRC)' tools/lint build/lint

# By a rename: an nginx that runs may have the old file mapped.
install: build
	@test -n '$(MODULESDIR)' || { echo 'Where to? make install MODULESDIR=dir' >&2; exit 1; }
	install -d '$(DESTDIR)$(MODULESDIR)'
	install -m 644 build/$(MODULE) '$(DESTDIR)$(MODULESDIR)/$(MODULE).new'
	mv -f '$(DESTDIR)$(MODULESDIR)/$(MODULE).new' '$(DESTDIR)$(MODULESDIR)/$(MODULE)'
	install -d '$(DESTDIR)$(PREFIX)/bin' '$(DESTDIR)$(PREFIX)/share/man/man1' \
		'$(DESTDIR)$(PREFIX)/share/bash-completion/completions'
	install -m 755 build/canaryctl '$(DESTDIR)$(PREFIX)/bin/canaryctl'
	install -m 755 $(REPLAY) '$(DESTDIR)$(PREFIX)/bin/canary-replay'
	install -m 644 docs/canaryctl.1 '$(DESTDIR)$(PREFIX)/share/man/man1/canaryctl.1'
	install -m 644 completions/canaryctl.bash \
		'$(DESTDIR)$(PREFIX)/share/bash-completion/completions/canaryctl'

clean:
	rm -rf build


# canaryctl, with what it shares with the module: JSON and text.

CTL        := build/canaryctl
CTL_CFLAGS  = -std=c11 -W -Wall -Wpointer-arith -Wno-unused-parameter -Werror \
              $(CFLAGS) -Isrc/format -Isrc/ctl
CTL_SHARED := $(addprefix src/format/canary_,json.c json_check.c text.c)
CTL_SRCS   := $(wildcard src/ctl/*.c) $(CTL_SHARED)
CTL_OBJS    = $(CTL_SRCS:%.c=$(CTL).obj/%.o)
CTL_LIBS   := -lcurl -lcjson -lcrypto -lm

ctl-program: $(CTL)

$(CTL): $(CTL_OBJS)
	@$(CC) $(CTL_CFLAGS) $(LDFLAGS) -o $@ $^ $(CTL_LIBS)
	@echo 'Built $@'

$(CTL).obj/%.o: %.c $(CTL).obj/flags
	@mkdir -p $(@D)
	@$(CC) $(CTL_CFLAGS) -MMD -MP -c -o $@ $<

$(CTL).obj/flags: FORCE
	@mkdir -p $(@D)
	@echo '$(CC) $(CTL_CFLAGS) $(LDFLAGS)' | cmp -s - $@ || \
		echo '$(CC) $(CTL_CFLAGS) $(LDFLAGS)' >$@

-include $(wildcard $(CTL).obj/*/*/*.d)


# What needs no nginx: canary_*.c of all rooms but the replay.

ROOMS      := $(filter-out ctl replay,$(notdir $(wildcard src/*)))
PURE_SRCS  := $(wildcard $(ROOMS:%=src/%/canary_*.c))
PURE_INCS  := -Isrc $(ROOMS:%=-Isrc/%)


# Unit tests: each t/unit/*_test.c is one program, with all of that;
# ctl_*_test.c with src/ctl.
# t/vectors/*.c and t/simulate/*.c are one each.

UNIT_DIR      := build/unit
UNIT_SANITIZE :=
UNIT_CFLAGS    = -std=c11 -Wall -Wextra -Werror -O1 -g \
                 $(PURE_INCS) -Isrc/ctl $(UNIT_SANITIZE)
UNIT_SRCS     := $(PURE_SRCS)
UNIT_CTL_SRCS := $(filter-out src/ctl/ctl_main.c,$(wildcard src/ctl/*.c)) \
                 $(CTL_SHARED)
UNIT_CTL_OBJS := $(UNIT_CTL_SRCS:%.c=$(UNIT_DIR)/obj/%.o)
UNIT_OBJS     := $(UNIT_SRCS:%.c=$(UNIT_DIR)/obj/%.o)
VECTOR_OBJS   := $(patsubst %.c,$(UNIT_DIR)/obj/%.o,$(wildcard t/vectors/*.c))
SIMULATE_OBJS := $(patsubst %.c,$(UNIT_DIR)/obj/%.o,$(wildcard t/simulate/*.c))
UNIT_TESTS    := $(notdir $(basename $(wildcard t/unit/*_test.c)))
UNIT_CTL_TESTS := $(patsubst %,$(UNIT_DIR)/%,$(filter ctl_%,$(UNIT_TESTS)))

unit-programs: vectors-program simulate-program $(UNIT_TESTS:%=$(UNIT_DIR)/%)

vectors-program: $(UNIT_DIR)/vectors
simulate-program: $(UNIT_DIR)/simulate

$(filter-out $(UNIT_CTL_TESTS),$(UNIT_TESTS:%=$(UNIT_DIR)/%)): \
		$(UNIT_DIR)/%_test: $(UNIT_DIR)/obj/t/unit/%_test.o $(UNIT_OBJS)
	@$(CC) $(UNIT_CFLAGS) -o $@ $^ -lcmocka -lcjson -lcrypto -lm

$(UNIT_DIR)/obj/src/ctl/%.o: UNIT_CFLAGS += -Wno-unused-parameter

$(UNIT_CTL_TESTS): \
		$(UNIT_DIR)/%_test: $(UNIT_DIR)/obj/t/unit/%_test.o $(UNIT_CTL_OBJS)
	@$(CC) $(UNIT_CFLAGS) -o $@ $^ -lcmocka $(CTL_LIBS)

$(UNIT_DIR)/vectors: $(VECTOR_OBJS) $(UNIT_OBJS)
	@$(CC) $(UNIT_CFLAGS) -o $@ $^ -lcjson -lcrypto -lm

$(UNIT_DIR)/simulate: $(SIMULATE_OBJS) $(UNIT_OBJS)
	@$(CC) $(UNIT_CFLAGS) -o $@ $^ -lcjson -lcrypto -lm

$(UNIT_DIR)/obj/%.o: %.c $(UNIT_DIR)/flags
	@mkdir -p $(@D)
	@$(CC) $(UNIT_CFLAGS) -MMD -MP -c -o $@ $<

$(UNIT_DIR)/flags: FORCE
	@mkdir -p $(@D)
	@echo '$(CC) $(UNIT_CFLAGS)' | cmp -s - $@ || echo '$(CC) $(UNIT_CFLAGS)' >$@

.SECONDARY: $(UNIT_OBJS) $(UNIT_CTL_OBJS) $(UNIT_TESTS:%=$(UNIT_DIR)/obj/t/unit/%.o)
-include $(wildcard $(UNIT_DIR)/obj/*/*/*.d)


$(FAULTS): $(wildcard t/faults/*.[ch])
	@mkdir -p $(@D)
	@$(CC) -std=gnu11 -Wall -Wextra -Werror -O1 -g -shared -fPIC -o $@ \
		$(filter %.c,$^) -ldl


# By gcc, whatever the rest is built with: clang makes other calls.

STORES_INCS = $(addprefix -isystem $(STORES)/obj/tree/src/,core event \
                event/modules os/unix http http/modules http/v2) \
              -isystem $(STORES)/obj $(PURE_INCS)
STORES_CFLAGS := -std=gnu11 -Wall -Wextra -Wno-unused-parameter -Werror -O1 -g \
                 -shared -fPIC

# Large copies as calls, which may be left half done.
STORES_FLAGS := -fsanitize=thread \
                $(if $(filter x86_64,$(shell uname -m)),-mstringop-strategy=libcall)

stores-programs:
	@NGINX_SRC='$(NGINX_SRC)' CC=gcc CFLAGS='-O1 -g' LDFLAGS= \
		INSTRUMENT='$(STORES_FLAGS)' tools/build $(STORES)
	@$(MAKE) --no-print-directory $(STORES)/stores.so \
		$(STORES)/ngx_http_canary_kills_module.so

$(STORES)/stores.so: t/kills/stores.c t/kills/kills.h
	@gcc $(STORES_CFLAGS) -o $@ $< -ldl

$(STORES)/ngx_http_canary_kills_module.so: $(STORES)/$(MODULE) \
		$(filter-out t/kills/stores.c,$(wildcard t/kills/*.[ch]))
	@gcc $(STORES_CFLAGS) $(STORES_INCS) -o $@ $(filter %.c,$^)


# If that fails the test of the dashboard says so, and all others run.

$(BROWSER): t/dashboard/package.json t/dashboard/package-lock.json
	@mkdir -p $(@D)
	@cp $^ $(@D)
	@rm -rf $@
	@cd $(@D) && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error \
		--fetch-retries=1 --fetch-timeout=30000 >npm.log 2>&1 && \
		touch node_modules || { \
		rm -rf node_modules; \
		echo 'npm could not install what drives a browser; $(@D)/npm.log:' >&2; \
		head -n 5 npm.log >&2; }


# The core offline, with the same sources, but for the state file's.

REPLAY         := build/canary-replay
REPLAY_SRCS    := $(wildcard src/replay/*.c) \
                  $(filter-out src/state/% src/verta/%,$(PURE_SRCS))
REPLAY_HEADERS := $(wildcard src/replay/*.h $(ROOMS:%=src/%/canary_*.h))
REPLAY_CFLAGS   = -std=c11 -Wall -Wextra -Werror $(PURE_INCS) \
                  -Isrc/replay $(CFLAGS)

$(REPLAY): $(REPLAY_SRCS) $(REPLAY_HEADERS) $(REPLAY).flags
	@$(CC) $(REPLAY_CFLAGS) $(LDFLAGS) -o $@ $(REPLAY_SRCS) -lcjson -lm
	@echo 'Built $@'

$(REPLAY).flags: FORCE
	@mkdir -p $(@D)
	@echo '$(CC) $(REPLAY_CFLAGS) $(LDFLAGS)' | cmp -s - $@ || \
		echo '$(CC) $(REPLAY_CFLAGS) $(LDFLAGS)' >$@


# Fuzz targets: each t/fuzz/*_fuzz.c is one program, with the same sources,
# and with what is in src/replay but for its main().

FUZZ_DIR     := build/fuzz
FUZZ_CFLAGS  := -std=c11 -Wall -Wextra -Werror -O1 -g $(PURE_INCS) \
                -Isrc/replay -fsanitize=fuzzer,address,undefined \
                -fno-sanitize-recover=undefined
FUZZ_TARGETS := $(notdir $(basename $(wildcard t/fuzz/*_fuzz.c)))
FUZZ_SRCS    := $(filter-out %_main.c,$(sort $(REPLAY_SRCS) $(UNIT_SRCS)))

.PHONY: fuzz-programs

fuzz-programs: $(FUZZ_TARGETS:%=$(FUZZ_DIR)/%)

$(FUZZ_DIR)/%: t/fuzz/%.c t/fuzz/fuzz.h $(FUZZ_SRCS) $(REPLAY_HEADERS) Makefile
	@mkdir -p $(@D)
	@clang $(FUZZ_CFLAGS) -o $@ $< $(FUZZ_SRCS) -lcjson -lcrypto -lm
