# The Debian packages of each topic.

# A package, unless there is that program from elsewhere.
unless = $(if $(shell PATH='$(PATH)' command -v $(1)),,$(2))

CTL_PACKAGES   := $(firstword $(subst -, ,$(notdir $(CC)))) make libc6-dev \
                  libcjson-dev libcurl4-openssl-dev libssl-dev
BUILD_PACKAGES := $(CTL_PACKAGES) libhiredis-dev
TEST_PACKAGES  := gcc curl jq libcmocka-dev libhiredis-dev libio-pty-perl \
                  mandoc openssl perl prometheus redis-server chromium \
                  fonts-dejavu-core \
                  $(call unless,node,nodejs) $(call unless,npm,npm)
ASAN_PACKAGES  := dpkg-dev libpcre2-dev zlib1g-dev
MATRIX_PACKAGES := gcc clang dpkg-dev libpcre2-dev zlib1g-dev
CONFORMANCE_PACKAGES := perl libio-socket-ssl-perl libfcgi-perl libscgi-perl \
                  libcryptx-perl libcache-memcached-perl memcached
FUZZ_PACKAGES  := clang libcjson-dev libhiredis-dev libssl-dev
LINT_PACKAGES  := gcc clang perl
DEB_PACKAGES   := debhelper dpkg-dev lintian nginx-dev libcjson-dev \
                  libcurl4-openssl-dev libhiredis-dev libssl-dev
DEB_TEST_PACKAGES := mmdebstrap iproute2
BENCH_PACKAGES := gcc libc6-dev libhiredis-dev perl redis-server valgrind wrk \
                  haproxy libnginx-mod-http-lua

# The suite loads all modules that Debian's nginx is configured with.
ifeq ($(NGINX_SRC),/usr/share/nginx/src)
BUILD_PACKAGES += nginx nginx-dev
TEST_PACKAGES  += $(addprefix libnginx-mod-,http-image-filter http-xslt-filter)
CONFORMANCE_PACKAGES += $(addprefix libnginx-mod-,http-geoip http-image-filter \
                  http-perl http-xslt-filter mail stream stream-geoip)
else
BUILD_PACKAGES += libpcre2-dev zlib1g-dev
endif
