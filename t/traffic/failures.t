#!/usr/bin/perl

# The last failed attempts of a rollout, as the API shows them.

use v5.36;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Test::More;

use Canary::Test;

use constant {
    KEPT      => 32,
    ENDPOINTS => 150,
};

my $t = Canary::Test->new(workers => 2);
my $v1 = $t->backend('v1');
my $v2 = $t->backend('v2');
my $rpc = $t->backend('rpc', protocol => 'grpc');
my $ssl = $t->has('http_ssl');
my $grpc = $t->has('http_v2');

my $http = <<'EOC';
    canary_zone zone=canary:%%SIZE%%;

    log_format id $request_id;
    access_log %%DIR%%/id.log id;

    upstream a { server 127.0.0.1:%%PORT_v1%%; }
    upstream b { server 127.0.0.1:%%PORT_v2%%; }
    upstream ep {
        canary_release  v1 a;
        canary_release  v2 b;
        canary_fallback off;
    }

    upstream b_dead { server 127.0.0.1:%%PORT_v2%% down; }
    upstream dead {
        canary_release  v1 a;
        canary_release  v2 b_dead;
        canary_unavailable 0;
        canary_fallback off;
    }

    upstream other { canary_release v1 a; canary_release v2 b; }

    upstream c { server 127.0.0.1:%%PORT_rpc%%; }
    upstream rpc { canary_release v1 a; canary_release v2 c; }

    %%ENDPOINTS%%

    server {
        listen 127.0.0.1:%%PORT_http%% reuseport;
        add_header X-Pid $pid always;

        client_max_body_size   0;
        proxy_connect_timeout  %%300ms%%;
        proxy_read_timeout     %%300ms%%;
        proxy_next_upstream    off;

        location /      { proxy_pass http://ep; }
        location /dead  { proxy_pass http://dead; }
        location /saved { proxy_pass http://other; proxy_next_upstream http_500; }

        location ~ ^/(?<full>full\d+)$ { proxy_pass http://$full; }

        %%GRPC%%
        %%SSL%%
    }

    %%API%%
EOC

my $grpc_location = $grpc ? 'location /rpc { grpc_pass grpc://rpc; }' : '';
my $ssl_location = $ssl ? 'location /tls { proxy_pass https://ep; }' : '';

$http =~ s/%%GRPC%%/$grpc_location/;
$http =~ s/%%SSL%%/$ssl_location/;

$t->start(conf('16m'));


subtest 'before there is a rollout' => sub {
    $v2->set(status => 500);
    is_deeply([failures()], [], 'there are none');

    $t->get('/x');
    is_deeply([failures()], [], 'and stable has none');
};

my @kinds = (
    ['answered 500', 'ep', { status => 500 }, 500, undef],
    ['answered 503', 'ep', { status => 503 }, 503, undef],
    ['refused', 'ep', { mode => 'refuse' }, undef,
     'connection refused or failed'],
    ['never connected', 'ep', { mode => 'blackhole' }, undef,
     'connection timeout'],
    ['closed', 'ep', { mode => 'close' }, undef,
     'connection closed or reset'],
    ['reset', 'ep', { mode => 'reset' }, undef, 'connection closed or reset'],
    ['hung', 'ep', { mode => 'hang' }, undef, 'timeout'],
    ['bad header', 'ep', { mode => 'bad_header' }, undef, 'invalid header'],
    ['big header', 'ep', { mode => 'big_header' }, undef, 'invalid header'],
    ['no status', 'ep', { mode => 'no_status' }, undef, 'invalid header'],
    ['short', 'ep', { mode => 'short' }, 200, 'cut short'],
    ['bad chunk', 'ep', { mode => 'bad_chunk' }, 200, 'cut short'],
    ['hung in its body', 'ep', { mode => 'hang_body' }, 200,
     'cut short by a timeout'],
    ['no live upstreams', 'dead', {}, undef, 'no live upstreams', '/dead'],
    ['no TLS', 'ep', { mode => 'slam' }, undef, 'TLS handshake failed',
     '/tls'],
    ['silence instead of TLS', 'ep', {}, undef, 'TLS handshake failed',
     '/tls'],
);

for my $row (@kinds) {
    my ($name, $endpoint, $behaviour, $status, $failure, $uri) = @$row;

    $uri //= '/some/path';
    next if $uri eq '/tls' && !$ssl;

    subtest $name => sub {
        start($endpoint);
        $v2->set(%$behaviour);
        $t->get("$uri?a=secret");

        my $peer = $failure && $failure =~ /no live/
            ? undef : '127.0.0.1:' . $v2->port;

        is_failure($endpoint, 0, status => $status, failure => $failure,
            method => 'GET', uri => $uri, peer => $peer, step => 1,
            weight => 1);
        is(scalar failures($endpoint), 1, 'once');
    };
}

$v2->set;

subtest 'gRPC' => sub {
    needs('http_v2');

    my @rows = (
        [{ trailers_only => 1, grpc_status => 14 }, 200, 'grpc-status 14'],
        [{ grpc_status => 13 }, 200, 'grpc-status 13'],
        [{ mode => 'rst' }, undef, 'invalid header'],
        [{ mode => 'rst_body' }, 200, 'cut short'],
    );

    start('rpc');

    for my $row (@rows) {
        my ($behaviour, $status, $failure) = @$row;

        $rpc->set(%$behaviour);
        $t->get('/rpc.Service/Method', method => 'POST', body => '',
            headers => { 'Content-Type' => 'application/grpc', TE => 'trailers' });

        is_failure('rpc', 0, status => $status, failure => $failure,
            method => 'POST', uri => '/rpc.Service/Method');
    }

    $rpc->set(grpc_status => 5);
    $t->get('/rpc.Service/Method', method => 'POST', body => '');
    is(scalar failures('rpc'), scalar @rows, 'NOT_FOUND is no failure');
};

subtest 'what is none' => sub {
    start();

    for my $status (200, 302, 404) {
        $v2->set(status => $status);
        $t->get('/x');
    }

    $v2->set(mode => 'hang');
    my $client = $t->client;
    $client->start(uri => '/x');
    $t->wait_for(sub { $v2->stats->{open} }, 10, 'the request');
    $client->reset;
    $t->wait_for(sub { $t->totals('ep', 'v2')->{aborted} }, 10, 'the abort');

    is_deeply([failures()], [], 'answers that are not 5xx, and who left');
};

subtest 'how long it took' => sub {
    start();
    $v2->set(mode => 'hang');
    $t->get('/x');
    my ($slow) = failures();
    cmp_ok($slow->{time_ms}, '>=', 290, 'a timeout took that long');
    cmp_ok($slow->{time_ms}, '<', 5000, 'in milliseconds');

    like($slow->{time}, qr/^20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/,
        'and when it was');
};

subtest 'which request it was' => sub {
    start();
    $v2->set(status => 500);
    $t->get('/x', close => 1);

    my ($failure) = failures();
    my $id = $t->wait_for(sub { ($t->read_file('id.log') =~ /(\w+)\n\z/)[0] });

    $t->wait_for(sub {
        $t->read_file('id.log') =~ /^\Q$failure->{request_id}\E$/m
    }, 10, 'the id in the access log');

    like($failure->{request_id}, qr/^[0-9a-f]{32}$/, 'as in the access log');
};

subtest 'a request that stable finished' => sub {
    start('other');
    $v2->set(status => 500);
    is($t->get('/saved')->status, 200, 'the client sees no error');
    is_failure('other', 0, status => 500, uri => '/saved',
        peer => '127.0.0.1:' . $v2->port);
    is(scalar failures('other'), 1, 'and nothing else failed');
};

subtest 'strange requests' => sub {
    start();
    $v2->set(status => 500);

    my %uris = (
        '/a?b=c' => '/a',
        '/a%3Fb=c' => '/a%3Fb=c',
        '/a%0D%0Ab' => '/a%0D%0Ab',
        '/a%1Bb%7F' => '/a%1Bb%7F',
        '/a%22%5Cb' => qr{^/a(?:"|%22)(?:\\|%5C)b$},
        '/a%25b' => '/a%25b',
        '/%C3%A4' => '/%C3%A4',
        '/%ff%fe' => '/%FF%FE',
        '/' . 'x' x 300 => '/' . 'x' x 255,
        '/' . 'x' x 253 . '%20y' => '/' . 'x' x 253,
        '/' . 'x' x 250 . '%C3%A4' => '/' . 'x' x 250,
        '/' . 'x' x 249 . '%C3%A4' => '/' . 'x' x 249 . '%C3%A4',
    );

    for my $uri (sort keys %uris) {
        $t->get($uri);

        my ($failure) = failures();
        my $expected = $uris{$uri};
        my $shown = length $uri > 40 ? substr($uri, 0, 20) . '...' : $uri;

        ref $expected ? like($failure->{uri}, $expected, $shown)
                      : is($failure->{uri}, $expected, $shown);
    }

    my $raw = $t->api_get('endpoints/ep/failures')->body;
    unlike($raw, qr/[\x00-\x1f\x7f-\xff](?!\z)/, 'nothing raw in the answer');

    $t->get('/', method => 'A' x 40);
    is((failures())[0]{method}, 'A' x 16, 'a long method is cut');
};

subtest 'the last of many' => sub {
    start();
    $v2->set(status => 500);

    my %workers;

    for my $n (1 .. 80) {
        $workers{ $t->get("/n/$n")->header('X-Pid') }++;
    }

    is_deeply([map { $_->{uri} } failures()],
        [map { "/n/$_" } reverse 80 - KEPT + 1 .. 80],
        'are kept, newest first');
    is(scalar keys %workers, $t->workers, 'of all workers');
};

subtest 'a reload' => sub {
    needs('processes');
    my @before = failures();

    is(scalar @before, KEPT, 'with many');
    $t->reload(conf('16m'), gone => 1);
    is_deeply([failures()], \@before, 'keeps them');

    $t->reload(conf('17m'), gone => 1);
    is_deeply([failures()], \@before, 'also one that changes the zone');

    $v2->set(status => 502);
    $t->get('/after');
    is_failure('ep', 0, status => 502, uri => '/after');
    is((failures())[1]{uri}, $before[0]{uri}, 'and more are added');
};

subtest 'the weight and the step' => sub {
    start('ep', steps => [0.25, 0.5]);
    $v2->set(status => 500);
    $t->get('/') for 1 .. 10;
    is_failure('ep', 0, step => 1, weight => 0.25);

    $t->verb(ep => 'advance');
    $t->get('/') for 1 .. 10;
    is_failure('ep', 0, step => 2, weight => 0.5);

    $t->set_weight(ep => 0.4);
    $t->get('/') for 1 .. 10;
    is_failure('ep', 0, step => 1, weight => 0.4);
};

subtest 'the end of a rollout and the next one' => sub {
    start('ep', rules => [rule(error_5xx_rate => 0.1, confidence => 'off',
                               min_requests => 3)]);
    $v2->set(status => 500);
    $t->get("/end/$_") for 1 .. 5;

    is($t->endpoint('ep')->{phase}, 'idle', 'it has ended');
    my @kept = failures();

    is_deeply([map { $_->{uri} } @kept], ['/end/3', '/end/2', '/end/1'],
        'what ended it is kept, and that which broke the rule too');
    is_deeply([map { $_->{step} } @kept], [1, 1, 1], 'from before the end');
    is($kept[0]{rollout}, $t->endpoint('ep')->{last_rollout}{id},
        'with its number');

    my $next = $kept[0]{rollout} + 1;
    $t->start_rollout('ep', steps => [1]);
    is_deeply([failures()], [], 'the next one begins with none');

    $t->get('/next');
    is_failure('ep', 0, uri => '/next', rollout => $next);
    is(scalar failures(), 1, 'and has its own');
};

subtest 'endpoints do not mix' => sub {
    start($_) for qw(ep other);
    $v2->set(status => 500);
    $t->get('/mine');
    is_deeply([failures('other')], [], 'not in that of another');
    is_failure('ep', 0, uri => '/mine');
};

subtest 'the resource' => sub {
    my $path = 'endpoints/ep/failures';
    my $response = $t->api_get($path);

    is($response->status, 200, 'GET');
    is($response->header('Content-Type'), 'application/json');
    is($response->header('Cache-Control'), 'no-store');
    is($t->api(HEAD => $path)->status, 200, 'HEAD');

    for my $method (qw(POST PATCH DELETE PUT)) {
        my $refused = $t->api($method => $path);
        is($refused->status, 405, $method);
        is($refused->header('Allow'), 'GET, HEAD', 'with what is allowed');
    }

    is($t->api_get('endpoints/none/failures')->status, 404, 'no such endpoint');
    is($t->api_get("$path/1")->status, 404, 'nothing below it');

    my ($listed) = grep { $_->{path} eq 'endpoints/NAME/failures' }
        @{ $t->api_get('')->json->{paths} };
    is_deeply($listed->{methods}, ['GET', 'HEAD'], 'it is in the index');
};

subtest 'a zone that is full' => sub {
    $t->allow_log(qr/canary: no memory in canary_zone/);
    $t->renew(conf('8m', ENDPOINTS));

    my @running;

    for my $n (1 .. ENDPOINTS) {
        my $response = $t->api_post("endpoints/full$n/rollout",
            { canary_strategy => { progress_steps => [1],
              bake_seconds => 3600,
              rules => [rule(failed_requests_max => 1000)] } });

        last if $response->status == 503;
        push @running, "full$n";
    }

    cmp_ok(scalar @running, '<', ENDPOINTS, 'no rollout fits any more');

    $v2->set(status => 500);
    my %statuses = map { $t->get("/$_")->status => 1 } @running;
    is_deeply(\%statuses, { 500 => 1 }, 'all are served');

    # kept or not: what is told of the course of a rollout gives way to them

    my %failed = map { $t->endpoint($_)->{rules}[0]{value} => 1 } @running;
    is_deeply(\%failed, { 1 => 1 }, 'each counts for the rules');

    my %kept = map { scalar(failures($_)) => 1 } @running;
    delete $kept{0};
    is_deeply(\%kept, { 1 => 1 }, 'and is told once, where there is room');
    $t->verb($running[0] => 'rollback');
};

$t->finish;


sub conf($size, $endpoints = 0) {
    my $more = join '', map {
        "upstream full$_ { canary_release v1 a; canary_release v2 b; }\n"
    } 1 .. $endpoints;

    return $http =~ s/%%SIZE%%/$size/r =~ s/%%ENDPOINTS%%/$more/r;
}


# A rollout of v2, with all of the traffic if nothing else is said.

sub start($name = 'ep', %opt) {
    $t->verb($name => 'rollback') if $t->endpoint($name)->{phase} ne 'idle';
    $t->start_rollout($name, steps => [1], release => 'v2', %opt);

    return;
}


sub failures($name = 'ep') {
    return @{ $t->api_get("endpoints/$name/failures")->json->{failures} };
}


sub is_failure($name, $index, %expected) {
    my $failure = (failures($name))[$index];
    my %seen = map { $_ => $failure->{$_} } keys %expected;

    is_deeply(\%seen, \%expected, "the failure of $name")
        or diag(explain($failure));

    return;
}
