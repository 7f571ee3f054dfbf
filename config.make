# Read by nginx's configure, like config: how the dashboard becomes C.

ngx_canary_files=$NGX_OBJS/ngx_http_canary_dashboard_files.c
ngx_canary_embed=$ngx_addon_dir/tools/embed
ngx_canary_dir=$ngx_addon_dir/src/http/dashboard
ngx_canary_deps=`echo $ngx_canary_embed $ngx_canary_dir/*`

cat << END                                                    >> $NGX_MAKEFILE

$ngx_canary_files:	$ngx_canary_deps
	$ngx_canary_embed $ngx_canary_dir > $ngx_canary_files.new
	mv -f $ngx_canary_files.new $ngx_canary_files

END
