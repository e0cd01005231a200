################################################################################
#
# What our packages share: they are all built from this one repository, which
# is their source as it lies on the disk (a "local" site).
#
################################################################################

AUDYN_SOURCE_DIR = $(abspath $(BR2_EXTERNAL_AUDYN_PATH)/..)
AUDYN_SOURCE_VERSION = $(shell sed -n 's/^version = "\(.*\)"/\1/p' $(AUDYN_SOURCE_DIR)/Cargo.toml | head -n 1)

# libFLAC and libopus are compiled by CMake within the crates that bind them,
# so they take Buildroot's CMake and what that knows of the target.
AUDYN_CARGO_DEPENDENCIES = $(BR2_CMAKE_HOST_DEPENDENCY)

# Buildroot sets CARGO_PROFILE_RELEASE_*, which beats [profile.release] in
# Cargo.toml. These come later and say what Cargo.toml says; ci/external-check
# compares the two. The directory of the build isn't in the programs, so that
# two builds in two places are the same; backtraces, and what libopus says when
# it gives up, say /audyn/… instead.
AUDYN_CARGO_ENV = \
	CMAKE="$(BR2_CMAKE)" \
	CMAKE_TOOLCHAIN_FILE="$(HOST_DIR)/share/buildroot/toolchainfile.cmake" \
	CARGO_PROFILE_RELEASE_LTO="thin" \
	CARGO_PROFILE_RELEASE_CODEGEN_UNITS="4" \
	CARGO_PROFILE_RELEASE_DEBUG="line-tables-only" \
	CARGO_PROFILE_RELEASE_OPT_LEVEL="3" \
	CARGO_PROFILE_RELEASE_PANIC="abort" \
	CARGO_BUILD_RUSTFLAGS="--remap-path-prefix=$(@D)=/audyn" \
	CFLAGS_$(subst -,_,$(RUSTC_TARGET_NAME))="$(TARGET_CFLAGS) -ffile-prefix-map=$(@D)=/audyn"

# What lies beside the sources and is no source. node_modules and dist belong
# to the page, which audyn-webd takes from audyn-ui.
AUDYN_RSYNC_EXCLUSIONS = \
	--exclude /target --exclude /out --exclude /webd/ui --exclude /.cargo \
	--exclude /buildroot-external --exclude /rootfs-overlay --exclude .git

AUDYN_CARGO_PROFILE_DIR = target/$(RUSTC_TARGET_NAME)/$(if $(BR2_ENABLE_DEBUG),debug,release)

# A package with a local site isn't downloaded, so Buildroot doesn't vendor its
# crates. This does, from what an earlier build left in the download directory
# if it can, from the registry if it must; Cargo.lock has the hash of each.
define AUDYN_CARGO_VENDOR
	mkdir -p $(@D)/.cargo
	cd $(@D) && rm -f .cargo/config.toml && \
	{ $(TARGET_MAKE_ENV) $(PKG_COMMON_CARGO_ENV) \
		cargo vendor --locked --offline VENDOR >.cargo/config.part 2>.cargo/vendor.log || \
	$(TARGET_MAKE_ENV) $(PKG_COMMON_CARGO_ENV) \
		cargo vendor --locked VENDOR >.cargo/config.part; } && \
	mv .cargo/config.part .cargo/config.toml
endef

# Name, version and licence of each crate that goes into the programs of a
# package, for the SBOM. $(1): cargo's -p options, $(2): name of the list.
define AUDYN_CARGO_CRATES
	mkdir -p $(BINARIES_DIR)/crates
	cd $(@D) && $(TARGET_MAKE_ENV) $(PKG_COMMON_CARGO_ENV) \
		cargo tree --offline --locked $(1) --edges normal,build \
		--target $(RUSTC_TARGET_NAME) --prefix none --format '{p}|{l}' \
		>$(BINARIES_DIR)/crates/$(2)
endef

include $(sort $(wildcard $(BR2_EXTERNAL_AUDYN_PATH)/package/*/*.mk))
