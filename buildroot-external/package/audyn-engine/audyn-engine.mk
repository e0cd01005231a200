################################################################################
#
# audyn-engine
#
################################################################################

AUDYN_ENGINE_VERSION = $(AUDYN_SOURCE_VERSION)
AUDYN_ENGINE_SITE = $(AUDYN_SOURCE_DIR)
AUDYN_ENGINE_SITE_METHOD = local
AUDYN_ENGINE_LICENSE = MIT or Apache-2.0
AUDYN_ENGINE_LICENSE_FILES = LICENSE-MIT LICENSE-APACHE
AUDYN_ENGINE_DEPENDENCIES = $(AUDYN_CARGO_DEPENDENCIES)
AUDYN_ENGINE_SUBDIR = engine/daemon
AUDYN_ENGINE_OVERRIDE_SRCDIR_RSYNC_EXCLUSIONS = $(AUDYN_RSYNC_EXCLUSIONS)
AUDYN_ENGINE_CARGO_ENV = $(AUDYN_CARGO_ENV)
AUDYN_ENGINE_CARGO_BUILD_OPTS = -p audyn-daemon -p audyn-cli

AUDYN_ENGINE_PRE_CONFIGURE_HOOKS += AUDYN_CARGO_VENDOR

define AUDYN_ENGINE_CRATES
	$(call AUDYN_CARGO_CRATES,-p audyn-daemon -p audyn-cli,audyn-engine)
endef
AUDYN_ENGINE_POST_BUILD_HOOKS += AUDYN_ENGINE_CRATES

# Both come of one build; `cargo install` would build again for each.
define AUDYN_ENGINE_INSTALL_TARGET_CMDS
	$(INSTALL) -D -m 0755 $(@D)/$(AUDYN_CARGO_PROFILE_DIR)/audyn-engine \
		$(TARGET_DIR)/usr/bin/audyn-engine
	$(INSTALL) -D -m 0755 $(@D)/$(AUDYN_CARGO_PROFILE_DIR)/audyn \
		$(TARGET_DIR)/usr/bin/audyn
endef

$(eval $(cargo-package))
