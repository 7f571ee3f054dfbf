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
#   KEEP        1: the demo leaves nginx running
#   QUICK       1: the benchmark takes two minutes, with fewer rounds
#   VECTORS     the file of test vectors for the statistics
#   RUNS        simulated rollouts for each row of a table
#   DESTDIR, MODULESDIR

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
QUICK      ?=
VECTORS    ?= t/vectors/cr-1.json
RUNS       ?= 1000
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

BUILD_PACKAGES := $(firstword $(subst -, ,$(notdir $(CC)))) make libc6-dev \
                  libcjson-dev libssl-dev
TEST_PACKAGES  := gcc libcmocka-dev openssl perl chromium fonts-dejavu-core \
                  $(call unless,node,nodejs) $(call unless,npm,npm)
ASAN_PACKAGES  := dpkg-dev libpcre2-dev zlib1g-dev
MATRIX_PACKAGES := gcc clang dpkg-dev libpcre2-dev zlib1g-dev
FUZZ_PACKAGES  := clang libcjson-dev libssl-dev
LINT_PACKAGES  := gcc clang perl
BENCH_PACKAGES := gcc libc6-dev perl valgrind wrk haproxy libnginx-mod-http-lua

ifeq ($(NGINX_SRC),/usr/share/nginx/src)
BUILD_PACKAGES += nginx nginx-dev
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

# A broken disk, for nginx under test.
FAULTS := build/faults/faults.so

# What drives a browser. t/dashboard.t looks for it there.
BROWSER := build/browser/node_modules

.NOTPARALLEL:
.PHONY: build help deps demo test unit vectors simulate test-packages \
        unit-programs vectors-program simulate-program asan matrix fuzz \
        kills bench lint install clean FORCE

build:
	@tools/packages $(sort $(BUILD_PACKAGES))
	@NGINX_SRC='$(NGINX_SRC)' CC='$(CC)' CFLAGS='$(CFLAGS)' \
		LDFLAGS='$(LDFLAGS)' tools/build build
ifeq ($(NGINX_SRC),/usr/share/nginx/src)
	@tools/loads build/$(MODULE)
endif

help:
	@echo 'make build    build/$(MODULE), for the nginx on the PATH (the default)'
	@echo 'make build NGINX_SRC=dir   the same, for an unpacked nginx source'
	@echo 'make demo     watch a good rollout and a bad one (KEEP=1: leave nginx running)'
	@echo 'make test     all tests: unit and end-to-end'
	@echo 'make kills    200 times: all processes killed after an acknowledgement, nothing lost'
	@echo 'make unit     unit tests only'
	@echo 'make vectors  the statistics, with the numbers of a reference (VECTORS=file)'
	@echo 'make simulate what they do to good and bad canaries, in simulated rollouts (a minute; RUNS=n)'
	@echo 'make asan     all tests, with AddressSanitizer and UndefinedBehaviorSanitizer'
	@echo 'make fuzz     what reads JSON, with libFuzzer (FUZZ_TIME=30 seconds each)'
	@echo 'make matrix   all tests with each nginx from 1.22.1 on that Debian has the source of,'
	@echo '              gcc and clang, dynamic and static, with and without --with-debug'
	@echo '              (ONLY=1.26.3, ONLY="clang static": a part of that; ASAN=1: with the'
	@echo '              sanitizers, gcc only)'
	@echo 'make bench    what the module costs, beside others (7 minutes; QUICK=1: 2)'
	@echo 'make lint     warnings of gcc, clang, cppcheck, shellcheck'
	@echo 'make install  into $(DESTDIR)$(MODULESDIR)  (DESTDIR, MODULESDIR)'
	@echo 'make deps     the Debian packages for all of that (each target installs its own)'
	@echo 'make clean    remove build/'
	@echo
	@echo 'CC=clang, PROVE_JOBS=n, CONF=file (demo) may be set too.'

deps:
	@tools/packages $(sort $(BUILD_PACKAGES) $(TEST_PACKAGES) $(ASAN_PACKAGES) $(MATRIX_PACKAGES) $(FUZZ_PACKAGES) \
		$(BENCH_PACKAGES) $(LINT_PACKAGES))

demo:
	@tools/packages $(sort $(BUILD_PACKAGES) perl $(if $(filter 1,$(KEEP)),curl))
	@$(MAKE) --no-print-directory build
	@tools/demo $(if $(filter 1,$(KEEP)),--keep) build/$(MODULE) $(CONF)

test: test-packages build unit-programs $(FAULTS) $(BROWSER)
	@TEST_CANARY_MODULE=$(CURDIR)/build/$(MODULE) \
		TEST_CANARY_FAULTS=$(CURDIR)/$(FAULTS) \
		TEST_CANARY_UNIT=$(CURDIR)/$(UNIT_DIR) prove -j $(PROVE_JOBS) -r t

unit: test-packages unit-programs
	@TEST_CANARY_UNIT=$(CURDIR)/$(UNIT_DIR) prove t/unit.t

kills: test-packages build
	@TEST_CANARY_MODULE=$(CURDIR)/build/$(MODULE) TEST_CANARY_KILLS=200 \
		TEST_NGINX_TIMEOUT=1800 prove t/canary_state.t

