# Read by nginx's configure: the description of the API, as a C string.

cat << END                                                    >> $NGX_MAKEFILE

$NGX_OBJS/ngx_http_canary_openapi.h:	$ngx_addon_dir/src/http/openapi.json
	sed -e 's/[\\\\"]/\\\\&/g' -e 's/.*/"&\\\\n"/' \\
		$ngx_addon_dir/src/http/openapi.json >\$@

END
