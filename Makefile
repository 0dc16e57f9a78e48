# Onionskin: one non-recursive Makefile. `make help` lists the targets.
#
# Every .c file of a folder is part of that folder's library; a main.c is a program. A new file
# needs no line here. Everything built goes to o/$(MODE)/, the two programs to bin/.

ifeq ($(origin CC),default)
CC := gcc
endif
PREFIX  ?= /usr/local
SAN     ?=
OPT     ?= -O2
comma   := ,

MODE := $(if $(SAN),san-$(subst $(comma),-,$(SAN)),plain)$(if $(filter clang%,$(CC)),-clang)
O    := o/$(MODE)
BIN  := $(if $(filter plain,$(MODE)),bin,$(O)/bin)

PKGS     := zlib liblzma libzstd libdeflate libcurl jansson
CPPFLAGS += -I. -I$(O)/gen -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64
CFLAGS   += -std=gnu17 $(OPT) -g -Wall -Wextra -Werror -fno-strict-aliasing -fwrapv -pthread \
            $(SAN:%=-fsanitize=%) $(if $(SAN),-fno-omit-frame-pointer -fno-sanitize-recover=all)
LDFLAGS  += -pthread -Wl,--as-needed $(SAN:%=-fsanitize=%)
LDLIBS   += $(PKG_LIBS) -lbz2 -lm
CPPFLAGS += $(PKG_CFLAGS)
# Asked once, and not before the first recipe needs it: `deps` may have to install pkg-config.
PKG_LIBS   = $(eval PKG_LIBS := $(shell pkg-config --libs $(PKGS) 2>/dev/null))$(PKG_LIBS)
PKG_CFLAGS = $(eval PKG_CFLAGS := $(shell pkg-config --cflags $(PKGS) 2>/dev/null))$(PKG_CFLAGS)

