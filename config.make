# Read by nginx's configure, like config: how the description of the API, the
# dashboard and the scripts of a fleet become C.

ngx_canary_files=$NGX_OBJS/ngx_http_canary_dashboard_files.c
ngx_canary_embed=$ngx_addon_dir/tools/embed
ngx_canary_dir=$ngx_addon_dir/src/api/page
ngx_canary_scripts=`echo $ngx_addon_dir/src/fleet/*.lua`
ngx_canary_deps=`echo $ngx_canary_embed $ngx_canary_dir/*`

cat << END                                                    >> $NGX_MAKEFILE

$NGX_OBJS/ngx_http_canary_openapi_text.h:	$ngx_addon_dir/src/api/openapi.json
	sed -e 's/[\\\\"]/\\\\&/g' -e 's/.*/"&\\\\n"/' \\
		$ngx_addon_dir/src/api/openapi.json >\$@

$NGX_OBJS/ngx_canary_fleet_lua.h:	$ngx_canary_scripts
	for script in $ngx_canary_scripts; do \\
		echo "static const char ngx_canary_\`basename \$\$script .lua\`[] ="; \\
		sed -e 's/[\\\\"]/\\\\&/g' -e 's/.*/"&\\\\n"/' \$\$script; \\
		echo ';'; \\
	done >\$@

$ngx_canary_files:	$ngx_canary_deps
	$ngx_canary_embed $ngx_canary_dir > $ngx_canary_files.new
	mv -f $ngx_canary_files.new $ngx_canary_files

END
