#!/usr/bin/perl

# Attempts that are evidence, though not of their time: while a release warms
# up, and when nginx passes on an upload as it comes.

use v5.36;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Test::More;

use Canary::Test;

my $t = Canary::Test->new(workers => 1);
my %server = map { $_ => $t->backend($_) } qw(v1 v2);

$t->start(<<'EOC');
    upstream model_v1 { server 127.0.0.1:%%PORT_v1%%; }
    upstream model_v2 { server 127.0.0.1:%%PORT_v2%%; }

    upstream cold {
        canary_release v1 model_v1;
        canary_release v2 model_v2;
        canary_warmup  1h;
    }

    upstream brief {
        canary_release v1 model_v1;
        canary_release v2 model_v2;
        canary_warmup  1s;
    }

    upstream response {
        canary_release v1 model_v1;
        canary_release v2 model_v2;
        canary_warmup  1h;
        canary_latency response;
    }

    upstream plain {
        canary_release v1 model_v1;
        canary_release v2 model_v2;
    }

    server {
        listen 127.0.0.1:%%PORT_http%%;
        proxy_http_version 1.1;

        location /cold     { proxy_pass http://cold; }
        location /brief    { proxy_pass http://brief; }
        location /response { proxy_pass http://response; }
        location /plain    { proxy_pass http://plain; }
        location /upload   {
            proxy_request_buffering off;
            proxy_pass http://plain;
        }
    }

    %%API%%
EOC

# Whatever takes 20 ms breaks these, and so does one error.
my @strict = (rule(latency_p90_max => 20, confidence => 'off',
                   min_requests => 1),
              rule(latency_avg_max => 20, confidence => 'off',
                   min_requests => 1),
              rule(error_5xx_rate => 0, confidence => 'off',
                   min_requests => 1));


subtest 'times are none while the canary warms up' => sub {
    for my $endpoint (qw(cold response)) {
        $t->start_rollout($endpoint, release => 'v2', steps => [0.5],
                          rules => \@strict);
        $server{$_}->set(delay_ms => 30) for qw(v1 v2);
        is($t->get("/$endpoint")->status, 200, 'answered') for 1 .. 10;

        is_seen($endpoint, [0, 0, 5], "$endpoint: only that they went well");
        my $got = $t->endpoint($endpoint);
        is($got->{phase}, 'progressing', 'nothing is broken');
        is($got->{releases}[1]{latency_ms}, undef,
           'nor are these times shown');
        cmp_ok(timed($endpoint, 'v1'), '<=', 1,
               'nor stable\'s, but for what it did before the canary');
        is(timed($endpoint, 'v2'), 0, 'nor are they in metrics');
        is($_->{attempts}, 5, 'all are counted') for $got->{releases}->@*;
    }
    $server{$_}->set for qw(v1 v2);
};

subtest 'errors count while it warms up' => sub {
    $server{v2}->set(status => 500);
    $t->get('/cold') for 1 .. 4;
    $server{v2}->set;

    like($t->endpoint('cold')->{last_rollout}{reason}, qr/^error_5xx_rate /,
         'and roll back');
};

subtest 'warm-up begins with the first attempt of the canary, and ends' => sub {
    $t->start_rollout('brief', release => 'v2', steps => [0.5],
                      rules => \@strict);
    $server{v2}->set(delay_ms => 30);

    $t->get('/brief') for 1 .. 2;
    is($t->endpoint('brief')->{phase}, 'progressing', 'slow at first');

    $server{v2}->set;
    $t->wait_for(sub {
        $t->get('/brief') for 1 .. 2;
        return $t->endpoint('brief')->{rules}[0]{attempts} > 0;
    }, 30, 'times to count');

    my $rules = $t->endpoint('brief')->{rules};
    cmp_ok($rules->[0]{attempts}, '<', $rules->[2]{attempts},
           'less than there were attempts');

    $server{v2}->set(delay_ms => 200);
    $t->get('/brief') for 1 .. 2 * $rules->[2]{attempts};
    $server{v2}->set;
    $t->wait_for(sub { $t->endpoint('brief')->{phase} eq 'idle' }, 10,
                 'it to be rolled back for what is slow now');
    like($t->endpoint('brief')->{last_rollout}{reason}, qr/^latency_/,
         'for its latency');
};

subtest 'without a warm-up what is slow is slow' => sub {
    $t->start_rollout('plain', release => 'v2', steps => [0.5],
                      rules => \@strict);
    $server{v2}->set(delay_ms => 30);
    $t->get('/plain') for 1 .. 4;
    $server{v2}->set;

    $t->wait_for(sub { $t->endpoint('plain')->{phase} eq 'idle' }, 10,
                 'it to be rolled back');
    like($t->endpoint('plain')->{last_rollout}{reason}, qr/^latency_/,
         'for its latency');
};

subtest 'an upload that is passed on as it comes has no time' => sub {
    $t->start_rollout('plain', release => 'v2', steps => [0.5],
                      rules => \@strict);

    for my $n (1 .. 4) {
        my $client = $t->client;
        $client->connect->write("POST /upload HTTP/1.1\r\nHost: a\r\n"
                                . "Content-Length: 10\r\n\r\nhello");
        $t->wait_for(sub {
            $server{v1}->stats->{open} + $server{v2}->stats->{open}
        }, 10, 'the upload to begin');
        $t->get('/brief') for 1 .. 20;       # while the client takes its time
        is($client->write('world')->finish->status, 200, 'answered');
    }

    is_seen('plain', [0, 0, 2], 'it went well');
    is($t->endpoint('plain')->{phase}, 'progressing', 'and nothing is broken');

    $t->request(uri => '/upload', method => 'GET') for 1 .. 2;
    is_seen('plain', [1, 1, 3], 'what has no body to wait for has a time');

    $server{v2}->set(status => 500);
    for (1 .. 2) {
        my $client = $t->client;
        $client->connect->write("POST /upload HTTP/1.1\r\nHost: a\r\n"
                                . "Content-Length: 10\r\n\r\nhello");
        $client->write('world')->finish;
    }
    $server{v2}->set;
    like($t->endpoint('plain')->{last_rollout}{reason}, qr/^error_5xx_rate /,
         'though its errors count');
};

$t->finish;


# Attempts in the histogram.

sub timed($endpoint, $release) {
    my $name = 'nginx_canary_attempt_duration_seconds_count';
    my $metrics = $t->api_get('metrics')->body;

    return ($metrics =~ /^$name\{endpoint="$endpoint",release="$release"\} (\d+)/m)[0];
}


sub is_seen($endpoint, $attempts, $what) {
    my $got;

    eval {
        $t->wait_for(sub {
            $got = [map { $_->{attempts} } $t->endpoint($endpoint)->{rules}->@*];
            return "@$got" eq "@$attempts";
        }, 5);
    };

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    return is_deeply($got, $attempts, $what);
}
