# The module, canaryctl and canary-replay.

## the configuration that the demo runs
CONF       ?= conf.example
## 1: the demo leaves nginx running
KEEP       ?=
## the root of what is installed
DESTDIR    ?=
## below it, where the module is
MODULESDIR ?= $(shell PATH='$(PATH)' nginx -V 2>&1 | \
                sed -n 's/.*--modules-path=\([^ ]*\).*/\1/p')
## and where the programs, their manuals and completion are
PREFIX     ?= /usr/local

.PHONY: build ctl ctl-program programs demo install uninstall \
        modules-dir install-module install-programs

## build/ngx_http_canary_module.so, for the nginx on the PATH (the default),
## build/canaryctl and build/canary-replay
build:
	@tools/packages $(sort $(BUILD_PACKAGES))
	@NGINX_SRC='$(NGINX_SRC)' CC='$(CC)' CFLAGS='$(CFLAGS)' \
		LDFLAGS='$(LDFLAGS)' tools/build build
	@$(MAKE) --no-print-directory programs
ifeq ($(NGINX_SRC),/usr/share/nginx/src)
	@tools/loads build/$(MODULE)
endif

## build/canaryctl only
ctl:
	@tools/packages $(sort $(CTL_PACKAGES))
	@$(MAKE) --no-print-directory ctl-program

## watch a good rollout and a bad one (KEEP, CONF)
demo:
	@tools/packages $(sort $(BUILD_PACKAGES) perl $(if $(filter 1,$(KEEP)),curl))
	@$(MAKE) --no-print-directory build
	@tools/demo $(if $(filter 1,$(KEEP)),--keep) build/$(MODULE) $(CONF)

## the module and the programs (DESTDIR, MODULESDIR, PREFIX)
install: build install-module install-programs

## remove what make install has installed (DESTDIR, MODULESDIR, PREFIX)
uninstall: modules-dir
	rm -f '$(MODULE_TO)' $(CTL:build/%='$(BIN_TO)/%') \
		$(REPLAY:build/%='$(BIN_TO)/%') \
		$(MANUALS:docs/%='$(MANUALS_TO)/%') \
		$(COMPLETIONS:completions/%.bash='$(COMPLETIONS_TO)/%')


# Stripped, as packages of a distribution are: Debian's own keep the symbols.

INSTALL     := install
MODULE_TO    = $(DESTDIR)$(MODULESDIR)/$(MODULE)
BIN_TO       = $(DESTDIR)$(PREFIX)/bin
MANUALS_TO   = $(DESTDIR)$(PREFIX)/share/man/man1
COMPLETIONS_TO = $(DESTDIR)$(PREFIX)/share/bash-completion/completions
MANUALS     := $(wildcard docs/*.1)
COMPLETIONS := $(wildcard completions/*.bash)

modules-dir:
	@test -n '$(MODULESDIR)' || { echo 'Where to? make install MODULESDIR=dir' >&2; exit 1; }

# By a rename: an nginx that runs may have the old file mapped.

install-module: modules-dir
	install -d '$(DESTDIR)$(MODULESDIR)'
	$(INSTALL) -s -m 644 build/$(MODULE) '$(MODULE_TO).new'
	mv -f '$(MODULE_TO).new' '$(MODULE_TO)'

install-programs:
	install -d '$(BIN_TO)' '$(MANUALS_TO)' '$(COMPLETIONS_TO)'
	$(INSTALL) -s -m 755 $(CTL) $(REPLAY) '$(BIN_TO)'
	install -m 644 $(MANUALS) '$(MANUALS_TO)'
	for file in $(COMPLETIONS:completions/%.bash=%); do \
		install -m 644 completions/$$file.bash '$(COMPLETIONS_TO)/'$$file || exit 1; \
	done


# canaryctl, with what it shares with the module.

CTL_CFLAGS  = -std=c11 -W -Wall -Wpointer-arith -Wno-unused-parameter -Werror \
              $(CFLAGS) -Isrc/core -Isrc/format -Isrc/ctl
CTL_OBJS    = $(CTL_SRCS:%.c=$(CTL).obj/%.o)
CTL_LIBS   := -lcurl -lcjson -lcrypto -lm

ctl-program: $(CTL)

programs: $(CTL) $(REPLAY)

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


# The core offline, with the same sources.

REPLAY_CFLAGS   = -std=c11 -Wall -Wextra -Werror $(PURE_INCS) \
                  -Isrc/replay $(CFLAGS)

$(REPLAY): $(REPLAY_SRCS) $(REPLAY_HEADERS) $(REPLAY).flags
	@$(CC) $(REPLAY_CFLAGS) $(LDFLAGS) -o $@ $(REPLAY_SRCS) -lcjson -lm
	@echo 'Built $@'

$(REPLAY).flags: FORCE
	@mkdir -p $(@D)
	@echo '$(CC) $(REPLAY_CFLAGS) $(LDFLAGS)' | cmp -s - $@ || \
		echo '$(CC) $(REPLAY_CFLAGS) $(LDFLAGS)' >$@
