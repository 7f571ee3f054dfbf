#!/usr/bin/perl

# The cache: what it answers is no attempt, and what is kept under the name of
# one release is never the answer of the other.

use v5.36;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Test::More;

use Canary::Test;

my $t = Canary::Test->new(workers => 1);
my $v1 = $t->backend('v1');
my $v2 = $t->backend('v2');

# Kinds of cache keys; whether the canary's variables are in it.
my %keys = (
    release => ['$canary_release$uri'             => 1],
    role    => ['$uri$canary_role'                => 1],
    mapped  => ['$color$uri'                      => 1],
    nested  => ['$nested$uri'                     => 1],
    plain   => ['$uri'                            => 0],
    twice   => ['$canary_endpoint$canary_release$uri' => 1],
);

my $locations = '';
for my $name (sort keys %keys) {
    $locations .= "        location /$name { proxy_pass http://ep;"
        . " proxy_cache cache; proxy_cache_key $keys{$name}[0]; }\n";
}

$t->start(<<"EOC");
    upstream model_v1 { server 127.0.0.1:%%PORT_v1%%; }
    upstream model_v2 { server 127.0.0.1:%%PORT_v2%%; }
    upstream ep {
        canary_release v1 model_v1;
        canary_release v2 model_v2;
        canary_force   \$arg_force;
    }

    map \$canary_release \$color  { v2 green; default blue; }
    map "\$arg_x \$color" \$nested { default \$color; }
    map \$canary_release   \$never  { default ""; }

    proxy_cache_path  %%DIR%%/cache keys_zone=cache:1m;
    proxy_cache_valid 200 1h;

    server {
        listen 127.0.0.1:%%PORT_http%%;
        proxy_next_upstream error timeout http_500;

        # No connection is kept, which could be dead.
        proxy_http_version 1.0;
        proxy_set_header Connection close;

        add_header X-Cache   \$upstream_cache_status always;
        add_header X-Release \$canary_release always;
        add_header X-Reason  \$canary_reason  always;

$locations
        location /stale {
            proxy_pass http://ep;
            proxy_cache cache;
            proxy_cache_key \$canary_release\$uri;
            proxy_cache_use_stale error http_500 updating;
            proxy_cache_revalidate on;
        }
        location /renewed {
            proxy_pass http://ep;
            proxy_cache cache;
            proxy_cache_key \$uri;
            proxy_cache_revalidate on;
        }
        location /alone {
            proxy_pass http://ep;
            proxy_next_upstream off;
            proxy_cache cache;
            proxy_cache_key \$canary_release\$uri;
            proxy_cache_use_stale error http_500;
        }
        location /updated {
            proxy_pass http://ep;
            proxy_cache cache;
            proxy_cache_key \$canary_release\$uri;
            proxy_cache_use_stale updating;
            proxy_cache_background_update on;
        }
        location /locked {
            proxy_pass http://ep;
            proxy_cache cache;
            proxy_cache_key \$canary_release\$uri;
            proxy_cache_lock on;
            proxy_cache_lock_timeout 60s;
            proxy_cache_lock_age 60s;
            proxy_set_header Connection close;
        }
        location /headers {
            proxy_pass http://ep;
            proxy_cache cache;
            proxy_cache_key \$uri;
            proxy_cache_bypass \$arg_bypass \$never;
            proxy_no_cache \$never;
            proxy_set_header X-Release \$canary_release;
            proxy_set_header Connection close;
        }

        location = /page {
            ssi on;
            root %%DIR%%;
            default_type text/html;
        }

        location = /marker { return 204; }
    }

    %%API%%
EOC

my $part = '<!--# include virtual="/locked/part" -->';
$t->write_file(page => "$part $part");

# All goes to the canary, unless it is forced.
$t->start_rollout('ep', steps => [1]);


subtest 'each release has its own' => sub {
    for my $name (sort keys %keys) {
        my ($key, $of_release) = @{ $keys{$name} };
        my $uri = uri("/$name");

        is_cached($uri, MISS => 'v2');
        is_cached($uri, HIT => 'v2');
        is_cached("$uri?force=v1", $of_release ? (MISS => 'v1')
                                               : (HIT => 'v2'));
        is_cached("$uri?force=v1", HIT => $of_release ? 'v1' : 'v2');
        is_cached($uri, HIT => 'v2');
    }
};

subtest 'what comes from the cache is no attempt' => sub {
    my $uri = uri('/release');
    my %before = totals();

    is_cached($uri, MISS => 'v2');
    is_cached($uri, HIT => 'v2') for 1 .. 5;
    is($t->get($uri, method => 'HEAD')->header('X-Cache'), 'HIT', 'HEAD');
    is_grown(\%before, v2 => { attempts => 1, '2xx' => 1 });
};

