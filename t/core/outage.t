#!/usr/bin/perl

# An outage of both releases, which is not the canary's fault: the rollout
# holds, and goes on afterwards.

use v5.36;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Test::More;

use Canary::Test;

my $t = Canary::Test->new;
my $v1 = $t->backend('v1');
my $v2 = $t->backend('v2');

my @endpoints = qw(errors slow spent all);
my @upstreams = map { <<~EOC } @endpoints;
    upstream $_ {
        canary_release  v1 model_v1;
        canary_release  v2 model_v2;
    }
    EOC
my @locations = map { "location /$_ { proxy_pass http://$_; }" } @endpoints;

$t->start(<<"EOC");
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

my %rules = (
    errors => [ rule(error_5xx_rate => 0.1, burst_seconds => 0),
                rule(error_rate => 0.2) ],
    slow   => [ rule(latency_p90_max => 300) ],
    spent  => [ rule(error_5xx_rate => 0.1), rule(failed_requests_max => 40) ],
    all    => [ rule(error_5xx_rate => 0.1) ],
);
my %load;

for my $endpoint (@endpoints) {
    $t->start_rollout($endpoint, rules => $rules{$endpoint}, interval => 600,
                      bake => $endpoint eq 'all' ? 3600 : 0,
                      steps => [ $endpoint eq 'all' ? 0.999999 : 0.1 ]);
    $load{$endpoint} = $t->load(rate => 200,
                                connections => $endpoint eq 'slow' ? 32 : 12,
                                request => { uri => "/$endpoint" });
}
$t->verb(all => 'advance');
$load{$_}->wait_requests(100) for @endpoints;

both(status => 500);
$_->on('/slow', status => 500, delay_ms => 450) for $v1, $v2;

for my $case ([ 'errors', 'error_5xx_rate', 0.1, qr/[\d.]+/ ],
              [ 'slow', 'latency_p90_max', 300, qr/[\d.]+% above it/ ])
{
    my ($endpoint, $rule, $threshold, $value) = @$case;

    subtest "$endpoint: it holds" => sub {
        $t->wait_for(sub { holdings($endpoint) }, 10, 'the hold');
        my ($holding) = holdings($endpoint);
        my $stable = $holding->{figures}{stable};

        like($holding->{reason}, qr/^holding:\ $rule\ .*>\ $threshold.*,\ but
             \ stable\ breaks\ it\ too\ with\ $value\ in\ the\ last
             \ [\d.]+s$/x, 'an event says so');
        is($holding->{actor}{name}, $rule, 'by the rule');
        is_deeply($holding->{to}, $holding->{from}, 'it changes nothing');
        is_deeply($holding->{to}, { phase => 'progressing', weight => 0.1 },
                  'the weight stays');
        my ($broken) = @{ $holding->{figures}{rules} };
        is($broken->{verdict}, 'failing', 'with what the canary did');
        cmp_ok($broken->{attempts}, '>', 0, 'in its attempts');
        cmp_ok($stable->{attempts}, '>=', 3, 'and what stable did');
        cmp_ok($stable->{seconds}, '<=', 10, 'of late');

        my $before = $t->endpoint($endpoint);
        my $waiting = $before->{waiting_for};
        is($waiting->{rule}, $rule, 'it waits for this rule');
        like($waiting->{reason}, qr/^stable breaks $rule too/, 'and says so');

        $load{$endpoint}->wait_requests(100);
        my $after = $t->endpoint($endpoint);
        is($after->{$_}, $before->{$_}, "while it lasts: $_")
            for qw(phase weight generation canary);
    };
}

subtest 'a budget is spent all the same' => sub {
    wait_until_idle('spent');
    like($t->endpoint('spent')->{last_rollout}{reason},
         qr/^failed_requests_max 41 > 40 after/, 'as it says');
};

subtest 'at 100 % there is nobody to blame it on' => sub {
    wait_until_idle('all');
    like($t->endpoint('all')->{last_rollout}{reason}, qr/^error_5xx_rate/,
         'it is rolled back');
    is(scalar holdings('all'), 0, 'without a hold');
};

both();
$_->on('/slow') for $v1, $v2;

for my $endpoint (qw(errors slow)) {
    subtest "$endpoint: it goes on" => sub {
        my $now = $t->wait_for(sub {
            my $now = $t->endpoint($endpoint);
            return $now->{waiting_for} ? 0 : $now;
        }, 25, 'the end of the hold');

        is($now->{rules}[0]{verdict}, 'passing', 'the rule passes');
        cmp_ok($now->{rules}[0]{value}, '<', $endpoint eq 'slow' ? 300 : 1e-9,
               'nothing of the outage counts');
        cmp_ok($t->totals($endpoint => 'v2')->{'5xx'}, '>=', 10,
               'but in the totals');
        is(scalar holdings($endpoint), 1, 'it was one hold');

        $t->api_patch("endpoints/$endpoint/rollout", { canary_strategy => {
            progress_interval_seconds => 0.1, progress_steps => [0.1, 0.5],
        } });
        wait_until_idle($endpoint);
        is($t->endpoint($endpoint)->{last_rollout}{result}, 'promoted',
           'to its promotion');
    };
}

subtest 'what the canary does alone is another thing' => sub {
    $t->verb($_ => 'rollback')
        for grep { $t->endpoint($_)->{phase} ne 'idle' } @endpoints;
    $t->start_rollout('slow', rules => $rules{slow}, steps => [0.5]);

    # v1 is the canary now.

    $v1->on('/slow', delay_ms => 450);
    wait_until_idle('slow');
    is($t->endpoint('slow')->{last_rollout}{result}, 'rolled_back',
       'it is rolled back');
    is(scalar holdings('slow'), 1, 'without a hold');
};

is($load{$_}->stop->{failed}, 0, "$_: no request is lost") for @endpoints;

$t->finish;


sub both(%behaviour) {
    $_->set(%behaviour) for $v1, $v2;

    return;
}


sub holdings($endpoint) {
    return grep { $_->{reason} =~ /^holding/ } $t->events($endpoint);
}


sub wait_until_idle($endpoint) {
    return $t->wait_for(sub { $t->endpoint($endpoint)->{phase} eq 'idle' }, 30,
                        "the rollout of $endpoint to end");
}