vectors: test-packages vectors-program
	@$(UNIT_DIR)/vectors '$(VECTORS)'

simulate: test-packages simulate-program
	@$(UNIT_DIR)/simulate '$(RUNS)'

test-packages:
	@tools/packages $(sort $(BUILD_PACKAGES) $(TEST_PACKAGES))

asan:
	@tools/packages $(sort $(BUILD_PACKAGES) $(TEST_PACKAGES) $(ASAN_PACKAGES))
	@$(ASAN_BUILD) tools/asan-nginx build/asan
	@$(ASAN_BUILD) NGINX_SRC=build/asan/src tools/build build/asan
	@$(MAKE) --no-print-directory $(BROWSER) unit-programs \
		UNIT_DIR=build/asan/unit UNIT_SANITIZE='$(SANITIZE)'
	@$(ASAN_RUN) TEST_NGINX_BINARY=$(CURDIR)/build/asan/nginx \
		TEST_CANARY_MODULE=$(CURDIR)/build/asan/$(MODULE) \
		TEST_CANARY_UNIT=$(CURDIR)/build/asan/unit \
		prove -j $(PROVE_JOBS) -r t

# With the sanitizers only by gcc: those of clang find more in nginx itself.
matrix:
	@tools/packages $(sort $(BUILD_PACKAGES) $(TEST_PACKAGES) $(MATRIX_PACKAGES))
	@$(MAKE) --no-print-directory unit-programs $(FAULTS) $(BROWSER)
	@$(if $(filter 1,$(ASAN)),$(ASAN_FLAGS) $(ASAN_RUN) ASAN=1) \
		ONLY='$(ONLY)$(if $(filter 1,$(ASAN)), gcc)' PROVE_JOBS='$(PROVE_JOBS)' \
		TEST_CANARY_FAULTS=$(CURDIR)/$(FAULTS) \
		TEST_CANARY_UNIT=$(CURDIR)/$(UNIT_DIR) tools/matrix build/matrix

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

clean:
	rm -rf build


# Unit tests: each t/unit/*_test.c is one program, with all of src/core and
# what in src/http needs no nginx: canary_*.c.  t/vectors/*.c and
# t/simulate/*.c are one each.

UNIT_DIR      := build/unit
UNIT_SANITIZE :=
UNIT_CFLAGS    = -std=c11 -Wall -Wextra -Werror -O1 -g \
                 -Isrc -Isrc/core -Isrc/http $(UNIT_SANITIZE)
UNIT_SRCS     := $(wildcard src/core/*.c src/http/canary_*.c)
UNIT_OBJS     := $(UNIT_SRCS:%.c=$(UNIT_DIR)/obj/%.o)
VECTOR_OBJS   := $(patsubst %.c,$(UNIT_DIR)/obj/%.o,$(wildcard t/vectors/*.c))
SIMULATE_OBJS := $(patsubst %.c,$(UNIT_DIR)/obj/%.o,$(wildcard t/simulate/*.c))
UNIT_TESTS    := $(notdir $(basename $(wildcard t/unit/*_test.c)))

unit-programs: vectors-program simulate-program $(UNIT_TESTS:%=$(UNIT_DIR)/%)

vectors-program: $(UNIT_DIR)/vectors
simulate-program: $(UNIT_DIR)/simulate

$(UNIT_DIR)/%_test: $(UNIT_DIR)/obj/t/unit/%_test.o $(UNIT_OBJS)
	@$(CC) $(UNIT_CFLAGS) -o $@ $^ -lcmocka -lcjson -lcrypto -lm

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

.SECONDARY: $(UNIT_OBJS) $(UNIT_TESTS:%=$(UNIT_DIR)/obj/t/unit/%.o)
-include $(wildcard $(UNIT_DIR)/obj/*/*/*.d)


$(FAULTS): t/faults/faults.c
	@mkdir -p $(@D)
	@$(CC) -std=gnu11 -Wall -Wextra -Werror -O1 -g -shared -fPIC -o $@ $< -ldl


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


# Fuzz targets: each t/fuzz/*_fuzz.c is one program, with the same sources.

FUZZ_DIR     := build/fuzz
FUZZ_CFLAGS  := -std=c11 -Wall -Wextra -Werror -O1 -g -Isrc/core -Isrc/http \
                -fsanitize=fuzzer,address,undefined \
                -fno-sanitize-recover=undefined
FUZZ_TARGETS := $(notdir $(basename $(wildcard t/fuzz/*_fuzz.c)))

.PHONY: fuzz-programs

fuzz-programs: $(FUZZ_TARGETS:%=$(FUZZ_DIR)/%)

$(FUZZ_DIR)/%: t/fuzz/%.c t/fuzz/fuzz.h $(UNIT_SRCS) \
		$(wildcard src/core/*.h src/http/canary_*.h) Makefile
	@mkdir -p $(@D)
	@clang $(FUZZ_CFLAGS) -o $@ $< $(UNIT_SRCS) -lcjson -lcrypto -lm
