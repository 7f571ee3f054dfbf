#!/usr/bin/perl

# The variables, wherever nginx can use one.

use v5.36;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Test::More;

use Canary::Test;

my $t = Canary::Test->new;
my @echo = (echo => [qw(X-Endpoint X-Release X-Role X-Reason X-Weight
                        X-Phase)]);
my $v1 = $t->backend('v1', @echo);
my $v2 = $t->backend('v2', @echo);

$t->start(<<'EOC');
    log_format canary escape=json '{"uri":"$uri",'
        '"endpoint":"$canary_endpoint","release":"$canary_release",'
        '"role":"$canary_role",'
        '"reason":"$canary_reason","weight":"$canary_weight",'
        '"phase":"$canary_phase"}';

    map $canary_release $color {
        v1      blue;
        v2      green;
        default none;
    }

    upstream model_v1 { server 127.0.0.1:%%PORT_v1%%; }
    upstream model_v2 { server 127.0.0.1:%%PORT_v2%%; }

    upstream ep {
        canary_release v1 model_v1;
        canary_release v2 model_v2;
    }

    proxy_cache_path %%DIR%%/cache keys_zone=cache:1m;

    server {
        listen 127.0.0.1:%%PORT_http%%;
        access_log %%DIR%%/canary.log canary;

        add_header X-Endpoint $canary_endpoint always;
        add_header X-Release  $canary_release  always;
        add_header X-Role     $canary_role     always;
        add_header X-Reason   $canary_reason   always;
        add_header X-Weight   $canary_weight   always;
        add_header X-Phase    $canary_phase    always;
        add_header X-Color    $color           always;
        add_header X-Cache    $upstream_cache_status always;

        proxy_set_header X-Endpoint $canary_endpoint;
        proxy_set_header X-Release  $canary_release;
        proxy_set_header X-Role     $canary_role;
        proxy_set_header X-Reason   $canary_reason;
        proxy_set_header X-Weight   $canary_weight;
        proxy_set_header X-Phase    $canary_phase;

        location / { proxy_pass http://ep; }

        location /safe {
            proxy_pass http://ep;
            proxy_next_upstream error timeout http_500;
        }

        location /body {
            proxy_pass http://ep;
            proxy_method POST;
            proxy_set_body "for $canary_release";
        }

        location /cached {
            proxy_pass http://ep;
            proxy_cache cache;
            proxy_cache_key $canary_release$uri;
            proxy_cache_valid 1h;
        }

        location /first {
            proxy_pass http://ep;
            proxy_intercept_errors on;
            error_page 404 = /second;
        }
        location = /second { internal; proxy_pass http://ep; }

        location /plain  { proxy_pass http://model_v1; }
        location /return { return 200 here; }
    }

    %%API%%
EOC


subtest 'idle' => sub {
    my $response = $t->get('/');

    is_told($response, 'X-', endpoint => 'ep', release => 'v1',
            role => 'stable', reason => 'weight', weight => 0,
            phase => 'idle');
    is_told($response, 'X-Echo-X-', endpoint => 'ep', release => 'v1',
            role => 'stable', reason => 'weight', weight => 0,
            phase => 'idle');
};

subtest 'no endpoint' => sub {
    for my $uri ('/plain', '/return') {
        my $response = $t->get($uri);

        is($response->status, 200, $uri);
        for my $name (qw(Endpoint Release Role Reason Weight Phase)) {
            is($response->header("X-$name"), '', "no $name");
            is($response->header("X-Echo-X-$name"), '', 'nor sent');
        }
        is($response->header('X-Color'), 'none', 'map');
        is_logged($uri, map { $_ => '' } qw(endpoint release role reason
                                            weight phase));
    }
};

$t->start_rollout('ep', steps => [0.25]);

subtest 'a rollout' => sub {
    my %seen;

    for my $n (1 .. 40) {
        my $response = $t->get("/$n");
        my $release = $response->header('X-Backend');
        my %told = (endpoint => 'ep', release => $release, weight => 0.25,
                    reason => 'weight', phase => 'progressing',
                    role => $release eq 'v1' ? 'stable' : 'canary');

        next if $seen{$release}++;

        subtest $release => sub {
            is_told($response, 'X-', %told);
            is_told($response, 'X-Echo-X-', %told);
            is($response->header('X-Color'),
               $release eq 'v1' ? 'blue' : 'green', 'map');
            is_logged("/$n", %told);
        };
    }

    is_deeply([sort keys %seen], [qw(v1 v2)], 'both were asked');
};

subtest 'the body of the request' => sub {
    $t->get('/body') for 1 .. 12;

    for my $backend ($v1, $v2) {
        my @bodies = map { $_->{body} }
            grep { $_->{uri} eq '/body' } $backend->log;
        my $wrong = grep { $_ ne 'for ' . $backend->name } @bodies;

        cmp_ok(scalar @bodies, '>', 0, $backend->name . ' was asked');
        is($wrong, 0, 'and the body names it');
    }
};

subtest 'the cache key' => sub {
    my $before = $v1->requests + $v2->requests;
    my $result = $t->load(count => 100, by => [qw(X-Backend X-Release)],
                          request => { uri => '/cached' })->result;

    is($v1->requests + $v2->requests - $before, 2,
       'each release was asked once');
    cmp_ok(abs($result->{by}{'X-Backend'}{v2} - 25), '<=', 1,
           'but answers its share');
    is_deeply($result->{by}{'X-Release'}, $result->{by}{'X-Backend'},
              'which the variable tells too');
};

subtest 'one choice a request' => sub {
    $_->on('/first', status => 404) for $v1, $v2;
    for my $n (1 .. 20) {
        is($t->get('/first', headers => { 'X-Number' => $n })->status, 200)
    }

    for my $backend ($v1, $v2) {
        my %uris;
        for my $request ($backend->log) {
            my $number = $request->{headers}{'x-number'} // next;
            push @{ $uris{$number} }, $request->{uri};
        }

        cmp_ok(scalar keys %uris, '>', 0, $backend->name . ' was asked');
        is(join(' ', @$_), '/first /second', 'before and after the redirect')
            for values %uris;
    }
};

subtest 'phases and weights' => sub {
    $t->set_weight(ep => 0.5);
    is($t->get('/')->header('X-Weight') + 0, 0.5, 'a weight that was set');

    $t->verb(ep => 'pause');
    is($t->get('/')->header('X-Phase'), 'paused', 'paused');
    $t->verb(ep => 'rollback');
    is($t->get('/')->header('X-Phase'), 'idle', 'idle');

    $t->start_rollout('ep', steps => [1]);
    is_told($t->get('/'), 'X-', endpoint => 'ep', release => 'v2',
            role => 'canary', reason => 'weight', weight => 1,
            phase => 'baking');
};

subtest 'after a fallback' => sub {
    $v2->set(status => 500);
    my $response = $t->get('/safe/fallback');
    my %told = (endpoint => 'ep', release => 'v1', role => 'stable',
                reason => 'fallback', weight => 1, phase => 'baking');

    is($response->header('X-Backend'), 'v1', 'stable answered');
    is_told($response, 'X-', %told);
    is_logged('/safe/fallback', %told);
    is($response->header('X-Echo-X-Release'), 'v2',
       'the request was made for the canary');
    is($response->header('X-Echo-X-Reason'), 'weight', 'by its weight');
};

subtest 'after a promotion' => sub {
    $v2->set(@echo);
    $t->verb(ep => 'promote');
    is_told($t->get('/'), 'X-', endpoint => 'ep', release => 'v2',
            role => 'stable', reason => 'weight', weight => 0,
            phase => 'idle');
};

$t->finish;


sub is_told($response, $prefix, %expected) {
    for my $name (sort keys %expected) {
        my $got = $response->header($prefix . ucfirst $name);

        is_value($got, $name, $expected{$name}, "$prefix$name");
    }

    return;
}


# The weight is a number, the others are text.

sub is_value($got, $name, $expected, $test_name) {
    return $name eq 'weight' && $expected ne '' && $got ne ''
        ? cmp_ok($got, '==', $expected, $test_name)
        : is($got, $expected, $test_name);
}


# nginx writes the log after the answer.

sub is_logged($uri, %expected) {
    my $line = $t->wait_for(sub {
        my ($found) = $t->read_file('canary.log')
            =~ /^(\{"uri":"\Q$uri\E",.*\})$/m;
        return $found;
    }, 5, "$uri in the access log");

    for my $name (sort keys %expected) {
        my ($got) = $line =~ /"$name":"([^"]*)"/;

        is_value($got, $name, $expected{$name}, "logged: $name");
    }

    return;
}
