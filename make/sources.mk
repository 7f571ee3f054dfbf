# What is built without nginx: canary_*.c of all rooms. The replay is a program
# of its own, and has no use for the state file, for Redis and for Verta's
# names.

ROOMS      := $(filter-out ctl replay,$(notdir $(wildcard src/*)))
PURE_SRCS  := $(wildcard $(ROOMS:%=src/%/canary_*.c))
PURE_INCS  := -Isrc $(ROOMS:%=-Isrc/%)

REPLAY_SRCS    := $(wildcard src/replay/*.c) \
                  $(filter-out src/state/% src/fleet/% src/verta/%,$(PURE_SRCS))
REPLAY_HEADERS := $(wildcard src/replay/*.h $(ROOMS:%=src/%/canary_*.h))

# canaryctl shares the decision and its texts with the module.
CTL_SRCS   := $(wildcard src/ctl/*.c src/core/*.c src/format/*.c)
