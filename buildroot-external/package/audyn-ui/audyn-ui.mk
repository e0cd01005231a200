################################################################################
#
# audyn-ui
#
################################################################################

AUDYN_UI_VERSION = $(AUDYN_SOURCE_VERSION)
AUDYN_UI_SITE = $(AUDYN_SOURCE_DIR)/webd/ui
AUDYN_UI_SITE_METHOD = local
AUDYN_UI_LICENSE = MIT or Apache-2.0
AUDYN_UI_INSTALL_STAGING = YES
AUDYN_UI_INSTALL_TARGET = NO
# --delete, since the names of a page's files change with their content; what
# Buildroot itself keeps in the directory is excluded, which also protects it.
AUDYN_UI_OVERRIDE_SRCDIR_RSYNC_EXCLUSIONS = \
	--delete --exclude '/.*' --exclude /node_modules --exclude /screenshots

# A page that was never built, or before its sources changed, is refused.
define AUDYN_UI_BUILD_CMDS
	@test -s $(@D)/dist/index.html || { \
		echo "audyn-ui: there is no webd/ui/dist: run 'npm ci && npm run build' in webd/ui first"; exit 1; }
	@newer=`find $(@D)/src $(@D)/public $(@D)/index.html $(@D)/package-lock.json $(@D)/vite.config.ts \
		-type f -newer $(@D)/dist/index.html`; \
	test -z "$$newer" || { \
		echo "audyn-ui: webd/ui/dist is older than its sources: run 'npm run build' in webd/ui again"; exit 1; }
endef

define AUDYN_UI_INSTALL_STAGING_CMDS
	rm -rf $(STAGING_DIR)/usr/share/audyn-ui
	mkdir -p $(STAGING_DIR)/usr/share
	cp -a $(@D)/dist $(STAGING_DIR)/usr/share/audyn-ui
endef

$(eval $(generic-package))
