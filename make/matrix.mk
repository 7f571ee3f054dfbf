# Other nginxes, and nginx's own tests.

## words of the cells of the matrix to run: a version, gcc or clang, dynamic or
## static, debug or no-debug
ONLY        ?=
## 1: the matrix is built and run with the sanitizers
ASAN        ?=
## a checkout of nginx's own tests, for make conformance
NGINX_TESTS ?=
## words: the ways in which make conformance runs them
MODES       ?=
## words: those that it runs
FILES       ?=

.PHONY: matrix conformance

# With the sanitizers only by gcc: those of clang find more in nginx itself.

## all tests with each nginx from 1.22.1 on that Debian has the source of, gcc
## and clang, dynamic and static, with and without --with-debug (ONLY=1.26.3,
## ONLY="clang static": a part of that; ASAN=1: with the sanitizers, gcc only)
matrix:
	@tools/packages $(sort $(BUILD_PACKAGES) $(TEST_PACKAGES) $(MATRIX_PACKAGES))
	@$(MAKE) --no-print-directory unit-programs ctl-program $(FAULTS) $(REPLAY) $(BROWSER)
	@$(if $(filter 1,$(ASAN)),$(ASAN_FLAGS) $(ASAN_RUN) ASAN=1) \
		ONLY='$(ONLY)$(if $(filter 1,$(ASAN)), gcc)' PROVE_JOBS='$(PROVE_JOBS)' \
		TEST_CANARY_FAULTS=$(CURDIR)/$(FAULTS) \
		TEST_CANARY_UNIT=$(CURDIR)/$(UNIT_DIR) tools/matrix build/matrix

# With the nginx on the PATH, or TEST_NGINX_BINARY with its NGINX_SRC.

## nginx's own tests, a checkout of which is there (NGINX_TESTS=dir): as with
## stock, behind endpoints too? (an hour; MODES, FILES="proxy*.t": a part)
conformance:
	@tools/packages $(sort $(BUILD_PACKAGES) $(CONFORMANCE_PACKAGES))
	@$(MAKE) --no-print-directory build
	@MODES='$(MODES)' FILES='$(FILES)' PROVE_JOBS='$(PROVE_JOBS)' \
		t/conformance/run build/$(MODULE) '$(NGINX_TESTS)'
