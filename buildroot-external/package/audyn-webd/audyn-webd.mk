################################################################################
#
# audyn-webd
#
################################################################################

AUDYN_WEBD_VERSION = $(AUDYN_SOURCE_VERSION)
AUDYN_WEBD_SITE = $(AUDYN_SOURCE_DIR)
AUDYN_WEBD_SITE_METHOD = local
AUDYN_WEBD_LICENSE = MIT or Apache-2.0
AUDYN_WEBD_LICENSE_FILES = LICENSE-MIT LICENSE-APACHE
AUDYN_WEBD_SUBDIR = webd/server
AUDYN_WEBD_DEPENDENCIES = audyn-ui $(AUDYN_CARGO_DEPENDENCIES)
AUDYN_WEBD_OVERRIDE_SRCDIR_RSYNC_EXCLUSIONS = $(AUDYN_RSYNC_EXCLUSIONS)
AUDYN_WEBD_CARGO_ENV = $(AUDYN_CARGO_ENV)
AUDYN_WEBD_CARGO_BUILD_OPTS = -p audyn-webd

AUDYN_WEBD_PRE_CONFIGURE_HOOKS += AUDYN_CARGO_VENDOR

# The program embeds the page from where it lies in the repository, and with it
# each file's time: that is the build's, for the same page to give the same
# program. Cargo looks at times too, so it must forget what it built before.
define AUDYN_WEBD_TAKE_PAGE
	rm -rf $(@D)/webd/ui/dist
	mkdir -p $(@D)/webd/ui
	cp -a $(STAGING_DIR)/usr/share/audyn-ui $(@D)/webd/ui/dist
	find $(@D)/webd/ui/dist -exec touch -d @$(SOURCE_DATE_EPOCH) {} +
	rm -rf $(@D)/$(AUDYN_CARGO_PROFILE_DIR)/.fingerprint/audyn-webd-*
endef
AUDYN_WEBD_PRE_BUILD_HOOKS += AUDYN_WEBD_TAKE_PAGE

define AUDYN_WEBD_CRATES
	$(call AUDYN_CARGO_CRATES,-p audyn-webd,audyn-webd)
endef
AUDYN_WEBD_POST_BUILD_HOOKS += AUDYN_WEBD_CRATES

define AUDYN_WEBD_INSTALL_TARGET_CMDS
	$(INSTALL) -D -m 0755 $(@D)/$(AUDYN_CARGO_PROFILE_DIR)/audyn-webd \
		$(TARGET_DIR)/usr/bin/audyn-webd
endef

$(eval $(cargo-package))
