# What checkers have to say.

.PHONY: lint

## warnings of gcc, clang, cppcheck, shellcheck
lint:
	@tools/packages $(sort $(BUILD_PACKAGES) $(LINT_PACKAGES))
	@NGINX_SRC='$(NGINX_SRC)' PURE_SRCS='$(sort $(PURE_SRCS) $(REPLAY_SRCS))' \
		tools/lint build/lint
