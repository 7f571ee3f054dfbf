#!/usr/bin/perl

# How long an attempt may be in flight before a canary cannot pass by it.

use v5.36;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Test::More;

use Canary::Test;

my $t = Canary::Test->new;
my $v1 = $t->backend('v1');
my $v2 = $t->backend('v2');

my @endpoints = qw(hangs plain kept patched);
my @locations = map { "location /$_ { proxy_pass http://$_; }" } @endpoints;

sub configuration($patience) {
    my @upstreams = map { <<~EOC } @endpoints;
        upstream $_ {
            canary_release   v1 model_v1;
            canary_release   v2 model_v2;
            canary_patience  $patience;
        }
        EOC

    return <<"EOC";
        upstream model_v1 { server 127.0.0.1:%%PORT_v1%%; keepalive 64; }
        upstream model_v2 { server 127.0.0.1:%%PORT_v2%%; keepalive 64; }

        @upstreams

        server {
            listen 127.0.0.1:%%PORT_http%% reuseport;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            @locations
        }

        %%API%%
EOC
}

$t->start(configuration('1m'));

my %rules = (
    hangs => rule(error_5xx_rate => 0.1),
    plain => rule(error_5xx_rate => 0.1, confidence => 'off'),
);


# Some hang, and the others are quick: with a minute of patience.

for my $endpoint (sort keys %rules) {
    subtest "$endpoint: a canary that hangs in part does not pass" => sub {
        my $started = $t->start_rollout($endpoint, interval => 600, bake => 0,
                                        rules => [ $rules{$endpoint} ]);
        cmp_ok(patience($started), '==', 60, 'it has patience');

        $v2->on("/$endpoint/hang", mode => 'hang');
        my $before = $v2->requests;
        my @hang = map { $t->client->start(uri => "/$endpoint/hang") } 1 .. 60;
        $t->wait_for(sub { $v2->requests - $before == 30 }, 20, '30 to hang');

        is_served($t->load(request => { uri => "/$endpoint/" },
                           count => 200)->result);

        my $reason = $t->wait_for(sub {
            my $waiting = $t->endpoint($endpoint)->{waiting_for};
            return ($waiting && $waiting->{reason} =~ /: 30 /)
                   ? $waiting->{reason} : 0;
        }, 30, 'all that hang to count');

        like($reason,
             qr/^\d+ more clean attempts? until error_5xx_rate can pass: 30 count as bad until they end, in flight for longer than canary_patience \(60s\) or than any that ended in this step$/,
             'it is told');

        interval($endpoint, 0.1);
        $t->wait_for(sub {
            $t->endpoint($endpoint)->{next_step_in_seconds} == 0;
        }, 10, 'the end of the interval');
        $t->wait_for(sub { loops() }, 10, 'a look');

        my $now = $t->endpoint($endpoint);
        is($now->{step}, 1, 'no step is taken');
        is($now->{rules}[0]{verdict}, 'undecided', 'it does not pass');
        is($now->{rules}[0]{value}, 0, 'nor is it condemned');

        # Their clients leave: they were no evidence of anything.

        @hang = ();
        $t->wait_for(sub { $t->endpoint($endpoint)->{weight} == 1 }, 20,
                     'a step without them');
        $t->verb($endpoint => 'rollback');
    };
}


subtest 'a rollout keeps its patience' => sub {
    my $rule = rule(error_5xx_rate => 0.1);

    $t->start_rollout('kept', rules => [ $rule ]);
    $t->reload(configuration('20s'));

    cmp_ok(patience($t->endpoint('kept')), '==', 60, 'over a reload');
    cmp_ok(patience($t->endpoint('patched')), '==', 20, 'the next has another');

    $t->renew(configuration('30s'));
    cmp_ok(patience($t->endpoint('kept')), '==', 60, 'over a restart');

    my $response = $t->api_patch('endpoints/kept/rollout',
                         { canary_strategy => { patience_seconds => 600 } });
    is($response->status, 200, 'it is changed');
    cmp_ok(patience($response->json), '==', 600, 'by a PATCH');

    for my $wrong (9.9, 600.1, 0, '10s') {
        $response = $t->api_patch('endpoints/kept/rollout',
                       { canary_strategy => { patience_seconds => $wrong } });
        is($response->status, 400, "not to $wrong");
        is($response->json->{errors}[0]{pointer},
           '/canary_strategy/patience_seconds', 'which is named');
    }
};

subtest 'another patience begins new tests' => sub {
    $t->start_rollout('patched', rules => [ rule(error_5xx_rate => 0.1) ]);
    is_served($t->load(request => { uri => '/patched/' }, count => 20)
              ->result);
    is($t->endpoint('patched')->{rules}[0]{attempts}, 10, 'what is known');

    for my $change ([30, 10], [40, 0]) {
        my ($seconds, $attempts) = @$change;

        is($t->api_patch('endpoints/patched/rollout',
                         { canary_strategy
                               => { patience_seconds => $seconds } })
           ->json->{rules}[0]{attempts}, $attempts, "with $seconds s");
    }
};

$t->finish;


sub patience($endpoint) {
    return $endpoint->{strategy}{canary_strategy}{patience_seconds};
}


sub interval($endpoint, $seconds) {
    my $response = $t->api_patch("endpoints/$endpoint/rollout",
        { canary_strategy => { progress_interval_seconds => $seconds } });

    return is($response->status, 200, "an interval of $seconds s");
}


# The control loop has looked since the last call.

sub loops() {
    state $last = 0;

    my $age = $t->endpoint('hangs')->{controller}{heartbeat_age_ms};
    my $looked = $age < $last;
    $last = $age;

    return $looked;
}


sub is_served($result) {
    local $Test::Builder::Level = $Test::Builder::Level + 1;

    is($result->{failed}, 0, 'no request is lost');

    return is_deeply([ keys %{ $result->{statuses} } ], [200],
                     'no user sees an error');
}
