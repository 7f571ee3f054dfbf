#!/usr/bin/perl

# What the time of an attempt ends with, and whose time counts.

use v5.36;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Test::More;

use Canary::Test;

my $t = Canary::Test->new;
my $v1 = $t->backend('v1');
my $v2 = $t->backend('v2');
my $grpc = $t->has('http_grpc') && $t->backend('calls', protocol => 'grpc');

my $http = <<'EOC';
    upstream model_v1 { server 127.0.0.1:%%PORT_v1%%; }
    upstream model_v2 { server 127.0.0.1:%%PORT_v2%%; }

    upstream plain {
        canary_release v1 model_v1;
        canary_release v2 model_v2;
    }
    upstream header {
        canary_release  v1 model_v1;
        canary_release  v2 model_v2;
        canary_latency  header;
        canary_fallback off;
    }
    upstream response {
        canary_release  v1 model_v1;
        canary_release  v2 model_v2;
        canary_latency  response;
        canary_fallback off;
    }

    %%GRPC%%

    server {
        listen 127.0.0.1:%%PORT_http%%;
        proxy_http_version 1.1;
        proxy_set_header Connection "";

        location /plain    { proxy_pass http://plain; }
        location /header   { proxy_pass http://header; }
        location /response { proxy_pass http://response; }

        location /header/timeout {
            proxy_pass http://header;
            proxy_read_timeout 250ms;
        }
        location /response/timeout {
            proxy_pass http://response;
            proxy_read_timeout 250ms;
        }
        location /header/stream {
            proxy_pass http://header;
            proxy_buffering off;
        }
        location /response/stream {
            proxy_pass http://response;
            proxy_buffering off;
        }
        location /response/upgrade {
            proxy_pass http://response;
            proxy_set_header Connection upgrade;
            proxy_set_header Upgrade $http_upgrade;
        }
        location /header/intercept {
            proxy_pass http://header;
            proxy_intercept_errors on;
            error_page 500 =200 /sorry;
        }
        location = /sorry { return 200 sorry; }

        %%CALLS%%
    }

    %%API%%
EOC

my ($upstreams, $locations) = ('', '');

if ($grpc) {
    $upstreams = <<'EOC';
    upstream calls { server 127.0.0.1:%%PORT_calls%%; }
    upstream calls_ep {
        canary_release  v1 calls;
        canary_release  v2 calls;
        canary_latency  response;
        canary_fallback off;
    }
EOC
    $locations = '        location /calls { grpc_pass grpc://calls_ep; }';
}

$http =~ s/%%GRPC%%/$upstreams/;
$http =~ s/%%CALLS%%/$locations/;
$t->start($http);

# A header at once and a body a second later. The limits are far from both.
my %slow_body = (body_delay_ms => 1000);
my %limit = (confidence => 'off', min_requests => 4);


subtest 'a slow body' => sub {
    $v2->set(%slow_body);
    start($_, latency_avg_max => 500, %limit) for qw(plain header response);

    # The times of both kinds, side by side.
    my @loads = map {
        $t->load(connections => 4, count => 4, request => { uri => "/$_" })
    } qw(plain header response);
    is($_->result->{statuses}{200}, 4, 'all are answered') for @loads;

    $t->wait_for(sub { $t->endpoint('response')->{phase} eq 'idle' }, 5,
                 'canary_latency response to condemn it');
    like($t->endpoint('response')->{last_rollout}{reason},
         qr/^latency_avg_max \d{3,4}\S* > 500\S* after 4 attempts$/,
         'the reason tells the time');

    for my $endpoint (qw(plain header)) {
        my $rule = rule_with($endpoint, 4);

        is($rule->{attempts}, 4, "$endpoint: all four count");
        cmp_ok($rule->{value}, '<', 500, 'by their header');
        is($rule->{verdict}, 'passing', 'it passes');
        is($t->endpoint($endpoint)->{phase}, 'baking', 'it goes on');
    }
    roll_back();
};

subtest 'a slow header' => sub {
    $v2->set(delay_ms => 600);

    for my $endpoint (qw(header response)) {
        start($endpoint, latency_avg_max => 300, %limit);
        $t->load(connections => 4, count => 4,
                 request => { uri => "/$endpoint" })->result;
        $t->wait_for(sub { $t->endpoint($endpoint)->{phase} eq 'idle' }, 5,
                     "$endpoint to condemn it");
        pass("$endpoint: is slow to both");
    }
    roll_back();
};

subtest 'what the release is told to take' => sub {
    $v2->set(%slow_body);
    start($_) for qw(header response);

    my @loads = map {
        $t->load(connections => 2, count => 2, request => { uri => "/$_" })
    } qw(header response);
    $_->result for @loads;
    rule_with($_, 2) for qw(header response);

    my ($header, $response) = map {
        $t->release($_ => 'v2')->{latency_ms}
    } qw(header response);
    cmp_ok($response->{avg}, '>=', 1000, 'response: the whole');
    cmp_ok($header->{avg}, '<', $response->{avg}, 'header: less');
    roll_back();
};

subtest 'a tunnel, by its header' => sub {
    $v2->set(mode => 'upgrade');
    start('response');
    my $before = $t->totals(response => 'v2');

    my $others = $v2->stats->{open};

    my $client = $t->client;
    $client->start(uri => '/response/upgrade',
                   headers => { Connection => 'upgrade', Upgrade => 'echo' });
    is($client->finish->status, 101, 'it is open');

    my $open = rule_with('response', 1);
    is($open->{attempts}, 1, 'and has been counted, with its time');

    is($client->write('hello')->read_bytes(5), 'hello', 'it works');
    select undef, undef, undef, 0.3;
    $client->close;
    $t->wait_for(sub { $v2->stats->{open} <= $others }, 5,
                 'the tunnel to end');

    is_judged_again('response', 1, $open->{value},
                    'its end changes nothing of that');
    $before->{$_}++ for qw(attempts 1xx);
    $t->is_totals(response => 'v2', $before, 'counted once');
    roll_back();
};

subtest 'a client that gave up after a while' => sub {
    $v2->set(mode => 'hang');

    for my $endpoint (qw(header response)) {
        start($endpoint, latency_avg_max => 100, confidence => 'off',
              min_requests => 1000);
        my $before = $t->totals($endpoint => 'v2');

        leave("/$endpoint", 0.3);
        my $rule = rule_with($endpoint, 1);
        is($rule->{attempts}, 1, "$endpoint: a slow attempt");
        cmp_ok($rule->{value}, '>=', 299, 'as long as it waited');

        $before->{$_}++ for qw(attempts aborted);
        $t->is_totals($endpoint => 'v2', $before, 'counted as aborted');
    }

    start_again('header', latency_avg_max => 100, confidence => 'off',
                min_requests => 1);
    leave('/header', 0.3);
    $t->wait_for(sub { $t->endpoint('header')->{phase} eq 'idle' }, 5,
                 'it to condemn the canary');
    like($t->endpoint('header')->{last_rollout}{reason},
         qr/^latency_avg_max .* after 1 attempt/, 'which it does');
    roll_back();
};

subtest 'a client that gave up soon' => sub {
    $v2->set(mode => 'hang');
    start('header', latency_avg_max => 60_000, confidence => 'off',
          min_requests => 1000);
    my $before = $t->totals(header => 'v2');

    leave('/header', 0) for 1 .. 3;
    $before->{$_} += 3 for qw(attempts aborted);
    $t->is_totals(header => 'v2', $before, 'counted as aborted');

    # Looked at together with one that counts.
    $v2->set;
    $t->get('/header');
    is(rule_with('header', 1)->{attempts}, 1, 'no evidence');
    roll_back();
};

subtest 'without a latency rule no wait is too long' => sub {
    $v2->set(mode => 'hang');
    $t->start_rollout('header', steps => [1],
                      rules => [ rule(error_rate => 0.5, %limit) ]);

    leave('/header', 0.2);
    $v2->set;
    $t->get('/header');
    is(rule_with('header', 1)->{attempts}, 1, 'no evidence');
    roll_back();
};

subtest 'a client that left in the body' => sub {
    $v2->set(mode => 'hang_body');
    start($_) for qw(header response);
    my $others = $v2->stats->{open};

    for my $endpoint (qw(header response)) {
        my $client = $t->client;

        $client->start(uri => "/$endpoint/stream");
        is(length $client->read_bytes(500), 500, 'a part of it came');
        $client->close;
    }
    is(rule_with('header', 1)->{attempts}, 1, 'header: has its time');
    $t->wait_for(sub { $v2->stats->{open} <= $others }, 5, 'the ends');

    # A whole response counts, the other one does not.
    $v2->set;
    $t->get('/response');
    is(rule_with('response', 1)->{attempts}, 1,
       'response: the time of a client is not that of the release');
    roll_back();
};

subtest 'failures' => sub {
    $v2->set(mode => 'hang');
    start($_) for qw(header response);

    for my $endpoint (qw(header response)) {
        is($t->get("/$endpoint/timeout")->status, 504, 'a timeout');
        my $rule = rule_with($endpoint, 1);
        is($rule->{attempts}, 1, "$endpoint: a timeout has a time");
        cmp_ok($rule->{value}, '>=', 150, 'its own, about');
    }

    for my $behaviour ({ mode => 'close' }, { mode => 'reset' },
                       { mode => 'bad_header' })
    {
        $v2->set(%$behaviour, delay_ms => 50);
        is($t->get("/$_")->status, 502, $behaviour->{mode})
            for qw(header response);
    }
    $v2->set;
    $t->get("/$_") for qw(header response);
    is(rule_with($_, 2)->{attempts}, 2,
       "$_: how long other failures took says nothing")
        for qw(header response);
    roll_back();
};

subtest 'an error that nginx hides has its time' => sub {
    $v2->set(status => 500, delay_ms => 200);
    start('header');
    is($t->get('/header/intercept')->body, 'sorry', 'hidden');

    my $rule = rule_with('header', 1);
    is($rule->{attempts}, 1, 'and measured');
    cmp_ok($rule->{value}, '>=', 199, 'as it was');
    roll_back();
};

subtest 'microseconds' => sub {
    $v1->set;
    $v2->set;
    start('header');
    $t->load(count => 30, connections => 2, request => { uri => '/header' })
        ->result;
    rule_with('header', 30);

    my $latency = $t->release(header => 'v2')->{latency_ms};
    cmp_ok($latency->{avg}, '>', 0, "a mean of $latency->{avg} ms");
    cmp_ok($latency->{avg}, '!=', int $latency->{avg}, 'not a whole number');
    roll_back();
};

subtest 'a call' => sub {
    needs('http_grpc');

    $grpc->set(body_delay_ms => 400);
    start('calls_ep');
    my $response = $t->get('/calls', method => 'POST', body => "\0" x 5);
    is($response->status, 200, 'answered');

    my $rule = rule_with('calls_ep', 1);
    is($rule->{attempts}, 1, 'counted');
    cmp_ok($rule->{value}, '>=', 399, 'with its message and trailers');
    roll_back();
};

$t->finish;


# All goes to the canary. Without a rule: one that is never broken.

sub start($endpoint, @rule) {
    @rule = (latency_avg_max => 60_000, confidence => 'off',
             min_requests => 1_000_000) unless @rule;

    return $t->start_rollout($endpoint, steps => [1],
                             rules => [ rule(@rule) ]);
}


sub start_again($endpoint, @rule) {
    $t->verb($endpoint => 'rollback');

    return start($endpoint, @rule);
}


sub roll_back() {
    for my $endpoint (qw(plain header response), $grpc ? 'calls_ep' : ()) {
        $t->verb($endpoint => 'rollback')
            if $t->endpoint($endpoint)->{phase} ne 'idle';
    }

    return;
}


# The first rule of an endpoint, when it has seen so many attempts, or at last.

sub rule_with($endpoint, $attempts) {
    my $rule;

    eval {
        $t->wait_for(sub {
            $rule = $t->endpoint($endpoint)->{rules}[0] // {};
            return ($rule->{attempts} // 0) >= $attempts;
        }, 5)
    };

    return $rule;
}


# Two more judgements have passed, as a heartbeat tells, and still the same.

sub is_judged_again($endpoint, $attempts, $value, $name) {
    my $beats = 0;
    my $last = 0;

    $t->wait_for(sub {
        my $age = $t->endpoint($endpoint)->{controller}{heartbeat_age_ms};

        $beats++ if $age < $last;
        $last = $age;
        return $beats >= 2;
    }, 10, 'two heartbeats');

    my $rule = $t->endpoint($endpoint)->{rules}[0];
    is($rule->{attempts}, $attempts, $name);

    return cmp_ok($rule->{value}, '==', $value, 'nor its time');
}


# A client that leaves when its request has been with the backend that long.

sub leave($uri, $seconds) {
    my $before = $v2->requests;
    my $gone = $v2->stats->{peer_closed};
    my $client = $t->client;

    $client->start(uri => $uri);
    $t->wait_for(sub { $v2->requests > $before }, 5, 'the request to arrive');
    select undef, undef, undef, $seconds if $seconds;
    $client->close;

    return $t->wait_for(sub { $v2->stats->{peer_closed} > $gone }, 5,
                        'nginx to give it up');
}
