# Programs that test what is built without nginx.

## the file of test vectors for the statistics
VECTORS ?= t/vectors/cr-1.json
## simulated rollouts for each row of a table
RUNS    ?= 1000
## 1: the simulation of rollouts that go on for months, in full, and a replay
## of eight days (an hour)
LONG    ?=

.PHONY: unit vectors simulate unit-programs vectors-program simulate-program

## unit tests only
unit: test-packages unit-programs
	@TEST_CANARY_UNIT=$(CURDIR)/$(UNIT_DIR) prove t/unit.t

## the statistics, with the numbers of a reference (VECTORS=file)
vectors: test-packages vectors-program
	@$(UNIT_DIR)/vectors '$(VECTORS)'

## what they do to good and bad canaries, in simulated rollouts (two minutes;
## RUNS=n); LONG=1: to those of 90 days, observation by observation (an hour)
simulate: test-packages simulate-program
ifeq ($(LONG),1)
	@$(UNIT_DIR)/simulate '$(RUNS)' ages
	@$(UNIT_DIR)/simulate '$(RUNS)' limit
	@$(UNIT_DIR)/simulate '$(RUNS)' late
	@$(UNIT_DIR)/simulate $$((8 * $(RUNS))) fleet
	@$(MAKE) --no-print-directory $(REPLAY)
	@TEST_CANARY_LONG=1 prove t/replay/replay.t
else
	@$(UNIT_DIR)/simulate '$(RUNS)'
endif


# Each t/unit/ROOM/*_test.c is one program, with all that is built without
# nginx; those of ctl with src/ctl. t/vectors/*.c and t/simulate/*.c are one
# each.

UNIT_SANITIZE :=
UNIT_CFLAGS    = -std=c11 -Wall -Wextra -Werror -O1 -g \
                 $(PURE_INCS) -Isrc/ctl -It/unit $(UNIT_SANITIZE)
UNIT_CTL_SRCS := $(filter-out src/ctl/ctl_main.c,$(CTL_SRCS))
UNIT_CTL_OBJS := $(UNIT_CTL_SRCS:%.c=$(UNIT_DIR)/obj/%.o)
UNIT_OBJS     := $(PURE_SRCS:%.c=$(UNIT_DIR)/obj/%.o)
VECTOR_OBJS   := $(patsubst %.c,$(UNIT_DIR)/obj/%.o,$(wildcard t/vectors/*.c))
SIMULATE_OBJS := $(patsubst %.c,$(UNIT_DIR)/obj/%.o,$(wildcard t/simulate/*.c))
UNIT_TESTS    := $(basename $(wildcard t/unit/*/*_test.c))
UNIT_PROGRAMS := $(addprefix $(UNIT_DIR)/,$(notdir $(UNIT_TESTS)))
UNIT_CTL_PROGRAMS := $(addprefix $(UNIT_DIR)/, \
                       $(notdir $(filter t/unit/ctl/%,$(UNIT_TESTS))))

unit-programs: vectors-program simulate-program $(UNIT_PROGRAMS)

vectors-program: $(UNIT_DIR)/vectors
simulate-program: $(UNIT_DIR)/simulate

$(foreach test,$(UNIT_TESTS), \
    $(eval $(UNIT_DIR)/$(notdir $(test)): $(UNIT_DIR)/obj/$(test).o))

$(filter-out $(UNIT_CTL_PROGRAMS),$(UNIT_PROGRAMS)): $(UNIT_OBJS)
	@$(CC) $(UNIT_CFLAGS) -o $@ $^ -lcmocka -lcjson -lhiredis -lcrypto -lm

$(UNIT_CTL_PROGRAMS): $(UNIT_CTL_OBJS)
	@$(CC) $(UNIT_CFLAGS) -o $@ $^ -lcmocka $(CTL_LIBS)

$(UNIT_DIR)/obj/src/ctl/%.o: UNIT_CFLAGS += -Wno-unused-parameter

$(UNIT_DIR)/vectors: $(VECTOR_OBJS) $(UNIT_OBJS)
	@$(CC) $(UNIT_CFLAGS) -o $@ $^ -lcjson -lhiredis -lcrypto -lm

$(UNIT_DIR)/simulate: $(SIMULATE_OBJS) $(UNIT_OBJS)
	@$(CC) $(UNIT_CFLAGS) -o $@ $^ -lcjson -lhiredis -lcrypto -lm

$(UNIT_DIR)/obj/%.o: %.c $(UNIT_DIR)/flags
	@mkdir -p $(@D)
	@$(CC) $(UNIT_CFLAGS) -MMD -MP -c -o $@ $<

$(UNIT_DIR)/flags: FORCE
	@mkdir -p $(@D)
	@echo '$(CC) $(UNIT_CFLAGS)' | cmp -s - $@ || echo '$(CC) $(UNIT_CFLAGS)' >$@

-include $(wildcard $(UNIT_DIR)/obj/*/*/*.d $(UNIT_DIR)/obj/*/*/*/*.d)
