# Fuzz targets: each t/fuzz/*_fuzz.c is one program, with all that is built
# without nginx but for a main().

## seconds that each fuzz target runs
FUZZ_TIME ?= 30

.PHONY: fuzz fuzz-programs

FUZZ_CFLAGS  := -std=c11 -Wall -Wextra -Werror -O1 -g $(PURE_INCS) \
                -Isrc/replay -fsanitize=fuzzer,address,undefined \
                -fno-sanitize-recover=undefined
FUZZ_TARGETS := $(notdir $(basename $(wildcard t/fuzz/*_fuzz.c)))
FUZZ_SRCS    := $(filter-out %_main.c,$(sort $(REPLAY_SRCS) $(PURE_SRCS)))

## what reads input, with libFuzzer (FUZZ_TIME=30 seconds each)
fuzz:
	@tools/packages $(sort $(FUZZ_PACKAGES))
	@$(MAKE) --no-print-directory fuzz-programs
	@for target in $(FUZZ_TARGETS); do \
		t/fuzz/run $(FUZZ_DIR)/$$target $(FUZZ_TIME) || exit 1; \
	done

fuzz-programs: $(FUZZ_TARGETS:%=$(FUZZ_DIR)/%)

$(FUZZ_DIR)/%: t/fuzz/%.c t/fuzz/fuzz.h $(FUZZ_SRCS) $(REPLAY_HEADERS) make/fuzz.mk
	@mkdir -p $(@D)
	@clang $(FUZZ_CFLAGS) -o $@ $< $(FUZZ_SRCS) -lcjson -lhiredis -lcrypto -lm
