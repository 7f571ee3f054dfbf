#!/usr/bin/perl

# An endpoint is an upstream: every module that passes requests on can use it.

use v5.36;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Test::More;

use Canary::Test;

my $t = Canary::Test->new;
my @protocols = grep { $_ eq 'http' || $t->has($_ eq 'grpc' ? 'http_grpc'
                                               : "http_$_") }
    qw(http fastcgi grpc memcached scgi uwsgi);
my %backend;

my %passes = (
    http      => 'proxy_pass http://http_ep;',
    grpc      => 'grpc_pass grpc://grpc_ep;',
    memcached => 'memcached_pass memcached_ep; set $memcached_key $uri;',
    map {
        $_ => "${_}_pass ${_}_ep; ${_}_param REQUEST_URI \$request_uri;"
            . " ${_}_param REQUEST_METHOD \$request_method;"
            . " ${_}_param CONTENT_LENGTH \$content_length;"
    } qw(fastcgi scgi uwsgi),
);

my ($upstreams, $locations) = ('', '');

for my $protocol (@protocols) {
    # None for gRPC: a kept connection that is closed without an answer is
    # taken for nginx's own trouble, and which calls get one depends on the
    # worker.
    my $keepalive = $protocol eq 'grpc' ? '' : 'keepalive 8;';

    for my $release (qw(v1 v2)) {
        my $name = "${protocol}_$release";

        $backend{$name} = $t->backend($name, protocol => $protocol);
        $upstreams .= "    upstream $name"
            . " { server 127.0.0.1:%%PORT_$name%%; $keepalive }\n";
    }
    $upstreams .= "    upstream ${protocol}_ep {"
        . " canary_release v1 ${protocol}_v1;"
        . " canary_release v2 ${protocol}_v2;"
        . " canary_interval 1h; canary_step 50%;"
        . " canary_rule error_5xx_rate 10% min_requests=10 confidence=off;"
        . " canary_fallback off; }\n";
    $locations .= "        location /$protocol { $passes{$protocol} }\n";
}

if ($backend{grpc_v2}) {
    $upstreams .= <<'EOC';
    upstream grpc_4xx_ep {
        canary_release  v1 grpc_v1;
        canary_release  v2 grpc_v2;
        canary_interval 1h;
        canary_step     50%;
        canary_rule     error_4xx_rate 10% min_requests=10 confidence=off;
        canary_fallback off;
    }
EOC
    $locations .= "        location /grpc_4xx "
        . "{ grpc_pass grpc://grpc_4xx_ep; }\n";
}

$t->start(<<"EOC");
$upstreams
    server {
        listen 127.0.0.1:%%PORT_http%%;
        add_header X-Release \$canary_release always;
$locations
        location /by_variable {
            set \$name http_ep;
            proxy_pass http://\$name;
        }
        location /kept {
            proxy_pass http://http_ep;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
        }
    }

    %%API%%
EOC


for my $protocol (@protocols) {
    subtest "$protocol: both releases answer" => sub {
        my $body = answer_of($protocol, "${protocol}_v1");

        is($t->get("/$protocol")->body, $body, 'stable, when idle');
        is_split($protocol, "/$protocol");
    };
}

subtest 'proxy_pass with a variable' => sub {
    is_split('http', '/by_variable');
};

subtest 'proxy_pass with HTTP/1.1 and kept connections' => sub {
    is_split('http', '/kept');
};

# FastCGI, SCGI and uwsgi have a status like HTTP.
for my $protocol (grep { /cgi/ } @protocols) {
    subtest "$protocol: a bad canary is rolled back" => sub {
        is_tripped_at_ten($protocol, status => 500);
        is_tripped_at_ten($protocol, mode => 'close');
        is_tripped_at_ten($protocol, mode => 'bad_header');
    };
}

if ($backend{memcached_v2}) {
    subtest 'memcached: not found is 4xx' => sub {
        start('memcached');
        my $before = $t->totals('memcached_ep', 'v2');
        $backend{memcached_v2}->set(status => 404);

        is($t->load(count => 40, request => { uri => '/memcached' })
             ->result->{failed}, 0, 'all are answered');
        my $after = $t->totals('memcached_ep', 'v2');
        is($after->{'4xx'},
           $after->{attempts} - $before->{attempts}, 'each counted');
        roll_back('memcached');
    };
}