# Folders in dependency order: a folder includes only from itself and from those before it.
TOOL_DIRS := base block formats
EMU_DIRS  := tcg hw
HOST_ARCH  := $(shell uname -m)
# Host back ends other than this machine's are left out; the interpreter is always there.
OTHER_HOSTS := $(filter-out tcg/host/$(HOST_ARCH) tcg/host/interp,$(wildcard tcg/host/*))
sources    = $(filter-out $(addsuffix /%,$(OTHER_HOSTS)),\
             $(shell find $(1) -name '*.c' ! -name main.c 2>/dev/null | sort))
objects    = $(patsubst %.c,$(O)/%.o,$(call sources,$(1)))

# Libraries that few commands need are loaded at the first call (base/lazy.h), where we know how.
ifeq ($(HOST_ARCH),x86_64)
LAZY     := $(O)/gen/lazy-symbols.o $(O)/base/lazy-x86_64.o
else
PKGS     += openssl
OTHER_HOSTS += base/lazy.c
endif

TOOL_LIB := $(O)/libtool.a
IMG_LIB  := $(O)/libimg-tool.a
EMU_LIB  := $(O)/libemulator.a
PROGRAMS := $(patsubst %/main.c,$(BIN)/%,$(wildcard img-tool/main.c emulator/main.c))
UNIT     := $(patsubst %.c,$(O)/%,$(wildcard tests/unit/*.c))

# As many jobs as there are processors, unless -j says otherwise.
ifeq ($(MAKELEVEL)$(filter clean,$(MAKECMDGOALS)),0)
MAKEFLAGS += -j$(shell nproc 2>/dev/null || echo 1)
else ifneq ($(filter clean,$(MAKECMDGOALS)),)
.NOTPARALLEL:
endif

.DEFAULT_GOAL := all
.PHONY: FORCE all deps check check-quick unit guest demo bench fuzz fuzz-build lint install install-compat clean help
.SECONDARY:

all: $(PROGRAMS)                   ## build bin/img-tool and bin/emulator

$(BIN)/img-tool: $(O)/img-tool/main.o $(LAZY) $(IMG_LIB) $(TOOL_LIB)
$(BIN)/emulator: $(O)/emulator/main.o $(LAZY) $(EMU_LIB) $(TOOL_LIB)
$(PROGRAMS):
	@mkdir -p $(@D)
	@echo '  LD  $@'
	@$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS)

$(TOOL_LIB): $(call objects,$(TOOL_DIRS))
$(IMG_LIB): $(call objects,img-tool)
$(EMU_LIB): $(call objects,$(EMU_DIRS) emulator)
$(O)/%.a:
	@mkdir -p $(@D)
	@rm -f $@
	@ar rcsD $@ $^

# Rewritten when a flag changes: everything is compiled anew then.
$(O)/flags: FORCE
	@mkdir -p $(@D)
	@echo '$(CC) $(CPPFLAGS) $(CFLAGS)' | cmp -s - $@ || echo '$(CC) $(CPPFLAGS) $(CFLAGS)' >$@

$(O)/%.o: %.c $(O)/flags
	@mkdir -p $(@D)
	@echo '  CC  $<'
	@$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c $< -o $@

$(O)/gen/lazy-symbols.o: base/lazy-symbols $(IMG_LIB) $(TOOL_LIB)
	@mkdir -p $(@D)
	@CC='$(CC)' base/lazy-symbols '-lcrypto -lssl' $(IMG_LIB) $(TOOL_LIB) >$(@:.o=.S)
	@$(CC) -c $(@:.o=.S) -o $@

$(O)/%.o: %.S
	@mkdir -p $(@D)
	@echo '  AS  $<'
	@$(CC) -c $< -o $@

unit: $(UNIT)                      ## build the unit tests
$(O)/tests/unit/%: $(O)/tests/unit/%.o $(LAZY) $(EMU_LIB) $(IMG_LIB) $(TOOL_LIB)
	@echo '  LD  $@'
	@$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS) -lcmocka

check: deps all unit guest         ## build and run every test (TAP)
	@tests/run $(O) $(BIN)

check-quick: all unit              ## the unit and command line tests only
	@tests/run $(O) $(BIN) --quick

guest: deps                        ## a small Linux guest from Debian packages, in o/guest
	@tests/guest/linux/build o/guest

demo: deps all guest               ## boot Linux from an overlay, break it, revert it
	@tests/guest/linux/demo $(BIN) o/guest

bench: deps all guest              ## measure us against the installed peers, alternately
	@tests/bench/run $(BIN) o/guest

# --- packages that a fresh Debian machine lacks ------------------------------------------------
DEPS_BUILD := gcc make pkg-config zlib1g-dev liblzma-dev libzstd-dev libdeflate-dev libbz2-dev libssl-dev \
              libcurl4-openssl-dev libjansson-dev
DEPS_RUN   := seabios libcurl4
DEPS_GUEST := busybox-static syslinux syslinux-common isolinux xorriso mtools e2fsprogs fdisk cpio kmod
DEPS_TEST  := libcmocka-dev zsh fish groff-base libnbd-bin libcapstone-dev nasm qemu-utils qemu-system-x86 grub-rescue-pc memtest86+ \
              debian-installer-12-netboot-amd64 clang libclang-rt-14-dev clang-format cppcheck perl \
              bzip2 xz-utils zstd gdb nbdkit gnutls-bin openssl cryptsetup-bin nginx-light curl xfsprogs \
              gpg gpg-agent gpgv python3-pyftpdlib qemu-block-extra
# The demo needs neither the tests' tools nor the peers that they compare with.
DEPS       := $(DEPS_BUILD) $(DEPS_RUN) $(DEPS_GUEST) $(if $(filter-out demo guest,$(MAKECMDGOALS)),$(DEPS_TEST))

deps:                              ## install the Debian packages that are missing
	@tests/deps $(DEPS)

# A plain `make` installs nothing; the targets that do must do it before anything is compiled.
ifneq ($(filter check demo guest bench fuzz,$(MAKECMDGOALS)),)
$(O)/flags: | deps
endif

# --- fuzzing: clang's libFuzzer, one program a parser -------------------------------------------
FUZZ_TIME ?= 600
FUZZ      := $(patsubst %.c,$(O)/%,$(wildcard tests/fuzz/*.c))

fuzz: deps all                     ## each fuzz target for FUZZ_TIME seconds
	@$(MAKE) --no-print-directory CC=clang OPT=-O1 SAN=address,undefined,fuzzer-no-link O=o/fuzz fuzz-build
	@tests/fuzz/run $(FUZZ_TIME)

fuzz-build: $(FUZZ)
$(O)/tests/fuzz/%: $(O)/tests/fuzz/%.o $(LAZY) $(EMU_LIB) $(IMG_LIB) $(TOOL_LIB)
	@echo '  LD  $@'
	@$(CC) $(LDFLAGS) -fsanitize=fuzzer -o $@ $^ $(LDLIBS) -lcmocka

install: all                       ## PREFIX=/usr/local, DESTDIR=
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/share/man/man1
	install -m 755 $(PROGRAMS) $(DESTDIR)$(PREFIX)/bin/
	for p in $(notdir $(PROGRAMS)); do \
	    $(BIN)/$$p --help=man >$(DESTDIR)$(PREFIX)/share/man/man1/$$p.1 || exit 1; done
	install -d $(addprefix $(DESTDIR)$(PREFIX)/share/,$(dir $(COMPLETIONS)))
	$(foreach c,$(COMPLETIONS),$(BIN)/img-tool completion $(firstword $(subst -, ,$(subst /, ,$c))) \
	    >$(DESTDIR)$(PREFIX)/share/$c &&) true

# Where each shell looks for completions, below share/; the folder is the shell's name.
COMPLETIONS := bash-completion/completions/img-tool zsh/site-functions/_img-tool \
               fish/vendor_completions.d/img-tool.fish

install-compat: install            ## also under the names qemu-img, qemu-io and qemu-nbd
	cd $(DESTDIR)$(PREFIX) && for n in qemu-img qemu-io qemu-nbd; do \
	    ln -sf img-tool bin/$$n && ln -sf img-tool.1 share/man/man1/$$n.1 || exit 1; done
	cd $(DESTDIR)$(PREFIX)/share && ln -sf img-tool bash-completion/completions/qemu-img && \
	    ln -sf img-tool.fish fish/vendor_completions.d/qemu-img.fish

lint: all                          ## layout, headers, order of folders, names, cppcheck
	tests/lint

clean:                             ## remove everything built
	rm -rf o bin

help:                              ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  \1\t\2/p' $(MAKEFILE_LIST) | expand -t 12

-include $(shell find $(O) -name '*.d' 2>/dev/null)