subtest '304 from the cache' => sub {
    my $uri = uri('/release');
    my %if_none = (headers => { 'If-None-Match' => '"e"' });

    $v2->set(headers => { ETag => '"e"' });
    is_cached($uri, MISS => 'v2');

    my %before = totals();
    my $response = client()->get($uri, %if_none);
    is($response->status, 304, 'not modified');
    is($response->header('X-Cache'), 'HIT', 'says the cache');
    is_grown(\%before);
    $v2->set;
};

subtest 'an answer that came by fallback' => sub {
    for my $bad ({ mode => 'close' }, { status => 500 }, { mode => 'refuse' })
    {
        my ($what) = values %$bad;

        for my $name (sort keys %keys) {
            my $of_release = $keys{$name}[1];
            my $uri = uri("/$name");

            $v2->set(%$bad);
            is_cached($uri, MISS => 'v1', 'fallback');
            $v2->set;
            is_cached($uri, $of_release ? (MISS => 'v2') : (HIT => 'v1'));
            is_cached($uri, HIT => $of_release ? 'v2' : 'v1');
            is_cached("$uri?force=v1", $of_release ? (MISS => 'v1')
                                                   : (HIT => 'v1'))
                if $of_release;
        }
    }
};

subtest 'what is beside the key does not matter' => sub {
    my $uri = uri('/headers');

    $v2->set(mode => 'close');
    is_cached($uri, MISS => 'v1', 'fallback');
    is_cached($uri, HIT => 'v1');
    is_cached("$uri?bypass=1", BYPASS => 'v1', 'fallback');
    is_cached($uri, HIT => 'v1');
    $v2->set;
};

subtest 'an old answer of the canary, and a fallback' => sub {
    my $uri = stale_uri('/stale');

    $v2->set(mode => 'close');
    is_cached($uri, EXPIRED => 'v1', 'fallback');
    is_cached($uri, EXPIRED => 'v1', 'fallback');
    $v2->set(body => 'new');
    is_cached($uri, EXPIRED => 'new');
    is_cached($uri, HIT => 'new');
    $v2->set;
};

subtest 'STALE, when no fallback is left' => sub {
    my $uri = stale_uri('/alone');
    my %before = totals();

    $v2->set(mode => 'close');
    is_cached($uri, STALE => 'old');
    $v2->set(status => 500);
    is_cached($uri, STALE => 'old');
    is_grown(\%before, v2 => { attempts => 2, failed => 1, '5xx' => 1 });
    $v2->set;
};

subtest 'STALE, when both releases fail' => sub {
    my $uri = stale_uri('/stale');
    my %before = totals();

    $_->set(mode => 'close') for $v1, $v2;
    is_cached($uri, STALE => 'old');
    is_grown(\%before, v2 => { attempts => 1, failed => 1 },
             v1 => { attempts => 1, failed => 1, fallbacks => 1 });
    $_->set for $v1, $v2;
};

subtest 'REVALIDATED' => sub {
    my $uri = stale_uri('/stale');
    my %before = totals();

    $v2->set(status => 304);
    is_cached($uri, REVALIDATED => 'old');
    is_grown(\%before, v2 => { attempts => 1, '3xx' => 1 });
    $v2->set;
};

# What the client gets is the canary's own, but it is not made younger by the
# word of stable.
subtest 'REVALIDATED, by a fallback' => sub {
    for my $kind ([ '/stale', EXPIRED => 'new' ], [ '/renewed', HIT => 'old' ])
    {
        my ($prefix, $status, $body) = @$kind;
        my $uri = stale_uri($prefix);
        my %before = totals();

        $v2->set(mode => 'close');
        $v1->set(status => 304,
                 headers => { 'Cache-Control' => 'max-age=3600' });
        is_cached($uri, REVALIDATED => 'old', 'fallback');
        is_grown(\%before, v2 => { attempts => 1, failed => 1 },
                 v1 => { attempts => 1, '3xx' => 1, fallbacks => 1 });
        is(($v1->log)[-1]{headers}{'if-none-match'}, '"e"',
           'stable was asked for a newer one');

        $v1->set;
        $v2->set(body => 'new');
        is_cached($uri, $status => $body);
        is_cached($uri, HIT => $body);
        $v2->set;
    }
};

