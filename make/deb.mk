# Debian packages.

.PHONY: deb deb-test

## build/deb/*.deb: the module for Debian's nginx, and the tools, seen by lintian
deb:
	@tools/packages $(sort $(DEB_PACKAGES))
	@tools/deb build/deb

## build them in a clean Debian, install, use and purge them in another
## (10 minutes; as root)
deb-test: deb
	@tools/packages $(sort $(DEB_TEST_PACKAGES))
	@t/deb/run build/deb build/deb/test
