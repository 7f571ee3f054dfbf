package Bench::Variants;

# The ways to send 10 % of the traffic to another release that are compared:
# all proxy to the same two backends with kept connections on both sides.
#
#   my $variants = Bench::Variants->new(module => $so, modules => $dir,
#                                       backends => [$port, $port]);
#   for my $variant ($variants->all) { ... }
#
# A variant is a hash: name, title, what it is; haproxy, if it is not nginx;
# canary, if it has the module; rollout, if one has to be started; fleet, if it
# is a node of one, by new(redis => Canary::Redis, redis_port => n); part, if
# only one part of the benchmark measures it. Those are left out that need a
# module or a directive that is not there.

use v5.36;

use Carp qw(croak);
use JSON::PP ();

use Bench::Process qw(find_nginx output_of);
use Canary::Util qw(connect_to wait_for);

use constant FLEET_TIMEOUT => 30;

my $json = JSON::PP->new->canonical;


sub new($class, %arg) {
    my $self = bless { %arg }, $class;
    my ($v1, $v2) = @{ $arg{backends} };

    $self->{upstreams} = join '', map { <<"EOC" } [v1 => $v1], [v2 => $v2];
    upstream $_->[0] {
        server 127.0.0.1:$_->[1];
        keepalive 64;
        keepalive_requests 100000000;
    }
EOC

    return $self;
}


sub all($self) {
    return grep { $self->_takes($_) } (
        { name => 'floor', title => 'nginx, one upstream' },
        { name => 'floor2', title => 'the same again', part => 'rounds' },
        { name => 'split', title => 'split_clients' },
        { name => 'lua-set', lua => 1,
          title => 'Lua, set_by and counters' },
        { name => 'lua-balancer', lua => 1,
          title => 'Lua, balancer_by and counters' },
        { name => 'haproxy', title => 'haproxy, weights', haproxy => 1 },
        { name => 'idle', title => 'canary, idle', canary => 1 },
        { name => 'weight1', title => 'canary, by weight, 1 rule',
          canary => 1, rollout => 1 },
        { name => 'weight5', title => 'canary, by weight, 5 rules',
          canary => 1, rollout => 1 },
        { name => 'key', title => 'canary, by key, 5 rules', canary => 1,
          rollout => 1 },
        { name => 'once', title => 'canary, by key that counts once',
          canary => 1, rollout => 1, part => 'instructions' },
        { name => 'many', title => 'canary, by weight, 1 of 1,000 endpoints',
          canary => 1, rollout => 1, part => 'instructions' },
        { name => 'fleet', title => 'canary, by weight, 5 rules, in a fleet',
          canary => 1, rollout => 1, part => 'instructions', fleet => 1 },
    );
}


# Whether this nginx and this module know all that the variant needs.

sub _takes($self, $variant) {
    return 1 if $variant->{haproxy};

    my $dir = "$self->{dir}/check";

    Bench::Process::write_file("$dir/nginx.conf",
        $self->conf($variant, dir => $dir, port => 1));

    my ($status) = output_of(find_nginx(), '-t',
                             Bench::Process::nginx_options($dir));

    return $status == 0;
}


sub conf($self, $variant, %arg) {
    return $self->_haproxy($arg{port}) if $variant->{haproxy};

    my ($http, $location) = $self->_parts($variant->{name});
    my $api = $variant->{canary} ? 'canary_api write=on;' : 'return 404;';
    my $state = $variant->{canary} ? "    canary_state_path canary;\n" : '';

    return nginx_conf(
        dir  => $arg{dir},
        main => $self->_modules($variant),
        http => $self->{upstreams} . $state . $http . <<"EOC");
    server {
        listen 127.0.0.1:$arg{port};
$location
        location /canary/ { $api }
    }
EOC
}


sub _modules($self, $variant) {
    my @files = $variant->{canary} ? $self->{module}
        : $variant->{lua} ? map { "$self->{modules}/${_}_module.so" }
            qw(ndk_http ngx_http_lua)
        : ();

    return join '', map { "load_module $_;\n" } @files;
}