subtest 'updated in the background' => sub {
    my $uri = stale_uri('/updated');
    my %before = totals();

    $v2->set(body => 'new');
    is_cached($uri, STALE => 'old');
    wait_grown(\%before, v2 => { attempts => 1, '2xx' => 1 });
    is_cached($uri, HIT => 'new');

    # By a fallback: the old one stays.
    $uri = stale_uri('/updated');
    %before = totals();
    $v2->set(mode => 'close');
    is_cached($uri, STALE => 'old');
    wait_grown(\%before, v2 => { attempts => 1, failed => 1 },
               v1 => { attempts => 1, '2xx' => 1, fallbacks => 1 });
    $v2->set(body => 'new');
    is_cached($uri, STALE => 'old');
    wait_grown(\%before,
               v2 => { attempts => 2, failed => 1, '2xx' => 1 },
               v1 => { attempts => 1, '2xx' => 1, fallbacks => 1 });
    is_cached($uri, HIT => 'new');
    $v2->set;
};

subtest 'cache lock' => sub {
    my $uri = uri('/locked');
    my %before = totals();

    $v2->set(delay_ms => 200);
    my @clients = waiting($uri, 4);
    my @got = map { $_->finish } @clients;

    is(join(' ', map { $_->body } @got), 'v2 v2 v2 v2', 'all are answered');
    is_grown(\%before, v2 => { attempts => 1, '2xx' => 1 });
    $v2->set;
};

subtest 'cache lock, and a fallback' => sub {
    my $uri = uri('/locked');
    my %before = totals();

    $v2->set;
    $v2->next_requests(1, mode => 'close', delay_ms => 200);
    my @clients = waiting($uri, 3);
    my @got = map { $_->finish } @clients;

    is(join(' ', map { $_->body } @got), 'v1 v2 v2',
       'those that wait do not get it');
    is_cached($uri, HIT => 'v2');
    is_grown(\%before, v2 => { attempts => 2, failed => 1, '2xx' => 1 },
             v1 => { attempts => 1, '2xx' => 1, fallbacks => 1 });
};

# The second part has made its key when the first one falls back, and with it
# the whole request.

subtest 'two parts of a page, of which one falls back' => sub {
    $v2->set(mode => 'close', delay_ms => 100);
    is(client()->get('/page')->body, 'v1 v1', 'both parts are there');
    $v2->set;
    is_cached('/locked/part', MISS => 'v2');
};

subtest 'a rollback while a request waits for the lock' => sub {
    my $uri = uri('/locked');

    # The first one is not kept, so that the next one is passed on: to
    # stable, since the canary which it was to ask is none any more.
    $v2->set;
    $v2->next_requests(1, delay_ms => 500,
                       headers => { 'Cache-Control' => 'no-store' });
    my @clients = waiting($uri, 2);
    $t->verb(ep => 'rollback');

    is($clients[0]->finish->body, 'v2', 'what is on its way goes on');
    is($clients[1]->finish->body, 'v1', 'what waits goes to stable');

    $t->start_rollout('ep', steps => [1]);
    is_cached($uri, MISS => 'v2');
};

$t->finish;


# One connection, one worker.

sub client() {
    state $client = $t->client;

    return $client;
}


sub uri($prefix) {
    state $n = 0;

    return $prefix . '/' . ++$n;
}


# `old`, in the cache of the canary, and out of date.

sub stale_uri($prefix) {
    my $uri = uri($prefix);

    $v2->set(body => 'old', headers => { 'X-Accel-Expires' => '@1',
                                         ETag => '"e"' });
    is_cached($uri, MISS => 'old');
    $v2->set;

    return $uri;
}


sub is_cached($uri, $status, $body, $reason = undef) {
    my $response = client()->get($uri);

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    is($response->header('X-Cache') . ' ' . $response->body, "$status $body",
       "$uri: $status, $body");
    is($response->header('X-Reason'), $reason, "$uri: $reason") if $reason;

    return;
}


# Clients, the first of which has reached the canary and the others wait for
# its answer.

sub waiting($uri, $n) {
    my $before = $v2->requests;
    my @clients = map { $t->client } 1 .. $n;

    for my $client (@clients) {
        $client->start(uri => $uri);
        $t->wait_for(sub { $v2->requests > $before }, 5,
                     'the first to arrive');
    }

    # The worker has taken in what the others sent before it answers this.
    $t->get('/marker') for 1, 2;

    return @clients;
}


sub totals() {
    return map { $_ => $t->totals(ep => $_) } qw(v1 v2);
}


# What the counters grew by, all of them.

sub is_grown($before, %expected) {
    local $Test::Builder::Level = $Test::Builder::Level + 1;

    for my $release (qw(v1 v2)) {
        my %sum = %{ $before->{$release} };
        my $grown = $expected{$release} // {};

        $sum{$_} += $grown->{$_} for keys %$grown;
        $t->is_totals(ep => $release, \%sum, "$release: counted");
    }

    return;
}


sub wait_grown($before, %expected) {
    local $Test::Builder::Level = $Test::Builder::Level + 1;

    return is_grown($before, %expected);
}
