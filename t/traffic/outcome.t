#!/usr/bin/perl

# What counts as what: each thing that can happen to an attempt ends in one
# counter, on stable as on the canary.

use v5.36;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Test::More;

use Canary::Test;

my $t = Canary::Test->new;
$t->allow_log(qr/bind\(192\.0\.2\.1\) failed/, qr{unix:\S+/none failed});

my $one = $t->backend('one');        # what every endpoint but `pair` asks
my $first = $t->backend('first');    # what `pair` asks first,
my $second = $t->backend('second');  # and what then
$t->backend('other')                 # no endpoint's
    ->on('/page', body => '<!--#include virtual="/part" set="part" -->'
                          . 'has <!--#echo var="part" -->');
my $auth = $t->has('http_auth_request');
my $ssl = $t->has('http_ssl');
my $slice = $t->has('http_slice');
my $ssi = $t->has('http_ssi');
my $tunnel;                          # open from one row to the next

my $http = <<'EOC';
    upstream a  { server 127.0.0.1:%%PORT_one%%; }
    upstream b  { server 127.0.0.1:%%PORT_one%%; }
    upstream ep {
        canary_release  v1 a;
        canary_release  v2 b;
        canary_fallback off;
    }

    upstream a_pair {
        server 127.0.0.1:%%PORT_first%%  max_fails=0;
        server 127.0.0.1:%%PORT_second%% max_fails=0 backup;
    }
    upstream b_pair {
        server 127.0.0.1:%%PORT_first%%  max_fails=0;
        server 127.0.0.1:%%PORT_second%% max_fails=0 backup;
    }
    upstream pair {
        canary_release  v1 a_pair;
        canary_release  v2 b_pair;
        canary_fallback off;
    }

    upstream a_dead { server 127.0.0.1:%%PORT_one%% down; }
    upstream b_dead { server 127.0.0.1:%%PORT_one%% down; }
    upstream dead {
        canary_release  v1 a_dead;
        canary_release  v2 b_dead;
        canary_unavailable 0;
        canary_fallback off;
    }

    upstream a_none { server unix:%%DIR%%/none; }
    upstream b_none { server unix:%%DIR%%/none; }
    upstream none {
        canary_release  v1 a_none;
        canary_release  v2 b_none;
        canary_fallback off;
    }

    upstream a_kept { server 127.0.0.1:%%PORT_one%%; keepalive 8; }
    upstream b_kept { server 127.0.0.1:%%PORT_one%%; keepalive 8; }
    upstream kept {
        canary_release  v1 a_kept;
        canary_release  v2 b_kept;
        canary_fallback off;
    }

    proxy_cache_path %%DIR%%/cache keys_zone=cache:1m;

    server {
        listen 127.0.0.1:%%PORT_http%%;

        client_max_body_size   0;
        proxy_http_version     1.1;
        proxy_set_header       Connection "";

        add_header X-Cache $upstream_cache_status always;

        location / { proxy_pass http://ep; }

        location /hasty     {
            proxy_pass http://ep;
            proxy_connect_timeout 100ms;
            proxy_send_timeout    100ms;
            proxy_read_timeout    100ms;
        }
        location /hasty/body {
            proxy_pass http://ep;
            proxy_read_timeout %%300ms%%;
        }
        location /stream    { proxy_pass http://ep; proxy_buffering off; }
        location /ignore    {
            proxy_pass http://ep;
            proxy_ignore_client_abort on;
        }
        location /unbuffered {
            proxy_pass http://ep;
            proxy_request_buffering off;
        }
        location /unbuffered/hasty {
            proxy_pass http://ep;
            proxy_request_buffering off;
            client_body_timeout 100ms;
        }
        location /unbuffered/small {
            proxy_pass http://ep;
            proxy_request_buffering off;
            client_max_body_size 10;
        }
        location /nowhere   { proxy_pass http://ep; proxy_bind 192.0.2.1; }
        location /upgrade   {
            proxy_pass http://ep;
            proxy_set_header Connection upgrade;
            proxy_set_header Upgrade $http_upgrade;
        }

        location /intercept {
            proxy_pass http://ep;
            proxy_intercept_errors on;
            error_page 404 500 =200 /sorry;
        }
        location /again {
            proxy_pass http://ep;
            proxy_intercept_errors on;
            error_page 500 = /second;
        }
        location = /sorry   { return 200 sorry; }
        location = /inside  { internal; return 200 inside; }
        location = /second  { internal; proxy_pass http://ep; }

        location /mirrored  {
            mirror /mirror;
            proxy_pass http://127.0.0.1:%%PORT_other%%;
        }
        location = /mirror  { internal; proxy_pass http://ep; }

        location /cached    {
            proxy_pass http://ep;
            proxy_cache cache;
            proxy_cache_valid 200 1h;
            proxy_cache_use_stale error timeout http_500;
            proxy_cache_revalidate on;
        }
        location /updated   {
            proxy_pass http://ep;
            proxy_cache cache;
            proxy_cache_valid 200 1h;
            proxy_cache_use_stale updating;
            proxy_cache_background_update on;
        }

        location /pair {
            proxy_pass http://pair;
            proxy_next_upstream error timeout http_500 http_404 http_429;
        }
        location /pair/hasty {
            proxy_pass http://pair;
            proxy_next_upstream error timeout http_500;
            proxy_read_timeout %%300ms%%;
        }
        location /dead { proxy_pass http://dead; }
        location /none { proxy_pass http://none; }
        location /kept { proxy_pass http://kept; }

        %%OPTIONAL%%
        %%SSL%%
    }

    %%API%%
EOC

my $optional = $auth ? <<'EOC' : '';
        location /authorized { auth_request /check; proxy_pass http://ep; }
        location = /check    { internal; proxy_pass http://ep; }
EOC

my $ssl_locations = $ssl ? <<'EOC' : '';
        location /tls { proxy_pass https://ep; }
EOC

$optional .= <<'EOC' if $slice;
        location /sliced {
            slice 100;
            proxy_set_header Range $slice_range;
            proxy_pass http://ep;
        }
EOC
$optional .= <<'EOC' if $ssi;
        location /page {
            ssi on;
            ssi_types *;
            proxy_pass http://127.0.0.1:%%PORT_other%%;
        }
EOC
$http =~ s/%%OPTIONAL%%/$optional/;
$http =~ s/%%SSL%%/$ssl_locations/;
$t->start($http, main => 'worker_shutdown_timeout 200ms;');

# Name, what is done, what is counted, at which endpoint if not at `ep`.
my @rows = (
    # Answers.
    ['status 200', answers(200), { '2xx' => 1 }],
    ['status 204', answers(204), { '2xx' => 1 }],
    ['status 302', answers(302), { '3xx' => 1 }],
    ['status 404', answers(404), { '4xx' => 1 }],
    ['status 500', answers(500), { '5xx' => 1 }],
    ['status 503', answers(503), { '5xx' => 1 }],
    ['HEAD', sub {
        $one->set;
        is($t->get('/', method => 'HEAD')->status, 200, 'answered');
    }, { '2xx' => 1 }],
    ['POST', sub {
        $one->set;
        my $response = $t->get('/', method => 'POST', body => 'x');
        is($response->status, 200, 'answered');
    }, { '2xx' => 1 }],
    ['a chunked body', answers(200, chunked => 1), { '2xx' => 1 }],
    ['a body that ends with the connection',
        answers(200, mode => 'until_close'), { '2xx' => 1 }],
    ['a large body', answers(200, body_size => 1_000_000), { '2xx' => 1 }],
    ['101, while the tunnel is open', \&open_tunnel, { '1xx' => 1 }],
    ['101, when it ends', \&close_tunnel, {}],

    # Failures before the header.
    ['refused', fails('refuse', 502), { failed => 1 }],
    ['refused at once', sub {
        is($t->get('/none')->status, 502, 'the client got 502');
    }, { failed => 1 }, 'none'],
    ['connect timeout', fails('blackhole', 504, '/hasty'),
        { failed => 1, timeouts => 1 }],
    ['read timeout', fails('hang', 504, '/hasty'),
        { failed => 1, timeouts => 1 }],
    ['send timeout', sub {
        $one->set(mode => 'stall_body');
        my $response = $t->get('/hasty', method => 'POST',
                               body => 'x' x 20_000_000);
        is($response->status, 504, 'the client got 504');
    }, { failed => 1, timeouts => 1 }],
    ['reset while the request is sent', sub {
        $one->set(mode => 'slam');
        my $response = $t->get('/', method => 'POST',
                               body => 'x' x 20_000_000);
        is($response->status, 502, 'the client got 502');
    }, { failed => 1 }],
    ['closed', fails('close', 502), { failed => 1 }],
    ['reset', fails('reset', 502), { failed => 1 }],
    ['invalid header', fails('bad_header', 502), { failed => 1 }],
    ['too big header', fails('big_header', 502), { failed => 1 }],
    ['no status line', fails('no_status', 0), { failed => 1 }],
    ['no live upstreams', sub {
        is($t->get('/dead')->status, 502, 'the client got 502');
    }, { attempts => 1, failed => 1, no_live => 1 }, 'dead'],
    $ssl ? ['no TLS', sub {
        $one->set(mode => 'slam');
        is($t->get('/tls')->status, 502, 'the client got 502');
    }, { failed => 1 }] : (),

    # Failures after it, when the attempt has been counted.
    ['a body shorter than its length', breaks('short'),
        { attempts => 1, '2xx' => 1, failed => 1 }],
    ['a chunked body without an end', breaks('short_chunked'),
        { attempts => 1, '2xx' => 1, failed => 1 }],
    ['a chunked body with a bad chunk', breaks('bad_chunk'),
        { attempts => 1, '2xx' => 1, failed => 1 }],
    ['read timeout in the body', breaks('hang_body', '/hasty/body'),
        { attempts => 1, '2xx' => 1, failed => 1, timeouts => 1 }],

    # Clients that go away.
    ['client gone before the header', leaves('/', mode => 'hang'),
        { aborted => 1 }],
    ['client gone in the body', sub {
        $one->set(mode => 'hang_body');
        my $client = $t->client;
        $client->start(uri => '/stream');
        is(length $client->read_bytes(500), 500, 'a part of it came');
        $client->close;
    }, { '2xx' => 1, abandoned => 1 }],
    ['client gone in a large, buffered body', sub {
        $one->set(body_size => 20_000_000);
        my $client = $t->client;
        $client->start(uri => '/');
        is(length $client->read_bytes(500), 500, 'a part of it came');
        $client->reset;
    }, { '2xx' => 1, abandoned => 1 }],
    ['client gone, but ignored: 200', leaves('/ignore', delay_ms => 100),
        { '2xx' => 1 }],
    ['client gone, but ignored: closed',
        leaves('/ignore', mode => 'close', delay_ms => 100), { failed => 1 }],
    ['client gone in its own body', sub {
        my $client = half_a_post('/unbuffered');
        $client->close;
    }, { aborted => 1 }],
    ['client timed out in its own body', sub {
        half_a_post('/unbuffered/hasty')->finish;
    }, { aborted => 1 }],
    ['client sent a bad body', sub {
        my $client = half_a_chunk('/unbuffered');
        is($client->write("\r\nno hex digits here\r\n")->finish->status, 400,
           'the client got 400');
    }, { aborted => 1 }],
    ['client sent too large a body', sub {
        my $client = half_a_chunk('/unbuffered/small');
        is($client->write("\r\n20\r\nx")->finish->status, 413,
           'the client got 413');
    }, { aborted => 1 }],

    # What the client does not see.
    ['error_page: 500', sub {
        $one->set(status => 500);
        is($t->get('/intercept')->body, 'sorry', 'the client got sorry');
    }, { '5xx' => 1 }],
    ['error_page: 404', sub {
        $one->set(status => 404);
        is($t->get('/intercept')->body, 'sorry', 'the client got sorry');
    }, { '4xx' => 1 }],
    ['error_page: 500, then the same endpoint again', sub {
        $one->set;
        $one->next_requests(1, status => 500);
        is($t->get('/again')->status, 200, 'the client got 200');
    }, { '2xx' => 1, '5xx' => 1 }],
    ['X-Accel-Redirect', sub {
        $one->set(headers => { 'X-Accel-Redirect' => '/inside' });
        is($t->get('/')->body, 'inside', 'the client got inside');
    }, { '2xx' => 1 }],
    ['X-Accel-Redirect to the same endpoint', sub {
        $one->set;
        $one->next_requests(1, headers => { 'X-Accel-Redirect' => '/second' });
        is($t->get('/')->body, 'one', 'the client got one');
    }, { '2xx' => 2 }],
    $auth ? ['auth_request', sub {
        $one->set;
        is($t->get('/authorized')->status, 200, 'the client got 200');
    }, { '2xx' => 2 }] : (),
    $auth ? ['auth_request: denied', sub {
        $one->set;
        $one->next_requests(1, status => 403);
        is($t->get('/authorized')->status, 403, 'the client got 403');
    }, { '4xx' => 1 }] : (),
    # What is not the release's to answer for, and what is.
    $slice ? ['a slice of another version', sub {
        $one->set(status => 206, body_size => 100, headers => {
            'Content-Range' => 'bytes 100-199/300', ETag => '"b"' });
        $one->next_requests(1, status => 206, body_size => 100, headers => {
            'Content-Range' => 'bytes 0-99/300', ETag => '"a"' });
        isnt($t->get('/sliced')->error, undef, 'the client got no whole one');
    }, { '2xx' => 2 }] : (),
    $ssi ? ['an answer in memory', sub {
        $one->set;
        is($t->get('/page')->body, 'has one', 'the client got it');
    }, { '2xx' => 1 }] : (),
    $ssi ? ['an answer in memory that breaks off', sub {
        $one->set(mode => 'short', body_delay_ms => 20);
        is($t->get('/page')->status, 200, 'the client got a page');
    }, { attempts => 1, '2xx' => 1, failed => 1 }] : (),
    ['a mirror', sub {
        $one->set;
        is($t->get('/mirrored')->body, 'other', 'the client got other');
    }, { '2xx' => 1 }],

    # The cache.
    ['cache: MISS, HIT', sub {
        $one->set;
        my $uri = cached_uri('/cached');
        cache_is($uri, 'HIT') for 1 .. 2;
    }, { '2xx' => 1 }],
    ['cache: STALE instead of 500', sub {
        my $uri = stale_uri('/cached');
        $one->set(status => 500);
        cache_is($uri, 'STALE');
    }, { '2xx' => 1, '5xx' => 1 }],
    ['cache: STALE instead of a failure', sub {
        my $uri = stale_uri('/cached');
        $one->set(mode => 'close');
        cache_is($uri, 'STALE');
    }, { '2xx' => 1, failed => 1 }],
    ['cache: REVALIDATED', sub {
        my $uri = stale_uri('/cached');
        $one->set(status => 304);
        cache_is($uri, 'REVALIDATED');
    }, { '2xx' => 1, '3xx' => 1 }],
    ['cache: EXPIRED', sub {
        my $uri = stale_uri('/cached');
        $one->set;
        cache_is($uri, 'EXPIRED');
    }, { '2xx' => 2 }],
    ['cache: updated in the background', sub {
        my $uri = stale_uri('/updated');
        $one->set;
        cache_is($uri, 'STALE');
    }, { '2xx' => 2 }],

    # Retries inside a release.
    ['500, then 200', pair_does({ status => 500 }, {}, 200),
        { '2xx' => 1, '5xx' => 1 }, 'pair'],
    ['404, then 200', pair_does({ status => 404 }, {}, 200),
        { '2xx' => 1, '4xx' => 1 }, 'pair'],
    ['429, then 200', pair_does({ status => 429 }, {}, 200),
        { '2xx' => 1, '4xx' => 1 }, 'pair'],
    ['closed, then 200', pair_does({ mode => 'close' }, {}, 200),
        { '2xx' => 1, failed => 1 }, 'pair'],
    ['refused, then 500', pair_does({ mode => 'refuse' }, { status => 500 },
                                    500),
        { failed => 1, '5xx' => 1 }, 'pair'],
    ['500, then refused', pair_does({ status => 500 }, { mode => 'refuse' },
                                    502),
        { failed => 1, '5xx' => 1 }, 'pair'],
    ['500, then a timeout', pair_does({ status => 500 }, { mode => 'hang' },
                                      504, '/pair/hasty'),
        { failed => 1, timeouts => 1, '5xx' => 1 }, 'pair'],

    # What is nginx's own.
    ['no address to connect from', sub {
        is($t->get('/nowhere')->status, 500, 'the client got 500');
    }, {}],
    ['dead connections of the keepalive cache', sub {
        $one->set(close_reused => 1);
        my $before = $one->requests;
        my $client = $t->client;

        is($client->get('/kept')->status, 200, 'answered') for 1 .. 4;
        cmp_ok($one->requests - $before, '>', 4, 'some were sent twice');
    }, { '2xx' => 4 }, 'kept'],
    ['dead connection, POST, not sent again', sub {
        $one->set;
        my $client = $t->client;
        is($client->get('/kept')->status, 200, 'a connection is kept');
        $one->set(close_reused => 1);
        is($client->request(uri => '/kept', method => 'POST', body => 'x')
             ->status, 502, 'the client got 502');
    }, { '2xx' => 1, failed => 1 }, 'kept'],

    ['shut down by worker_shutdown_timeout', sub {
        needs('processes');
        $one->set(mode => 'hang');
        my $client = client_waits('/');
        $t->reload(undef, gone => 1);
        isnt($client->finish->error, undef, 'the client got no answer');
    }, {}],
);

subtest 'stable' => sub { count_rows('v1') };

for my $endpoint (qw(ep pair dead none kept)) {
    $t->start_rollout($endpoint, steps => [1], rules => [
        rule(error_5xx_rate => 0.5, confidence => 'off',
             min_requests => 1_000_000)
    ]);
}

subtest 'canary' => sub { count_rows('v2') };

subtest 'the evidence is what was counted' => sub {
    for my $endpoint (qw(ep pair dead none kept)) {
        my $totals = $t->totals($endpoint, 'v2');
        my $attempts = $totals->{attempts} - ($totals->{aborted} // 0);
        my $bad = ($totals->{failed} // 0) + ($totals->{'5xx'} // 0);

        eval {
            $t->wait_for(sub {
                rule_of($endpoint)->{attempts} == $attempts
            }, 3)
        };

        my $rule = rule_of($endpoint);
        is($rule->{attempts}, $attempts,
           "$endpoint: all attempts but those that the client gave up");
        cmp_ok(abs($rule->{value} - $bad / $attempts), '<', 0.005,
               'failures and 5xx are bad');
    }
};

$t->finish;


sub count_rows($release) {
    my %expected;

    for my $row (@rows) {
        my ($name, $do, $counts, $endpoint) = @$row;

        $endpoint //= 'ep';
        subtest $name => sub {
            $do->();

            my %grown = (attempts => attempts($counts), %$counts);
            my $sum = $expected{$endpoint} //= {};
            $sum->{$_} += $grown{$_} for keys %grown;
            $t->is_totals($endpoint, $release, $sum, 'counted');
        };
    }

    return;
}


# Each answer, failure and client that left is of an attempt of its own, unless
# the row says otherwise.

sub attempts($counts) {
    my $attempts = 0;

    $attempts += $counts->{$_} // 0
        for qw(1xx 2xx 3xx 4xx 5xx failed aborted);

    return $attempts;
}


# Things to do: each returns a sub.

sub answers($status, %behaviour) {
    return sub () {
        $one->set(status => $status, %behaviour);
        is($t->get('/')->status, $status, "the client got $status");
    };
}


sub fails($mode, $status, $uri = '/') {
    return sub () {
        $one->set(mode => $mode);
        is($t->get($uri)->status, $status, "the client got $status");
    };
}


sub breaks($mode, $uri = '/broken') {
    return sub () {
        $one->set(mode => $mode, body_delay_ms => 20);
        my $response = $t->get($uri);
        isnt($response->error, undef, 'the client got no whole answer');
    };
}


sub leaves($uri, %behaviour) {
    return sub () {
        $one->set(%behaviour);
        client_waits($uri)->close;
    };
}


sub pair_does($first_does, $second_does, $status, $uri = '/pair') {
    return sub () {
        $first->set(%$first_does);
        $second->set(%$second_does);
        is($t->get($uri)->status, $status, "the client got $status");
    };
}


# Parts of them.

# A client whose request has reached the backend.

sub client_waits($uri) {
    my $before = $one->requests;
    my $client = $t->client;

    $client->start(uri => $uri);
    $t->wait_for(sub { $one->requests > $before }, 5, 'the request to arrive');

    return $client;
}


# The same with half of a body that is not buffered: the backend, which would
# wait for the rest, answers nothing.

sub half_a_post($uri) {
    return half_sent("POST $uri HTTP/1.1\r\nHost: a\r\n"
                     . "Content-Length: 10\r\n\r\nhalf:");
}


sub half_a_chunk($uri) {
    return half_sent("POST $uri HTTP/1.1\r\nHost: a\r\n"
                     . "Transfer-Encoding: chunked\r\n\r\n5\r\nhalf:");
}


sub half_sent($text) {
    $one->set(mode => 'stall_body');

    my $before = $one->requests;
    my $client = $t->client;
    $client->connect->write($text);
    $t->wait_for(sub { $one->requests > $before }, 5, 'the request to arrive');

    return $client;
}


sub open_tunnel() {
    $one->set(mode => 'upgrade');
    $tunnel = $t->client;
    $tunnel->start(uri => '/upgrade', headers => { Connection => 'upgrade',
                                                   Upgrade => 'echo' });
    is($tunnel->finish->status, 101, 'the tunnel is open');

    return is($tunnel->write('hello')->read_bytes(5), 'hello', 'it works');
}


sub close_tunnel() {
    my $before = $one->stats->{open};

    $tunnel->close;
    $t->wait_for(sub { $one->stats->{open} < $before }, 5,
                 'the tunnel to end');

    return;
}


# A URI that was not asked for before.

sub uri($prefix) {
    state $n = 0;

    return $prefix . '/' . ++$n;
}


# By one connection and so by one worker: for others an answer is in the cache
# only a moment after the client has it.

sub cache_is($uri, $status) {
    state $client = $t->client;

    return is($client->get($uri)->header('X-Cache'), $status, $status);
}


sub cached_uri($prefix) {
    my $uri = uri($prefix);

    cache_is($uri, 'MISS');

    return $uri;
}


# One that was out of date at once.

sub stale_uri($prefix) {
    $one->set(headers => { 'X-Accel-Expires' => '@1', ETag => '"e"' });

    return cached_uri($prefix);
}


sub rule_of($endpoint) {
    return $t->endpoint($endpoint)->{rules}[0];
}
