# Read by nginx's configure, like config: how the dashboard becomes C.

ngx_canary_files=$NGX_OBJS/ngx_http_canary_dashboard_files.c

cat << END                                                    >> $NGX_MAKEFILE

$ngx_canary_files:	`echo $ngx_addon_dir/tools/embed $ngx_addon_dir/src/http/dashboard/*`
	$ngx_addon_dir/tools/embed $ngx_addon_dir/src/http/dashboard > $ngx_canary_files.new
	mv -f $ngx_canary_files.new $ngx_canary_files

END