# What all nginx have: "main" and "http" are put in.

sub nginx_conf(%arg) {
    my $workers = $arg{workers} // 1;
    my $user = $> == 0 ? 'user root;' : '';

    return <<"EOC";
$arg{main}
daemon off;
worker_processes $workers;
$user
worker_rlimit_nofile 16384;
pid $arg{dir}/nginx.pid;
error_log $arg{dir}/error.log error;

events {
    worker_connections 8192;
}

http {
    access_log off;
    keepalive_requests 100000000;
    client_body_temp_path temp_body;
    proxy_temp_path temp_proxy;
    fastcgi_temp_path temp_fastcgi;
    uwsgi_temp_path temp_uwsgi;
    scgi_temp_path temp_scgi;

    proxy_http_version 1.1;
    proxy_set_header Connection "";

$arg{http}
}
EOC
}


use constant RULES => (
    'error_4xx_rate 50%', 'error_5xx_rate 10%', 'error_rate 50%',
    'latency_avg_max 10s', 'failed_requests_max 1000000',
);


# An endpoint that stays at 10 % once its rollout has been started.

sub endpoint($name, $rules, $v1, $v2, $more = '') {
    my @rules = map { "        canary_rule $_;\n" } (RULES)[0 .. $rules - 1];

    return <<"EOC";
    upstream $name {
        canary_release v1 $v1;
        canary_release v2 $v2;
        canary_step 10% 50%;
        canary_interval 1h;
$more@rules    }
EOC
}


sub _parts($self, $name) {
    my $to = sub ($where) {
        return "        location / { proxy_pass http://$where; }";
    };

    return ('', $to->('v1')) if $name =~ /^floor/;
    return (endpoint(e => 1, 'v1', 'v2'), $to->('e')) if $name eq 'weight1';
    return (endpoint(e => 5, 'v1', 'v2'), $to->('e'))
        if $name eq 'weight5' || $name eq 'idle';
    return ("    canary_zone zone=many:64m;\n"
            . join('', map { endpoint($_ => 5, 'v1', 'v2') }
                   (map { "e$_" } 2 .. 1000), 'e'), $to->('e'))
        if $name eq 'many';
    return (endpoint(e => 5, 'v1', 'v2',
                     "        canary_key \$http_x_user;\n"), $to->('e'))
        if $name eq 'key';
    return (endpoint(e => 5, 'v1', 'v2',
                     "        canary_key \$http_x_user once=1h;\n"), $to->('e'))
        if $name eq 'once';
    return ("    canary_fleet bench redis://127.0.0.1:$self->{redis_port} "
            . "node=n1 timeout=5s;\n" . endpoint(e => 5, 'v1', 'v2'),
            $to->('e'))
        if $name eq 'fleet';

    return (<<'EOC', $to->('$release')) if $name eq 'split';
    split_clients $http_x_user $release {
        10% v2;
        * v1;
    }
EOC

    return $self->_lua_set if $name eq 'lua-set';
    return $self->_lua_balancer if $name eq 'lua-balancer';

    croak "what is $name?";
}


# Lua as it is written by hand: the weight and the counters are in a shared
# dictionary.

use constant LUA_HTTP => <<'EOC';
    lua_shared_dict canary 1m;

    init_by_lua_block {
        ngx.shared.canary:set("weight", 10)
    }

    init_worker_by_lua_block {
        math.randomseed(ngx.time() + ngx.worker.pid())
    }
EOC

use constant LUA_LOG => <<'EOC';
            log_by_lua_block {
                local counters = ngx.shared.canary
                local release = RELEASE
                local status = tonumber(ngx.var.upstream_status) or 502

                counters:incr(release .. ":attempts", 1, 0)
                if status >= 500 then
                    counters:incr(release .. ":5xx", 1, 0)
                elseif status >= 400 then
                    counters:incr(release .. ":4xx", 1, 0)
                end
                counters:incr(release .. ":time",
                    tonumber(ngx.var.upstream_response_time) or 0, 0)
            }
