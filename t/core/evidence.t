#!/usr/bin/perl

# Which evidence counts: of a window, of new tests, and what comes late.

use v5.36;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Test::More;

use Canary::Test;

my $t = Canary::Test->new;
my $v1 = $t->backend('v1');
my $v2 = $t->backend('v2');

my @endpoints = qw(late window whole forgets holds advances patched halted
                   relative);
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
        proxy_next_upstream error timeout http_500;
        proxy_read_timeout 13500ms;
        @locations
    }

    %%API%%
EOC

$v2->on('/late', mode => 'hang');
$v2->on("/$_/bad", status => 500) for @endpoints;

# What one rule needs to condemn a dead canary: 4 attempts.

my %at_once = (burst_seconds => 0);
my $rule = rule(error_5xx_rate => 0.1, %at_once);


# Longer than any cohort is kept for: looked at in the end.

start('late', rules => [ rule(failed_requests_max => 5) ]);
my $before = $v2->requests;
my @late = map { $t->client->start(uri => '/late') } 1 .. 12;
$t->wait_for(sub { $v2->requests - $before == 6 }, 10, '6 that hang');
is_deeply($t->totals(late => 'v2'), {}, 'nothing has ended yet');
is(phase('late'), 'progressing', 'nor broken');


subtest 'a window forgets what was good' => sub {
    my %off = (confidence => 'off', min_requests => 20);

    start('window', rules => [ rule(error_5xx_rate => 0.2, %off,
                                    window_seconds => 1) ]);
    start('whole', rules => [ rule(error_5xx_rate => 0.2, %off) ]);
    is_served(requests("$_/", 1000)) for qw(whole window);

    $t->wait_for(sub { judged('window') == 0 }, 10, 'the window to pass');
    is(judged('whole'), 500, 'without one all counts');

    is_served(requests('whole/bad', 60));
    is(phase('whole'), 'progressing', '30 of 530 are not too many');

    is_served(requests('window/bad', 60));
    is_rolled_back('window', qr/^error_5xx_rate (?:0\.95|1) > 0\.2 after 20 attempts$/);
    $t->verb(whole => 'rollback');
};

subtest 'and what was bad' => sub {
    start('forgets', rules => [ rule(error_5xx_rate => 0.2,
                                     window_seconds => 1,
                                     confidence => 'off',
                                     min_requests => 20) ]);
    is_served(requests('forgets/bad', 30));
    is(phase('forgets'), 'progressing', '15 are too few to tell');

    $t->wait_for(sub { judged('forgets') == 0 }, 10, 'the window to pass');
    my $load = load('forgets/', rate => 200);
    $t->wait_for(sub { verdict('forgets') eq 'passing' }, 10, 'new attempts');
    is($t->endpoint('forgets')->{rules}[0]{value}, 0, 'only they count');
    is_served($load->stop);
    $t->verb(forgets => 'rollback');
};


# Too few attempts for a proof.

