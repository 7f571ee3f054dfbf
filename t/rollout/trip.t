#!/usr/bin/perl

# A bad canary: the request that breaks a rule is the last one that reaches
# it.

use v5.36;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Test::More;

use Canary::Test;

my $t = Canary::Test->new;
my $v1 = $t->backend('v1');
my $v2 = $t->backend('v2');

$t->start(<<'EOC');
    upstream model_v1 { server 127.0.0.1:%%PORT_v1%%; }
    upstream model_v2 { server 127.0.0.1:%%PORT_v2%%; }

    upstream ep {
        canary_release  v1 model_v1;
        canary_release  v2 model_v2;
        canary_interval 1h;
        canary_step     50%;
        canary_rule     error_5xx_rate 10% min_requests=10 confidence=off;
    }

    upstream halting {
        canary_release      v1 model_v1;
        canary_release      v2 model_v2;
        canary_interval     1h;
        canary_step         50%;
        canary_rule         error_5xx_rate 10% min_requests=10 confidence=off;
        canary_on_violation halt;
    }

    server {
        listen 127.0.0.1:%%PORT_http%% reuseport;
        add_header X-Pid $pid always;

        # The default before nginx 1.29.7.  On a kept connection that closes
        # nginx makes the attempt once more.
        proxy_set_header Connection close;

        location / { proxy_pass http://ep; }

        location /safe {
            proxy_pass http://ep;
            proxy_next_upstream error timeout invalid_header http_500;
        }

        location /again {
            proxy_pass http://ep;
            proxy_intercept_errors on;
            error_page 500 = /second;
        }
        location = /second { internal; proxy_pass http://ep; }

        location /halting { proxy_pass http://halting; }
    }

    %%API%%
EOC

my %bad = (
    'answers 500'              => { status => 500 },
    'closes'                   => { mode => 'close' },
    'resets'                   => { mode => 'reset' },
    'sends a bad header line'  => { mode => 'bad_header' },
    'refuses connections'      => { mode => 'refuse' },
);

for my $kind (sort keys %bad) {
    for my $close (1, 0) {
        my $client = $close ? 'new connections' : 'one connection';

        subtest "a canary that $kind, $client" => sub {
            $v2->set(%{ $bad{$kind} });
            is_tripped_at_ten($close, $kind ne 'refuses connections');
        };
    }
}

subtest 'without a retry exactly ten users see an error' => sub {
    $v2->set(status => 500);
    start();

    my $result = send_requests(60);
    is($result->{statuses}{500}, 10, 'ten errors');
    is($result->{statuses}{200}, 50, 'the others are served');
    is_rolled_back(ten_bad('error_5xx_rate'));
};

subtest 'a canary that turns bad' => sub {
    $v2->set(status => 500);
    $v2->next_requests(9);
    start();

    my $before = $v2->requests;
    send_requests(60);
    is($v2->requests - $before, 11, 'the second error of 11 is too much');
    is_rolled_back(qr/^error_5xx_rate 0\.18\d* > 0\.10* after 11 attempts$/);
};

subtest 'several clients at once' => sub {
    $v2->set(status => 500);
    start();

    my $before = $v2->requests;
    my $result = $t->load(connections => 8, count => 400,
                          request => { uri => '/safe' })->result;

    is($result->{statuses}{200}, 400, 'not one of them sees an error');
    my $reached = $v2->requests - $before;
    cmp_ok($reached, '>=', 10, 'ten attempts at least');
    cmp_ok($reached, '<=', 17, 'and at most those that were on their way');
    is_rolled_back(qr/^error_5xx_rate /);
};

subtest 'error_4xx_rate' => sub {
    $v2->set(status => 404);
    start(rules => [ off_rule('error_4xx_rate') ]);

    my $result = send_requests(60);
    is($result->{statuses}{404}, 10, 'ten users are not found');
    is_rolled_back(ten_bad('error_4xx_rate'));
};

subtest 'error_5xx_rate does not mind 4xx' => sub {
    $v2->set(status => 404);
    start();

    my $result = send_requests(100);
    cmp_ok($result->{statuses}{404}, '>=', 48, 'the canary is still asked');
    is($t->endpoint('ep')->{phase}, 'progressing', 'the rollout goes on');
    $t->verb(ep => 'rollback');
};

subtest 'error_rate counts both' => sub {
    $v2->set(status => 500);
    $v2->next_requests(5, status => 404);
    start(rules => [ off_rule('error_rate') ]);

    my $before = $v2->requests;
    my $result = send_requests(60);
    is($v2->requests - $before, 10, 'ten attempts');
    is($result->{statuses}{404}, 5, 'five of them 404');
    is_rolled_back(ten_bad('error_rate'));
};

subtest 'failed_requests_max' => sub {
    $v2->set(mode => 'close');
    $v2->next_requests(3, status => 500);
    start(rules => [ rule(failed_requests_max => 5) ]);

    my $before = $v2->requests;
    send_requests(60);
    is($v2->requests - $before, 6, 'the sixth failure exceeds a budget of 5');
    is_rolled_back(qr/^failed_requests_max 6 > 5 after 6 attempts$/);
};

subtest 'a request that chose the canary before the rollback' => sub {
    $v2->set(status => 500);
    start(rules => [ rule(failed_requests_max => 2) ]);

    my $before = $v2->requests;
    my $result = send_requests(60, '/again');
    is($v2->requests - $before, 3, 'three attempts by two requests');
    is($result->{statuses}{500}, 1, 'the first one failed twice');
    is($result->{by}{'X-Backend'}{v1}, 59, 'the other ended on stable');
    is_rolled_back(qr/^failed_requests_max 3 > 2 after 3 attempts$/);
};

subtest 'failed_requests_max among good answers' => sub {
    $v2->set(status => 200);
    start(rules => [ rule(failed_requests_max => 5) ]);

    for (1 .. 6) {
        is($t->endpoint('ep')->{phase}, 'progressing', 'not exceeded');
        $v2->next_requests(1, status => 500);
        send_requests(10);
    }

    is_rolled_back(qr/^failed_requests_max 6 > 5 after \d+ attempts$/);
};

subtest 'latency_avg_max' => sub {
    $v2->set(delay_ms => 450);
    start(rules => [ rule(latency_avg_max => 200, min_requests => 10,
                          confidence => 'off') ]);

    my $load = $t->load(connections => 4);
    $t->wait_for(sub { $t->endpoint('ep')->{phase} eq 'idle' }, 20,
                 'the slow canary to be rolled back');
    is($load->stop->{failed}, 0, 'no request is lost');
    is_rolled_back(qr/^latency_avg_max .* after \d+ attempts$/);
};

subtest 'latency_avg_max of a fast canary' => sub {
    $v2->set(delay_ms => 0);
    start(rules => [ rule(latency_avg_max => 5000, min_requests => 10,
                          confidence => 'off') ]);

    send_requests(100);
    $t->wait_for(sub { ($t->endpoint('ep')->{rules}[0]{attempts} // 0) >= 48 },
                 5, 'the attempts to be judged');

    my $endpoint = $t->endpoint('ep');
    is($endpoint->{phase}, 'progressing', 'the rollout goes on');
    is($endpoint->{rules}[0]{verdict}, 'passing', 'the rule passes');
    $t->verb(ep => 'rollback');
};

subtest 'canary_on_violation halt' => sub {
    $v2->set(status => 500);
    is($t->api_post('endpoints/halting/rollout')->status, 201, 'started');
    send_requests(60, '/halting');

    my $endpoint = $t->endpoint('halting');
    is($endpoint->{phase}, 'halted', 'the rollout is halted');
    cmp_ok($endpoint->{weight}, '==', 0.5, 'the weight stays');

    my ($event) = $t->events('halting');
    is($event->{to}{phase}, 'halted', 'an event says so');
    like($event->{reason}, ten_bad('error_5xx_rate'), 'and why');

    my $before = $v2->requests;
    send_requests(100, '/halting');
    cmp_ok(abs($v2->requests - $before - 50), '<=', 2,
           'the canary keeps its share');
    my ($newest) = $t->events('halting');
    is($newest->{id}, $event->{id}, 'nothing more happens');

    is($t->api_post('endpoints/halting/rollout')->status, 409,
       'no start while it is halted');
    $t->verb(halting => 'rollback');
    is($t->endpoint('halting')->{phase}, 'idle', 'until someone acts');
};

$t->finish;


# At 50 %, with the rules of nginx.conf or others.

sub start(%opt) {
    return $t->start_rollout('ep', rules => $opt{rules});
}


# The reason for a rollback when the first ten attempts were bad. The control
# loop judges too, and may do so while the tenth is on its way: then nine of
# ten are known to be bad, which is just as much above 10 %.

sub ten_bad($rule) {
    return qr/^$rule (?:1(?:\.0+)?|0\.90*) > 0\.10* after 10 attempts$/;
}


sub off_rule($name) {
    return rule($name => 0.1, min_requests => 10, confidence => 'off');
}


# One client, by default with a new connection for each request, which makes
# it meet all workers.

sub send_requests($count, $uri = '/', $close = 1) {
    my $result = $t->load(count => $count, close => $close,
                          request => { uri => $uri },
                          by => [qw(X-Backend X-Pid)])->result;

    is($result->{failed}, 0, 'every request is answered');
    is(scalar keys %{ $result->{by}{'X-Pid'} }, $t->workers, 'by all workers')
        if $close && $count >= 50 && !lacks('processes');

    return $result;
}


# $arrives: an attempt is also a request that the backend sees.

sub is_tripped_at_ten($close, $arrives) {
    my ($requests, $totals) = ($v2->requests, $t->totals('ep', 'v2'));

    start();

    my $result = send_requests(60, '/safe', $close);
    is($result->{statuses}{200}, 60, 'no user sees an error');
    is($result->{by}{'X-Backend'}{v1}, 60, 'stable answers them all');

    is_rolled_back(ten_bad('error_5xx_rate'));
    is(attempts_since($totals), 10, 'exactly ten attempts were made');
    is($v2->requests - $requests, 10, 'exactly ten reached the canary')
        if $arrives;

    $result = send_requests(200, '/safe');
    is($result->{by}{'X-Backend'}{v1}, 200, 'then none, in any worker');
    is(attempts_since($totals), 10, 'still ten');

    return;
}


# 5xx answers and failures, which is all that a bad canary does.

sub attempts_since($before) {
    my $now = $t->totals('ep', 'v2');
    my $bad = sub ($totals) {
        return ($totals->{'5xx'} // 0) + ($totals->{failed} // 0);
    };

    is($now->{attempts} - ($before->{attempts} // 0),
       $bad->($now) - $bad->($before), 'all attempts were bad');

    return $bad->($now) - $bad->($before);
}


sub is_rolled_back($reason) {
    my $endpoint = $t->endpoint('ep');
    my $last = $endpoint->{last_rollout};

    is($endpoint->{phase}, 'idle', 'the rollout is over');
    is($endpoint->{stable}, 'v1', 'v1 is still stable');
    cmp_ok($endpoint->{weight}, '==', 0, 'with all traffic');
    is($last->{release}, 'v2', 'last_rollout: the release');
    is($last->{result}, 'rolled_back', 'its result');
    like($last->{reason}, $reason, 'its reason');

    my ($event) = $t->events('ep');
    is($event->{endpoint}, 'ep', 'the event: its endpoint');
    is($event->{from}{phase}, 'progressing', 'from');
    cmp_ok($event->{from}{weight}, '==', 0.5, 'at');
    is($event->{to}{phase}, 'idle', 'to');
    cmp_ok($event->{to}{weight}, '==', 0, 'at');
    like($event->{reason}, $reason, 'for the reason');

    my ($rule, $value, $threshold, $attempts) = $last->{reason}
        =~ /^(\w+) ([\d.]+)\D* > ([\d.]+)\D* after (\d+)/;
    is($event->{actor}{name}, $rule, 'the rule is the actor');
    my $figures = $event->{figures};
    is($figures->{rule}, $rule, 'the figures: rule');
    cmp_ok(abs($figures->{value} - $value), '<', 0.01 * $value, 'value');
    cmp_ok($figures->{threshold}, '==', $threshold, 'threshold');
    is($figures->{attempts}, $attempts, 'attempts');

    return;
}