if ($backend{grpc_v2}) {
    # By the HTTP status that a gRPC status is mapped to.
    my @server = (2, 4, 12, 13, 14, 15, 17);
    my @request = (3, 5 .. 11, 16);

    subtest 'grpc-status in trailers-only' => sub {
        is_grpc_counted({ '5xx' => 1 }, grpc_status => $_, trailers_only => 1)
            for @server;
        is_grpc_counted({ '4xx' => 1 }, grpc_status => $_, trailers_only => 1)
            for @request;
        is_grpc_counted({ '2xx' => 1 }, grpc_status => 0, trailers_only => 1);
        is_grpc_counted({ aborted => 1 }, grpc_status => 1,
                        trailers_only => 1);
    };

    subtest 'grpc-status in the trailers' => sub {
        is_grpc_counted({ '2xx' => 1, failed => 1 }, grpc_status => $_)
            for @server;
        is_grpc_counted({ '2xx' => 1 }, grpc_status => $_) for 0, @request;
        is_grpc_counted({ '2xx' => 1, aborted => 1 }, grpc_status => 1);
    };

    subtest 'other ends of a call' => sub {
        is_grpc_counted({ '5xx' => 1 }, status => 503, trailers_only => 1);
        is_grpc_counted({ failed => 1 }, mode => 'rst');
        is_grpc_counted({ failed => 1 }, mode => 'close');
        is_grpc_counted({ '2xx' => 1, failed => 1 }, mode => 'short');
    };

    subtest 'grpc: a bad canary is rolled back' => sub {
        is_tripped_at_ten('grpc', grpc_status => 14, trailers_only => 1);
        is_tripped_at_ten('grpc', status => 500);
        is_tripped_at_ten('grpc', mode => 'rst');
    };

    subtest 'grpc: a canary that refuses each request is rolled back' => sub {
        for my $how ([trailers_only => 1], []) {
            is_tripped_at_ten('grpc_4xx', grpc_status => $_, @$how)
                for 5, 8, 9;
        }
    };

    subtest 'grpc: calls that clients cancelled are no evidence' => sub {
        for my $how ([trailers_only => 1], []) {
            $backend{grpc_v2}->set(grpc_status => 1, @$how);
            $t->start_rollout('grpc_4xx_ep', rules => undef);
            $t->load(count => 60, request => { uri => '/grpc_4xx' })->result;

            my ($rule) = $t->endpoint('grpc_4xx_ep')->{rules}->@*;
            is_deeply([@$rule{qw(verdict attempts)}], ['undecided', 0],
                      "@$how: nothing is known");

            $backend{grpc_v2}->set;
            $t->verb(grpc_4xx_ep => 'rollback');
        }
    };
}

$t->finish;


# The body that the client gets, gRPC's with the length of its message.

sub answer_of($protocol, $text) {
    return $protocol eq 'grpc' ? pack('C N/a*', 0, $text) : $text;
}


sub start($protocol) {
    return $t->start_rollout("${protocol}_ep", rules => undef);
}


sub roll_back($protocol) {
    $backend{"${protocol}_v2"}->set;

    return $t->verb("${protocol}_ep" => 'rollback');
}


sub is_split($protocol, $uri) {
    start($protocol);

    my $result = $t->load(count => 100, by => ['X-Release'], by_body => 1,
                          request => { uri => $uri, method => 'GET' })->result;
    my $releases = $result->{by}{'X-Release'};
    my %bodies = map {
        answer_of($protocol, "${protocol}_$_") => $releases->{$_}
    } qw(v1 v2);

    is($result->{statuses}{200}, 100, 'all are answered');
    cmp_ok(abs($releases->{v2} - 50), '<=', 1, 'half by the canary');
    is_deeply($result->{bodies}, \%bodies, 'each by the release that it says');

    roll_back($protocol);

    return;
}


sub is_tripped_at_ten($protocol, %behaviour) {
    my $rule = $protocol =~ /_4xx/ ? 'error_4xx_rate' : 'error_5xx_rate';
    my $canary = $backend{($protocol =~ s/_4xx//r) . '_v2'};
    my $what = join ' ', map { "$_ $behaviour{$_}" } sort keys %behaviour;

    $canary->set(%behaviour);
    my $before = $t->totals("${protocol}_ep", 'v2')->{attempts} // 0;
    start($protocol);
    $t->load(count => 60, close => 1, request => { uri => "/$protocol" })
        ->result;

    my $endpoint = $t->endpoint("${protocol}_ep");
    is($endpoint->{phase}, 'idle', "$what: rolled back");
    like($endpoint->{last_rollout}{reason}, qr/^$rule .* 10 attempts/,
         'after ten attempts');
    is($t->totals("${protocol}_ep", 'v2')->{attempts} - $before, 10,
       'and no more');

    $canary->set;

    return;
}


# One call on stable.

sub is_grpc_counted($counts, %behaviour) {
    state %sum = (attempts => $t->totals('grpc_ep', 'v1')->{attempts},
                  '2xx' => $t->totals('grpc_ep', 'v1')->{'2xx'});
    my $what = join ' ', map { "$_ $behaviour{$_}" } sort keys %behaviour;

    $backend{grpc_v1}->set(%behaviour);
    $t->request(uri => '/grpc', method => 'POST', body => "\0\0\0\0\0");
    $backend{grpc_v1}->set;

    $sum{$_} += $counts->{$_} for keys %$counts;
    $sum{attempts}++;

    return $t->is_totals('grpc_ep', 'v1', \%sum, $what);
}
