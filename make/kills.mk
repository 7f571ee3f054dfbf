# What dies, and when: once or as often as it takes.

## the scenario of t/kills/driver.c that make kills runs
KILLS_ONLY ?=
## seconds that the soak runs
SOAK_TIME ?= 3600

.PHONY: kills endurance soak stores-programs

## 200 times: all processes killed after an acknowledgement, or in a write,
## nothing lost; and one killed before any of its stores to shared memory, and
## mended (an hour; KILLS_ONLY=scenario: see t/kills/driver.c)
kills: test-packages build stores-programs $(FAULTS)
	@TEST_CANARY_MODULE=$(CURDIR)/build/$(MODULE) TEST_CANARY_KILLS=200 \
		TEST_CANARY_FAULTS=$(CURDIR)/$(FAULTS) \
		TEST_CANARY_STORES=$(CURDIR)/$(STORES) \
		TEST_NGINX_TIMEOUT=20000 \
		prove t/state/state.t t/state/faults.t t/zone/stores.t

## 100 kills, 50 reloads and 20 binary upgrades under load, 3,000 names
## (15 minutes)
endurance: test-packages build
	@TEST_CANARY_MODULE=$(CURDIR)/build/$(MODULE) TEST_CANARY_ENDURANCE=1 \
		TEST_NGINX_TIMEOUT=20000 prove t/control/kill.t t/control/endurance.t

## all of that at random, with an invariant checker (SOAK_TIME=3600 seconds)
soak: test-packages build $(FAULTS)
	@TEST_CANARY_MODULE=$(CURDIR)/build/$(MODULE) \
		TEST_CANARY_FAULTS=$(CURDIR)/$(FAULTS) t/soak/soak '$(SOAK_TIME)'


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