subtest 'on_undecided' => sub {
    for my $endpoint (qw(holds advances)) {
        start($endpoint, steps => [0.25, 0.5], bake => 0,
              on_undecided => $endpoint eq 'holds' ? 'hold' : 'advance',
              rules => [ $rule ]);
        is_served(requests("$endpoint/", 40));
        patch($endpoint, progress_interval_seconds => 0.1);
    }

    $t->wait_for(sub { $t->endpoint('advances')->{step} == 2 }, 10,
                 'a step without a proof');
    my ($event) = $t->events('advances');
    is($event->{reason}, 'no rule failed after 10 attempts', 'its reason');
    is($event->{figures}{rules}[0]{verdict}, 'undecided', 'the verdict');

    my $endpoint = $t->wait_for(sub {
        my $now = $t->endpoint('holds');
        return $now->{waiting_for} ? $now : 0;
    }, 10, 'the end of the interval');
    is($endpoint->{step}, 1, 'or none');
    is($endpoint->{next_step_in_seconds}, 0, 'although it is time');
    cmp_ok(delete $endpoint->{waiting_for}{seconds}, '>', 0, 'for how long');
    is_deeply($endpoint->{waiting_for},
              { rule => 'error_5xx_rate', attempts => 27,
                reason => '27 more clean attempts until error_5xx_rate can '
                          . 'pass' }, 'and what is missing');

    is_served(requests('advances/', 2));
    $t->wait_for(sub { phase('advances') eq 'baking' }, 10, 'the last step');
    is_served(requests('advances/', 10));
    $endpoint = $t->wait_for(sub {
        my $now = $t->endpoint('advances');
        return ($now->{waiting_for}{attempts} // 0) == 27 ? $now : 0;
    });
    is($endpoint->{phase}, 'baking', 'but no promotion');

    is_served(requests('advances/', 27));
    wait_until_idle('advances');
    is($t->endpoint('advances')->{last_rollout}{reason},
       'every rule passed after 37 attempts', 'before the proof');
    $t->verb(holds => 'rollback');
};


# Tests.

subtest 'other rules begin new tests' => sub {
    start('patched', rules => [ $rule ]);
    is_served(requests('patched/bad', 6));

    is(patch('patched', rules => [ rule(error_5xx_rate => 0.09, %at_once) ])
       ->{rules}[0]{attempts}, 0, 'nothing is known');
    is_served(requests('patched/bad', 6));
    is(phase('patched'), 'progressing', '3 and 3 bad attempts');
    is_served(requests('patched/bad', 2));
    is_rolled_back('patched', qr/^error_5xx_rate 1 > 0\.09 after 4 attempts$/);
};

subtest 'the same rules do not' => sub {
    start('patched', rules => [ $rule ]);
    is_served(requests('patched/bad', 6));
    is(patch('patched', rules => [ $rule ], bake_seconds => 7)
       ->{rules}[0]{attempts}, 3, 'what is known stays');
    is_served(requests('patched/bad', 2));
    is_rolled_back('patched', qr/^error_5xx_rate 1 > 0\.1 after 4 attempts$/);
};

subtest 'a step does not either' => sub {
    start('patched', rules => [ $rule ], steps => [0.5, 0.6]);
    is_served(requests('patched/bad', 6));
    is($t->verb(patched => 'advance')->{rules}[0]{attempts}, 0,
       'its figures are new');
    my $before = $t->totals(patched => 'v2')->{'5xx'};
    is_served(requests('patched/bad', 30));
    cmp_ok($t->totals(patched => 'v2')->{'5xx'} - $before, '<', 4,
           'it takes less than 4 more');
    is_rolled_back('patched', qr/^error_5xx_rate 1 > 0\.1 after \d attempts$/);
};

subtest 'a halted rollout' => sub {
    start('halted', rules => [ $rule ], on_violation => 'halt',
          steps => [0.5, 0.6]);

    for my $verb (qw(resume advance)) {
        is_served(requests('halted/bad', 8));
        is(phase('halted'), 'halted', '4 bad attempts halt it');
        like(($t->events('halted'))[0]{reason},
             qr/^error_5xx_rate 1 > 0\.1 after 4 attempts$/, 'the reason');

        my $endpoint = $t->verb(halted => $verb);
        is($endpoint->{phase}, 'progressing', "$verb lets it go on");
        is($endpoint->{rules}[0]{attempts}, 0, 'with new figures');
        is_served(requests('halted/bad', 4));
        is(phase('halted'), 'progressing', 'and new tests');
        last if $verb eq 'advance';

        # 2 of 4 have been, 2 more halt it again.

        is_served(requests('halted/bad', 4));
        is(phase('halted'), 'halted', 'which can fail');
        $t->verb(halted => 'resume');
    }
    $t->verb(halted => 'rollback');
};

subtest 'a comparison keeps its verdict at 100 %' => sub {
    start('relative', steps => [0.5], interval => 0.1, bake => 0,
          rules => [ rule(error_5xx_rate => 0.01, baseline => 'stable') ]);

    my $load = load('relative/', connections => 2, rate => 500);
    wait_until_idle('relative');
    is_served($load->stop);

    my ($promoted, $baking) = $t->events('relative');
    is($promoted->{to}{phase}, 'idle', 'promoted');
    is($promoted->{figures}{rules}[0]{verdict}, 'passing', 'the verdict');
    is($baking->{figures}{rules}[0]{verdict}, 'passing', 'is the one before');
};

subtest 'what hangs for long is counted when it ends' => sub {
    $t->wait_for(sub { ($t->totals(late => 'v2')->{timeouts} // 0) == 6 }, 20,
                 'the timeouts');
    is($_->finish->status, 200, 'answered by stable') for @late;

    is_rolled_back('late', qr/^failed_requests_max 6 > 5 after \d+ attempts$/);
};

$t->finish;


sub start($endpoint, %opt) {
    return $t->start_rollout($endpoint, interval => 600, %opt);
}


sub patch($endpoint, %parts) {
    my $response = $t->api_patch("endpoints/$endpoint/rollout",
                                 { canary_strategy => \%parts });

    is($response->status, 200, 'changed') or diag($response->body);

    return $response->json;
}


sub load($uri, %opt) {
    return $t->load(request => { uri => "/$uri" }, %opt);
}


sub requests($uri, $n) { return load($uri, count => $n)->result }


# No request was lost and none had an error.

sub is_served($result) {
    local $Test::Builder::Level = $Test::Builder::Level + 1;

    is($result->{failed}, 0, 'no request is lost');

    return is_deeply([ keys %{ $result->{statuses} } ], [200],
                     'no user sees an error');
}


sub phase($endpoint) { return $t->endpoint($endpoint)->{phase} }
sub judged($endpoint) { return $t->endpoint($endpoint)->{rules}[0]{attempts} }
sub verdict($endpoint) { return $t->endpoint($endpoint)->{rules}[0]{verdict} }


sub wait_until_idle($endpoint) {
    return $t->wait_for(sub { phase($endpoint) eq 'idle' }, 20,
                        "the rollout of $endpoint to end");
}


sub is_rolled_back($endpoint, $reason) {
    my $now = $t->endpoint($endpoint);

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    is($now->{phase}, 'idle', 'the rollout is over');
    is($now->{last_rollout}{result}, 'rolled_back', 'rolled back');
    like($now->{last_rollout}{reason}, $reason, 'the reason');

    return;
}
