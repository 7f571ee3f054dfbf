#!/usr/bin/perl

# Retries: how many, how long, of what, and on whose servers.

use v5.36;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Socket qw(AF_INET INADDR_LOOPBACK SOCK_DGRAM pack_sockaddr_in);
use Test::More;

use Canary::Test;
use Canary::Util qw(fork_child);

my $t = Canary::Test->new(workers => 1);
my %server = map { $_ => $t->backend($_) } qw(a b c d v1);
my $grpc = $t->has('http_grpc');
my $sticky = $t->version >= 1_029_006;
my $resolve = $t->version >= 1_027_003;
my $dns;

if ($grpc) {
    $server{$_} = $t->backend($_, protocol => 'grpc') for qw(g1 g2);
}

my $http = <<'EOC';
    upstream one   { server 127.0.0.1:%%PORT_v1%%; }
    upstream pair  {
        server 127.0.0.1:%%PORT_a%% max_fails=0;
        server 127.0.0.1:%%PORT_b%% max_fails=0;
    }
    upstream other {
        server 127.0.0.1:%%PORT_c%% max_fails=0;
        server 127.0.0.1:%%PORT_d%% max_fails=0;
    }
    upstream spare {
        zone spare 64k;
        server 127.0.0.1:%%PORT_a%% max_fails=0;
        server 127.0.0.1:%%PORT_b%% max_fails=0 backup;
    }
    upstream marks {
        zone marks 64k;
        server 127.0.0.1:%%PORT_a%% max_fails=1 fail_timeout=1h;
        server 127.0.0.1:%%PORT_b%% backup;
    }
    upstream marks_two {
        zone marks_two 64k;
        server 127.0.0.1:%%PORT_a%% max_fails=1 fail_timeout=1h;
        server 127.0.0.1:%%PORT_b%% max_fails=1 fail_timeout=1h;
    }
    upstream kept_v1 { server 127.0.0.1:%%PORT_c%%; keepalive 4; }
    upstream kept_v2 { server 127.0.0.1:%%PORT_a%%; keepalive 4; }
    upstream limits_v1 {
        server 127.0.0.1:%%PORT_c%%  max_fails=0;
        server 127.0.0.1:%%PORT_d%%  max_fails=0 backup;
        server 127.0.0.1:%%PORT_v1%% max_fails=0 backup;
        keepalive 4;
    }
    upstream limits_v2 {
        server 127.0.0.1:%%PORT_a%% max_fails=0;
        server 127.0.0.1:%%PORT_b%% max_fails=0 backup;
        keepalive 4;
    }
    upstream few_v2 {
        zone few_v2 64k;
        server 127.0.0.1:%%PORT_a%% max_conns=1;
    }
    upstream few_v1 {
        zone few_v1 64k;
        server 127.0.0.1:%%PORT_c%% max_conns=1;
    }

    upstream held_v1 {
        zone held_v1 64k;
        server 127.0.0.1:%%PORT_v1%% max_fails=0;
        server 127.0.0.1:%%PORT_c%%  max_fails=0 max_conns=1;
    }
    upstream held_v2 {
        server 127.0.0.1:%%PORT_a%% max_fails=0;
        server 127.0.0.1:%%PORT_b%% max_fails=0;
        server 127.0.0.1:%%PORT_d%% max_fails=0;
    }

    upstream pairs {
        canary_release v1 other;
        canary_release v2 pair;
    }
    upstream alone {
        canary_release  v1 other;
        canary_release  v2 pair;
        canary_fallback off;
    }
    upstream spares {
        canary_release v1 one;
        canary_release v2 spare;
    }
    upstream marked {
        canary_release v1 one;
        canary_release v2 marks;
    }
    upstream marked_two {
        canary_release v1 one;
        canary_release v2 marks_two;
    }
    upstream kept {
        canary_release v1 kept_v1;
        canary_release v2 kept_v2;
        canary_force   $http_x_force;
    }
    upstream limits {
        canary_release v1 limits_v1;
        canary_release v2 limits_v2;
        canary_force   $http_x_force;
    }
    upstream busy_v2 {
        canary_release v1 one;
        canary_release v2 few_v2;
    }
    upstream busy_v1 {
        canary_release v1 few_v1;
        canary_release v2 one;
        canary_force   $http_x_force;
    }
    upstream held {
        canary_release v1 held_v1;
        canary_release v2 held_v2;
        canary_force   $http_x_force;
    }

    %%UPSTREAMS%%

    server {
        listen 127.0.0.1:%%PORT_http%%;
        proxy_next_upstream error timeout http_500;

        add_header X-Release  $canary_release  always;
        add_header X-Role     $canary_role     always;
        add_header X-Reason   $canary_reason   always;
        add_header X-Upstream $upstream_addr   always;
        add_header X-Statuses $upstream_status always;

        location /pairs       { proxy_pass http://pairs; }
        location /pairs/tries2 {
            proxy_pass http://pairs;
            proxy_next_upstream_tries 2;
        }
        location /pairs/tries1 {
            proxy_pass http://pairs;
            proxy_next_upstream_tries 1;
        }
        location /pairs/short {
            proxy_pass http://pairs;
            proxy_next_upstream_timeout 30ms;
        }
        location /pairs/long {
            proxy_pass http://pairs;
            proxy_next_upstream_timeout 60s;
        }
        location /pairs/unbuffered {
            proxy_pass http://pairs;
            proxy_request_buffering off;
            proxy_http_version 1.1;
        }
        location /pairs/all {
            proxy_pass http://pairs;
            proxy_request_buffering off;
            proxy_http_version 1.1;
            proxy_next_upstream error timeout http_500 non_idempotent;
        }

        location /alone       { proxy_pass http://alone; }
        location /alone/tries1 {
            proxy_pass http://alone;
            proxy_next_upstream_tries 1;
        }
        location /spares      { proxy_pass http://spares; }
        location /marked      { proxy_pass http://marked; }
        location /marked_two  { proxy_pass http://marked_two; }
        location /kept        {
            proxy_pass http://kept;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
        }
        location /limits {
            proxy_pass http://limits;
            proxy_http_version 1.1;
            proxy_set_header Connection "";

            location /limits/tries2 {
                proxy_pass http://limits;
                proxy_next_upstream_tries 2;
            }
            location /limits/tries3 {
                proxy_pass http://limits;
                proxy_next_upstream_tries 3;
            }
        }
        location /busy_v2     { proxy_pass http://busy_v2; }
        location /busy_v1     { proxy_pass http://busy_v1; }
        location /held        { proxy_pass http://held; }

        %%LOCATIONS%%
    }

    %%API%%
EOC

my ($upstreams, $locations) = ('', '');

if ($grpc) {
    $upstreams .= <<'EOC';
    upstream grpc_v1   { server 127.0.0.1:%%PORT_g1%%; }
    upstream grpc_v2   { server 127.0.0.1:%%PORT_g2%%; }
    upstream grpc_dead { server 127.0.0.1:%%PORT_g2%% down; }
    upstream calls {
        canary_release v1 grpc_v1;
        canary_release v2 grpc_v2;
    }
    upstream calls_dead {
        canary_release v1 grpc_v1;
        canary_release v2 grpc_dead;
        canary_unavailable 0;
    }
EOC
    $locations .= <<'EOC';
        location /calls      { grpc_pass grpc://calls; }
        location /calls_dead { grpc_pass grpc://calls_dead; }
EOC
}

if ($sticky) {
    $upstreams .= <<'EOC';
    upstream sticky_v1 {
        sticky cookie one;
        server 127.0.0.1:%%PORT_c%%;
        server 127.0.0.1:%%PORT_d%%;
    }
    upstream sticky_v2 {
        sticky cookie two;
        server 127.0.0.1:%%PORT_a%% max_fails=0;
        server 127.0.0.1:%%PORT_b%% max_fails=0;
    }
    upstream stuck {
        canary_release v1 sticky_v1;
        canary_release v2 sticky_v2;
    }
EOC
    $locations .= <<'EOC';
        location /stuck {
            add_header Set-Cookie own=1;
            add_header X-Upstream $upstream_addr;
            proxy_pass http://stuck;
        }
EOC
}

if ($resolve) {
    $dns = dns_server(map { $_ => '127.0.0.1' }
                      qw(one.test two.test three.test four.test
                         five.test));
    my $cookie = $sticky ? 'sticky cookie three;' : '';
    $upstreams .= <<"EOC";
    resolver 127.0.0.1:$dns->{port} valid=1s ipv6=off;
    upstream resolved_v1 {
        zone resolved_v1 64k;
        server one.test:%%PORT_c%% resolve;
    }
    upstream resolved_v2 {
        zone resolved_v2 64k;
        server two.test:%%PORT_a%% resolve max_fails=0;
    }
    upstream resolved {
        canary_release v1 resolved_v1;
        canary_release v2 resolved_v2;
    }
    upstream moving_v2 {
        zone moving_v2 64k;
        $cookie
        server three.test:%%PORT_a%% resolve max_fails=1 fail_timeout=1h;
        server four.test:%%PORT_b%% resolve max_fails=0;
    }
    upstream moving {
        canary_release  v1 one;
        canary_release  v2 moving_v2;
        canary_fallback off;
    }
    upstream turning_on {
        zone turning_on 64k;
        server five.test:%%PORT_a%% resolve max_fails=0;
        server five.test:%%PORT_b%% resolve max_fails=0;
        server five.test:%%PORT_c%% resolve max_fails=0;
    }
    upstream turning_v2 { server 127.0.0.1:%%PORT_d%% max_fails=0; }
    upstream turning {
        canary_release v1 turning_on;
        canary_release v2 turning_v2;
        canary_force   \$http_x_force;
    }
EOC
    $locations .= "        location /$_ { proxy_pass http://$_;"
        . " proxy_set_header Connection close; }\n" 
        for qw(resolved moving turning);
    $locations .= <<'EOC';
        location /turning/tries2 {
            proxy_pass http://turning;
            proxy_next_upstream_tries 2;
        }
EOC
}

$http =~ s/%%UPSTREAMS%%/$upstreams/;
$http =~ s/%%LOCATIONS%%/$locations/;
$t->start($http);

# All to the canary.
my @endpoints = (qw(pairs alone spares marked marked_two kept limits busy_v2),
                 $grpc ? qw(calls calls_dead) : (),
                 $sticky ? 'stuck' : (), $resolve ? qw(resolved moving) : ());

$t->start_rollout($_, steps => [1]) for @endpoints;
$t->start_rollout($_, steps => [0.01]) for qw(busy_v1 held);


subtest 'a canary of two servers: the next try is stable' => sub {
    $_->set(mode => 'close') for @server{qw(a b)};
    is_answered('/pairs', by => qr/^[cd]$/, tries => 2);

    $server{c}->set(mode => 'close');
    $server{d}->set;
    is_answered('/pairs', by => qr/^d$/, tries => qr/^[23]$/) for 1 .. 4;
    all_well();
};

subtest 'proxy_next_upstream_tries' => sub {
    $_->set(mode => 'close') for @server{qw(a b c d)};

    is_failed('/pairs', 3, 'each server of stable, after one of the canary');
    is_failed('/pairs/tries2', 2, 'two tries');
    is_failed('/pairs/tries1', 1, 'one try');
    is_failed('/alone', 2, 'canary_fallback off: its own servers');
    is_failed('/alone/tries1', 1, 'or one of them');
    all_well();
};

subtest 'proxy_next_upstream_timeout' => sub {
    my %late = (mode => 'close', delay_ms => 100);

    $_->set(%late) for @server{qw(a b)};
    is_failed('/pairs/short', 1, 'it is too late for another try');
    is_answered('/pairs/long', by => qr/^[cd]$/, tries => 2);
    all_well();
};

subtest 'methods that change something' => sub {
    $_->set(mode => 'close') for @server{qw(a b)};

    for my $method (qw(POST PATCH LOCK)) {
        is_failed('/pairs', 1, "$method is not sent twice",
                  method => $method, body => 'x');
    }
    for my $method (qw(PUT DELETE)) {
        is_answered('/pairs', by => qr/^[cd]$/, tries => 2,
                    method => $method, body => 'x');
    }
    all_well();
};

subtest 'a body that is not buffered' => sub {
    my %put = (method => 'PUT', body => 'x' x 100_000);

    $_->set(mode => 'close') for @server{qw(a b)};
    is_failed('/pairs/unbuffered', 1, 'what was sent is gone', %put);
    is_failed('/pairs/all', 1, 'whatever else is allowed', %put);
    is_answered('/pairs/unbuffered', by => qr/^[cd]$/, tries => 2);

    $_->set(mode => 'refuse') for @server{qw(a b)};
    is_answered('/pairs/unbuffered', by => qr/^[cd]$/, tries => 2, %put);
    my ($last) = grep { length $_->{body} } reverse map { $_->log }
        @server{qw(c d)};
    is($last->{body}, $put{body}, 'the body that stable got is whole');
    all_well();
};

subtest 'a body that is still on its way' => sub {
    $_->set(mode => 'refuse') for @server{qw(a b)};

    my $client = $t->client;
    $client->connect->write("PUT /pairs/unbuffered HTTP/1.1\r\nHost: half\r\n"
                            . "Content-Length: 10\r\n\r\nhalf:");
    $t->wait_for(sub { $t->error_log =~ /refused.*host: "half"/ }, 5,
                 'the canary to refuse');
    $client->write('other');

    my $response = $client->finish;
    is($response->status, 200, 'answered');
    like($response->header('X-Backend'), qr/^[cd]$/, 'by stable');
    my ($last) = grep { $_->{method} eq 'PUT' } reverse map { $_->log }
        $server{ $response->header('X-Backend') };
    is($last->{body}, 'half:other', 'which got it all');
    all_well();
};

subtest 'backup' => sub {
    my $b = $server{b}->requests;

    $server{a}->set(mode => 'refuse');
    is_answered('/spares', by => qr/^v1$/, tries => 2, reason => 'fallback');
    is($server{b}->requests, $b, 'stable comes before a backup');
    all_well();
};

subtest 'max_fails' => sub {
    my $a = $server{a}->requests;

    $server{a}->set(status => 500);
    is_answered('/marked', by => qr/^v1$/, tries => 2, reason => 'fallback');
    is_answered('/marked', by => qr/^b$/, tries => 1, reason => 'weight')
        for 1 .. 3;
    is($server{a}->requests - $a, 1, 'the server that failed was asked once');

    my $before = $t->totals('marked_two', 'v2');
    $_->set(status => 500) for @server{qw(a b)};
    is_answered('/marked_two', by => qr/^v1$/, tries => 2,
                reason => 'fallback') for 1, 2;
    is_answered('/marked_two', by => qr/^v1$/, tries => 1,
                reason => 'fallback') for 1, 2;
    $t->is_totals('marked_two', 'v2',
                  { attempts => 2, '5xx' => 2, no_live => 2 },
                  'two answers, and twice no live peer');
    $t->is_totals('marked_two', 'v1',
                  { attempts => 4, '2xx' => 4, fallbacks => 4 },
                  'stable has done the rest');
    all_well();
};

subtest 'a fallback to a dead kept connection' => sub {
    $server{a}->set(mode => 'refuse');
    is($t->get('/kept', headers => { 'X-Force' => 'stable' })->status, 200,
       'stable has a connection');
    $server{c}->set(close_reused => 1);
    is_answered('/kept', by => qr/^c$/, tries => 3, reason => 'fallback');
    $t->is_totals('kept', 'v1', { attempts => 2, '2xx' => 2, fallbacks => 1 },
                  'what nginx sends again is one attempt');
    all_well();
};

# A dead one takes no try of a limit.
subtest 'proxy_next_upstream_tries and dead kept connections' => sub {
    my @all = qw(a b c d v1);

    is_limited('/limits/tries2', 'a', [qw(a b)],
               ['dead', 'canary 500', 'stable 200']);
    is_limited('/limits/tries2', 'a', \@all,
               ['dead', 'canary 500', 'stable 500']);
    is_limited('/limits/tries2', 'c', [qw(a)],
               ['canary 500', 'dead', 'stable 200']);
    is_limited('/limits/tries2', 'c', \@all,
               ['canary 500', 'dead', 'stable 500']);
    is_limited('/limits/tries2', 'ac', [qw(a b)],
               ['dead', 'canary 500', 'dead', 'stable 200']);
    is_limited('/limits/tries2', 'ac', \@all,
               ['dead', 'canary 500', 'dead', 'stable 500']);

    is_limited('/limits/tries3', 'a', [qw(a b c)],
               ['dead', 'canary 500', 'stable 500', 'stable 200']);
    is_limited('/limits/tries3', 'a', \@all,
               ['dead', 'canary 500', 'stable 500', 'stable 500']);
    is_limited('/limits/tries3', 'c', \@all,
               ['canary 500', 'dead', 'stable 500', 'stable 500']);
    is_limited('/limits/tries3', 'ac', \@all,
               ['dead', 'canary 500', 'dead', 'stable 500', 'stable 500']);

    is_limited('/limits', 'a', \@all,
               ['dead', 'canary 500', ('stable 500') x 3]);
};

subtest 'max_conns of the canary' => sub {
    my $busy = hanging('/busy_v2/hang', 'a');

    is_answered('/busy_v2', by => qr/^v1$/, tries => 1, reason => 'fallback');
    $t->is_totals('busy_v2', 'v2', { no_live => 1 },
                  'no live peer is no attempt');
    $t->is_totals('busy_v2', 'v1',
                  { attempts => 1, '2xx' => 1, fallbacks => 1 }, 'of stable');

    $busy->close;
    $t->is_totals('busy_v2', 'v2',
                  { attempts => 1, no_live => 1, aborted => 1 },
                  'the client has gone');
    is_answered('/busy_v2', by => qr/^a$/, tries => 1, reason => 'weight');
};

subtest 'max_conns of stable' => sub {
    my $busy = hanging('/busy_v1/hang', 'c', 'stable');

    is_answered('/busy_v1', by => qr/^v1$/, tries => 1, reason => 'fallback',
                release => 'v2', role => 'canary');
    is_failed('/busy_v1', 0, 'a forced request stays where it is',
              headers => { 'X-Force' => 'stable' });

    $t->verb(busy_v1 => 'rollback');
    is_failed('/busy_v1', 0, 'without a rollout nobody helps');
    $busy->close;
    $t->wait_for(sub { $t->get('/busy_v1')->status == 200 }, 5,
                 'the connection to be free');
};

# A canary with more servers than stable had left makes no more tries.
subtest 'stable has no live peer for another try' => sub {
    $_->set(mode => 'close') for @server{qw(a b d v1)};
    my $busy = hanging('/held/hang', 'c', 'stable');

    is_failed('/held', 1, 'nobody helps who is forced',
              headers => { 'X-Force' => 'stable' });
    is_failed('/held', 2, 'the canary has the try that was left');
    all_well();
    is_answered('/held', by => qr/^(?:[abd]|v1)$/, tries => 1) for 1 .. 2;

    $busy->close;
    $t->verb(held => 'rollback');
};

subtest 'gRPC' => sub {
    needs('http_grpc');

    my %call = (method => 'POST', body => "\0\0\0\0\0");
    my $safe = $t->version >= 1_029_005
        || ($t->version >= 1_028_002 && $t->version < 1_029_000);

    is($t->get('/calls_dead', %call)->header('X-Backend'), 'g1',
       'no live peer: a fallback, since nothing was sent');
    $t->is_totals('calls_dead', 'v1',
                  { attempts => 1, '2xx' => 1, fallbacks => 1 }, 'counted');

    $server{g2}->set(mode => 'refuse');
    my $response = $t->get('/calls', %call);

    if ($safe) {
        is($response->header('X-Backend'), 'g1', 'refused: a fallback');
        is($response->header('X-Reason'), 'fallback', 'as it tells');

    } else {
        is($response->status, 502,
           'refused: this nginx must not go to another peer');
        is($server{g1}->requests, 1, 'stable is not asked');
    }
    $t->is_totals('calls', 'v2', { attempts => 1, failed => 1 }, 'counted');
};

subtest 'the cookies of a release that was left' => sub {
    needs('1.29.6');

    my $response = is_answered('/stuck', by => qr/^[ab]$/, tries => 1);
    like($response->header('Set-Cookie'), qr/\btwo=/, 'of the canary');

    $_->set(mode => 'close') for @server{qw(a b)};
    $response = is_answered('/stuck', by => qr/^[cd]$/, tries => 2);
    like($response->header('Set-Cookie'), qr/\bone=/, 'of stable');
    unlike($response->header('Set-Cookie'), qr/\btwo=/, 'not both');
    like($response->header('Set-Cookie'), qr/\bown=1/, 'others stay');
    all_well();
};

subtest 'names that are resolved at run time' => sub {
    needs('1.27.3');

    $t->wait_for(sub { $t->get('/resolved')->header('X-Backend') eq 'a' },
                 10, 'the names to be resolved');

    my $load = $t->load(connections => 2, by => ['X-Backend'],
                        request => { uri => '/resolved' });
    $dns->set('two.test', '127.0.0.2', '127.0.0.1');
    $t->wait_for(sub { $t->error_log =~ m{refused.*//127\.0\.0\.2:} }, 10,
                 'an address to be added');
    $dns->set('two.test', '127.0.0.1');
    $load->wait_requests(200);

    my $result = $load->stop;
    is($result->{statuses}{200}, $result->{requests}, 'all are answered');
    is($result->{failed}, 0, 'none is lost');

    $server{a}->set(mode => 'close');
    is_answered('/resolved', by => qr/^c$/, tries => qr/^[23]$/,
                reason => 'fallback');    # a kept connection may be dead
    all_well();
};

# The balancer then refuses to go on, as if no peer were alive.
subtest 'a name that changes while an attempt is under way' => sub {
    needs('1.27.3');

    for my $name (qw(a b)) {
        $t->wait_for(sub {
            ($t->get('/moving')->header('X-Backend') // '') eq $name
        }, 10, 'the names to be resolved');
    }

    my $before = $server{a}->requests;
    my @clients;
    $server{a}->on('/moving/slow', mode => 'hang');
    while ($server{a}->requests == $before) {
        push @clients, $t->client;
        $clients[-1]->start(uri => '/moving/slow');
        $t->get('/pairs');    # the worker has passed the other one on
    }

    $dns->set('three.test', '127.0.0.2');
    $t->wait_for(sub {
        $t->get('/moving');
        $t->error_log =~ m{refused.*moving.*//127\.0\.0\.2:};
    }, 10, 'the address to be another');

    my $totals = $t->totals('moving', 'v2');
    $server{a}->set(mode => 'refuse');    # which ends its connections
    my $response = $clients[-1]->finish;
    is($response->status, 200, 'answered');
    is($response->header('X-Backend'), 'b', 'by a server that it now has');
    is(tries($response), 2, 'at the second try');
    is(() = ($response->header('Set-Cookie') // '') =~ /\bthree=/g,
       $sticky ? 1 : 0, 'with one cookie');

    $totals->{$_}++ for qw(failed 2xx);
    $totals->{attempts} += 2;
    $t->is_totals('moving', 'v2', $totals, 'and nothing else has failed');
    all_well();
};

# Whatever its servers become, a request has the tries that it had at first.
subtest 'a name that changes makes no more tries' => sub {
    needs('1.27.3');

    my @turning = @server{qw(a b c)};
    my $asked = sub { $turning[0]->requests + $turning[1]->requests
                          + $turning[2]->requests };

    for my $name (qw(a b c)) {
        $t->wait_for(sub {
            ($t->get('/turning')->header('X-Backend') // '') eq $name
        }, 10, 'the name to be resolved');
    }
    $t->start_rollout('turning', steps => [1]);

    my %tries = (
        'of the set that there was' => [ 3, '/turning/slow', 'stable' ],
        'of the limit'     => [ 2, '/turning/tries2/slow', 'stable' ],
        'and a fallback'   => [ 4, '/turning/slow' ],
        'and a fallback of the limit' => [ 2, '/turning/tries2/slow' ],
    );
    my %client;

    $server{d}->set(mode => 'close');
    for my $backend (@turning) {
        $backend->on("/turning$_/slow", mode => 'hang') for '', '/tries2';
    }
    for my $name (sort keys %tries) {
        my (undef, $uri, $force) = @{ $tries{$name} };
        my $before = $asked->();

        $client{$name} = $t->client;
        $client{$name}->start(uri => $uri,
                              headers => { 'X-Force' => $force // '' });
        $t->wait_for(sub { $asked->() > $before }, 10, 'a first attempt');
    }

    # Nobody listens there.
    $dns->set('five.test', map { "127.0.0.$_" } 2 .. 5);
    $t->wait_for(sub {
        $t->get('/turning', headers => { 'X-Force' => 'stable' });
        $t->error_log =~ m{refused.*turning.*//127\.0\.0\.5:};
    }, 10, 'the addresses to be others');
    $_->set(mode => 'refuse') for @turning;    # which ends its connections

    for my $name (sort keys %tries) {
        my ($tries) = @{ $tries{$name} };
        my $response = $client{$name}->finish;

        is($response->status, 502, 'no server of a new set is alive');
        is(tries($response), $tries, "no more tries: $name");
    }
    $t->verb(turning => 'rollback');
    all_well();
};

# Each rollout has a budget of failed attempts for its rule.
subtest 'each failure of the canary is known to its rule' => sub {
    for my $endpoint (@endpoints) {
        my $totals = $t->totals($endpoint, 'v2');
        my $bad = ($totals->{failed} // 0) + ($totals->{'5xx'} // 0);

        cmp_ok($bad + ($totals->{no_live} // 0), '>', 0,
               "$endpoint: some failed, or met no live peer");
        eval { $t->wait_for(sub { spent($endpoint) == $bad }, 3) };
        is(spent($endpoint), $bad, 'all of them are known');
    }
};

$t->finish;


sub spent($endpoint) {
    return $t->endpoint($endpoint)->{rules}[0]{value} // 0;
}


sub all_well() {
    $_->set for @server{qw(a b c d v1)};

    return;
}


# How many peers were asked, as nginx tells.

sub tries($response) {
    my @addresses = split /, /, $response->header('X-Upstream');

    return scalar grep { /:\d+$/ } @addresses;
}


sub is_answered($uri, %opt) {
    my %expected = map { $_ => delete $opt{$_} }
        grep { exists $opt{$_} } qw(by tries reason release role);
    my $response = $t->get($uri, %opt);
    my $what = ($opt{method} // 'GET') . " $uri";

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    is($response->status, 200, "$what: answered");
    like($response->header('X-Backend'), $expected{by}, 'by whom');
    like(tries($response), qr/^$expected{tries}$/, 'at which try');
    for my $name (grep { exists $expected{$_} } qw(reason release role)) {
        is($response->header('X-' . ucfirst $name), $expected{$name}, $name);
    }

    return $response;
}


sub is_failed($uri, $tries, $name, %request) {
    my $response = $t->get($uri, %request);

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    is($response->status, 502, $name);

    return is(tries($response), $tries, "$uri: tries");
}


# One request, when the kept connections to the servers in $dead are dead, and
# some servers answer 500: whom nginx asked, with what success, and that each
# but the dead connections was counted.

sub is_limited($uri, $dead, $bad, $path) {
    my %dead = map { $_ => 1 } split //, $dead;
    my %name = map { $server{$_}->port => $_ } qw(a b c d v1);
    my %role = (a => 'canary', b => 'canary',
                map { $_ => 'stable' } qw(c d v1));
    my %bad = map { $_ => [ status => 500 ] } @$bad;

    # They have no other connections than these.
    $_->set(mode => 'refuse') for @server{keys %role};
    all_well();
    for my $name (sort keys %dead) {
        is($t->get('/limits', headers => { 'X-Force' => $role{$name} })
             ->header('X-Backend'), $name, "a connection to $name");
    }

    my %totals = map { $_ => $t->totals('limits', $_) } qw(v1 v2);
    $server{$_}->set(@{ $bad{$_} // [] }, close_reused => $dead{$_})
        for keys %role;

    my $response = $t->get($uri);
    my @statuses = split /, /, $response->header('X-Statuses');
    my @asked = map {
        my $name = $name{ s/.*://r };
        my $status = shift @statuses;

        $status == 502 && $dead{$name} ? 'dead' : "$role{$name} $status";
    } split /, /, $response->header('X-Upstream');

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    is_deeply(\@asked, $path, "$uri: " . join ', ', @$path);
    is($response->status, $path->[-1] =~ /(\d+)/ ? $1 : 0, 'as it ended');

    for (map { [ split ] } grep { $_ ne 'dead' } @$path) {
        my ($role, $status) = @$_;
        my $sum = $totals{ $role eq 'stable' ? 'v1' : 'v2' };

        $sum->{$_}++ for 'attempts', substr($status, 0, 1) . 'xx',
            $role eq 'stable' ? 'fallbacks' : ();
    }
    $t->is_totals('limits', $_, $totals{$_}, "$_: counted") for qw(v1 v2);

    all_well();

    return;
}


# A client whose request that backend does not answer.

sub hanging($uri, $backend, $force = undef) {
    my $before = $server{$backend}->requests;
    my $client = $t->client;

    $server{$backend}->on($uri, mode => 'hang');
    $client->start(uri => $uri,
                   headers => $force ? { 'X-Force' => $force } : {});
    $t->wait_for(sub { $server{$backend}->requests > $before }, 5,
                 'the request to arrive');

    return $client;
}


# A DNS server for some names; ->set(NAME, ADDRESS, ...) changes one.

sub dns_server(%addresses) {
    socket(my $socket, AF_INET, SOCK_DGRAM, 0) or die "socket: $!";
    bind($socket, pack_sockaddr_in(0, INADDR_LOOPBACK)) or die "bind: $!";

    my ($port) = Socket::unpack_sockaddr_in(getsockname $socket);
    my $self = bless { port => $port, file => $t->dir . '/dns' }, 'DNS';
    my $owner = $$;

    $self->set($_, $addresses{$_}) for keys %addresses;
    fork_child(sub {
        my $ready = '';
        vec($ready, fileno $socket, 1) = 1;

        while (getppid == $owner) {
            next unless select my $in = $ready, undef, undef, 0.2;

            my $from = recv($socket, my $query, 512, 0) // next;
            send($socket, $self->answer($query), 0, $from);
        }
    });

    return $self;
}


package DNS;


sub set($self, $name, @addresses) {
    $self->{names}{$name} = \@addresses;

    open my $out, '>', "$self->{file}.new" or die "$self->{file}: $!";
    for my $known (sort keys %{ $self->{names} }) {
        print $out "$known @{ $self->{names}{$known} }\n";
    }
    close $out;

    return rename "$self->{file}.new", $self->{file};
}


sub answer($self, $query) {
    my ($id) = unpack 'n', $query;
    my @labels = unpack '(C/a)*', substr($query, 12) =~ s/\0.*//sr;
    my $name = join '.', @labels;
    my $question = substr($query, 12, length($name) + 6);

    open my $in, '<', $self->{file} or return '';
    my %names = map { my ($known, @of) = split; $known => \@of } <$in>;
    my @found = @{ $names{$name} // [] };

    my $answer = pack('n6', $id, 0x8180, 1, scalar @found, 0, 0) . $question;
    for my $address (@found) {
        $answer .= pack('n n n N n/a*', 0xc00c, 1, 1, 1,
                        Socket::inet_aton($address));
    }

    return $answer;
}
