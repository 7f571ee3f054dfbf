# All tests, and what they need beside the module.

## processes that make the machine busy
LOOPS ?= 16
## how often the tests run so
TIMES ?= 3

.PHONY: test busy alerts-test test-packages

TEST_RUN = TEST_CANARY_MODULE=$(CURDIR)/build/$(MODULE) \
		TEST_CANARY_FAULTS=$(CURDIR)/$(FAULTS) \
		TEST_CANARY_STORES=$(CURDIR)/$(STORES) \
		TEST_CANARY_UNIT=$(CURDIR)/$(UNIT_DIR)

## all tests: unit and end-to-end
test: test-packages build unit-programs stores-programs $(FAULTS) $(BROWSER)
	@$(TEST_RUN) prove -j $(PROVE_JOBS) -r t

## the same three times in a row, beside 16 busy loops (TIMES, LOOPS)
busy: test-packages build unit-programs stores-programs $(FAULTS) $(BROWSER)
	@for n in $$(seq '$(TIMES)'); do \
		tools/busy '$(LOOPS)' $(MAKE) --no-print-directory test || exit 1; \
	done

## the alerts of contrib/prometheus on made-up figures, by promtool
alerts-test:
	@tools/packages prometheus
	@cd contrib/prometheus && promtool check rules rules.yml alerts.yml && \
		promtool test rules tests.yml

test-packages:
	@tools/packages $(sort $(BUILD_PACKAGES) $(TEST_PACKAGES))

$(FAULTS): $(wildcard t/faults/*.[ch])
	@mkdir -p $(@D)
	@$(CC) -std=gnu11 -Wall -Wextra -Werror -O1 -g -shared -fPIC -o $@ \
		$(filter %.c,$^) -ldl

# If that fails the test of the dashboard says so, and all others run.

$(BROWSER): t/api/dashboard/package.json t/api/dashboard/package-lock.json
	@mkdir -p $(@D)
	@cp $^ $(@D)
	@rm -rf $@
	@cd $(@D) && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error \
		--fetch-retries=1 --fetch-timeout=30000 >npm.log 2>&1 && \
		touch node_modules || { \
		rm -rf node_modules; \
		echo 'npm could not install what drives a browser; $(@D)/npm.log:' >&2; \
		head -n 5 npm.log >&2; }
