# What the module costs.

## 1: the benchmark takes eight minutes, with fewer rounds
QUICK ?=

.PHONY: bench

# For the nginx on the PATH.

## what the module costs, beside others (20 minutes; QUICK=1: 8)
bench:
	@tools/packages $(sort $(BUILD_PACKAGES) $(BENCH_PACKAGES))
	@$(MAKE) --no-print-directory build
	@t/bench/run $(if $(filter 1,$(QUICK)),--quick) build/$(MODULE)