EOC


sub _lua_set($self) {
    return (LUA_HTTP, <<'EOC' . LUA_LOG =~ s/RELEASE/ngx.var.release/r . '}');
        location / {
            set_by_lua_block $release {
                local weight = ngx.shared.canary:get("weight")

                return math.random(100) <= weight and "v2" or "v1"
            }
            proxy_pass http://$release;
EOC
}


sub _lua_balancer($self) {
    my ($v1, $v2) = @{ $self->{backends} };

    return (LUA_HTTP . <<"EOC",
    upstream lua {
        server 0.0.0.1;
        balancer_by_lua_block {
            local balancer = require "ngx.balancer"
            local weight = ngx.shared.canary:get("weight")
            local release, port = "v1", $v1

            if math.random(100) <= weight then
                release, port = "v2", $v2
            end

            ngx.ctx.release = release
            assert(balancer.set_current_peer("127.0.0.1", port))
        }
        keepalive 64;
        keepalive_requests 100000000;
    }
EOC
        <<'EOC' . LUA_LOG =~ s/RELEASE/ngx.ctx.release or "none"/r . '}');
        location / {
            proxy_pass http://lua;
EOC
}


sub _haproxy($self, $port) {
    my ($v1, $v2) = @{ $self->{backends} };

    return <<"EOC";
global
    nbthread 1
    maxconn 1000

defaults
    mode http
    timeout connect 5s
    timeout client 60s
    timeout server 60s
    http-reuse always

frontend front
    bind 127.0.0.1:$port
    default_backend releases

backend releases
    balance roundrobin
    server v1 127.0.0.1:$v1 weight 90
    server v2 127.0.0.1:$v2 weight 10
EOC
}


# Starts a variant; `command` is what it runs under.

sub start($self, $variant, %arg) {
    my $conf = $self->conf($variant, %arg);
    my $process;

    $self->{redis}->call('FLUSHALL') if $variant->{fleet};

    if ($variant->{haproxy}) {
        Bench::Process::write_file("$arg{dir}/haproxy.cfg", $conf);
        $process = Bench::Process->start(
            dir     => $arg{dir},
            cpu     => $arg{cpu},
            command => [ @{ $arg{command} // [] }, 'haproxy', '-db', '-f',
                         "$arg{dir}/haproxy.cfg" ],
        )->wait_for_port($arg{port});

    } else {
        $process = Bench::Process->nginx(%arg, conf => $conf);
    }

    if ($variant->{rollout}) {

        # nodes gather for a while in a fleet that is new

        wait_for(sub { eval { post($arg{port}, 'endpoints/e/rollout'); 1 } },
                 FLEET_TIMEOUT, 'a rollout') if $variant->{fleet};
        post($arg{port}, 'endpoints/e/rollout') unless $variant->{fleet};
        disconnect($arg{port});
    }

    return $process;
}


# The API. Its connection is kept, and a request is one write: thousands
# follow each other.

my %connections;                                # by port


sub post($port, $path, $body = {}) {
    return _call($port, POST => $path, $json->encode($body));
}


sub _call($port, $method, $path, $body) {
    my $socket = $connections{$port} //= connect_to($port)
        // croak "connect: $!";
    my $answer = '';

    syswrite $socket, "$method /canary/$path HTTP/1.1\r\n"
        . "Host: 127.0.0.1\r\nContent-Type: application/json\r\n"
        . 'Content-Length: ' . length($body) . "\r\n\r\n$body";

    until ($answer =~ /^Content-Length: *(\d+)\r\n.*?\r\n\r\n/mis
           && length($answer) >= $+[0] + $1)
    {
        sysread $socket, $answer, 65536, length $answer
            or croak "$method $path: no answer";
    }

    croak "$method $path: $answer" unless $answer =~ m{^HTTP/1.1 2};

    return;
}


# Its connections count for a server that has ended or is to be loaded.

sub disconnect($port) {
    delete $connections{$port};

    return;
}


1;
