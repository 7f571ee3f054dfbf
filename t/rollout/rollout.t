#!/usr/bin/perl

# The life of a rollout: when it takes a step and when it waits, how it ends,
# and what people can do with it.

use v5.36;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Test::More;

use Canary::Test;

my $t = Canary::Test->new;
my $v1 = $t->backend('v1');
my $v2 = $t->backend('v2');
my $v3 = $t->backend('v3');

$v2->on('/slow/', delay_ms => 400);
$v2->on('/calm/slow', delay_ms => 60_000);
$v2->on('/calm/error', status => 500);
$v2->on('/hung/hang', mode => 'hang');
$v2->on('/past/late', status => 500, delay_ms => 1000);

# Each of these is an endpoint at the location of its name, so that what one
# test leaves behind is none of the next one's business.

my @endpoints = qw(
    advancing baking bad_baking calm clock deciding direct halting hung
    linear lonely past patched paused schedule served slow swapping verbs
);

$t->start(config());

# Attempts that hang: they are looked at when they are old enough.

my @hung = hang();

subtest 'a rollout under load promotes by itself' => sub {
    is($t->endpoint('swapping')->{last_rollout}, undef, 'the first one');

    my $load = load('/swapping/');
    my $started = start('swapping');
    is($started->{canary}, 'v2', 'v2 is the canary');
    is($started->{stable}, 'v1', 'of v1');
    is($started->{step}, 1, 'at the first step');
    cmp_ok($started->{weight}, '==', 0.5, 'of 50 %');
    is_deeply($started->{steps}, [0.5, 1], 'of two');

    wait_until_idle('swapping');
    is_served($load);

    is_history('swapping', 'progressing 0.5', 'baking 1', 'idle 0');

    my $endpoint = $t->endpoint('swapping');
    is($endpoint->{stable}, 'v2', 'v2 is stable');
    is($endpoint->{canary}, undef, 'there is no canary any more');
    is($endpoint->{step}, 0, 'and no step');
    is($endpoint->{next_step_in_seconds}, undef, 'no clock');
    is($endpoint->{waiting_for}, undef, 'nothing to wait for');
    is($endpoint->{served_weight}, undef, 'nothing served');
    is_deeply($endpoint->{rules}, [], 'and no rule to judge by');
    is_last('swapping', 1, 'v2', 'promoted',
            qr/^every rule passed after \d+ attempts$/);
    is(bodies('/swapping/', 20)->{v2}, 20, 'v2 serves all');
};

subtest 'its events carry the figures' => sub {
    my ($promoted, $baking, $started) = $t->events('swapping');

    for my $event ($promoted, $baking) {
        my ($rule, @more) = @{ $event->{figures}{rules} };

        is($event->{actor}{name}, 'controller', 'the controller did it');
        is($event->{actor}{address}, undef, 'which has no address');
        is(scalar @more, 0, 'there is one rule');
        is($rule->{rule}, 'error_5xx_rate', 'its name');
        cmp_ok($rule->{threshold}, '==', 0.1, 'its threshold');
        cmp_ok($rule->{value}, '==', 0, 'the value');
        is($rule->{verdict}, 'passing', 'it passed');
        cmp_ok($rule->{attempts}, '>=', 10, 'with enough attempts');
        cmp_ok($event->{figures}{attempts}, '>=', 10, 'and they are told');
        like($event->{reason}, qr/^every rule passed after \d+ attempts$/,
             'the reason');
    }

    is_deeply([ map { "$_->{release} $_->{type}" } $started, $baking,
                    $promoted ],
              [ 'v2 started', 'v2 baking', 'v2 promoted' ], 'what happened');
    like($t->error_log, qr/"swapping" event $promoted->{id}: promoted v2, baking 100% -> idle, by controller: every rule passed/,
         'which the log says in the same words');

    is($started->{actor}{name}, 'api', 'the API started it');
    is($started->{actor}{address}, '127.0.0.1', 'from this address');
    is($started->{reason}, 'rollout of v2 started', 'the reason');
    is($started->{from}{phase}, 'idle', 'from idle');
    is($_->{endpoint}, 'swapping', 'the endpoint is named')
        for $promoted, $baking, $started;
    like($_->{time}, qr/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/, 'the time')
        for $promoted, $baking, $started;
    cmp_ok($started->{id}, '<', $baking->{id}, 'numbers rise');
    cmp_ok($baking->{id}, '<', $promoted->{id}, 'with each event');

    my $log = $t->error_log;
    for my $event ($promoted, $baking, $started) {
        like($log, qr/"swapping" event $event->{id}: .*\Q$event->{reason}\E/,
             'each is in the log');
    }
};

subtest 'the next one runs the other way round' => sub {
    my $load = load('/swapping/');

    is(start('swapping')->{canary}, 'v1', 'v1 is the canary');
    wait_until_idle('swapping');
    is_served($load);

    is_last('swapping', 2, 'v1', 'promoted', qr/^every rule passed/);
    is($t->endpoint('swapping')->{stable}, 'v1', 'v1 is stable again');
    is(bodies('/swapping/', 20)->{v1}, 20, 'and serves all');
};

subtest 'without traffic it holds for ever, and says so' => sub {
    start('lonely', progress_interval_seconds => 0.05);
    wait_for_clock('lonely');
    let_time_pass();

    my $endpoint = $t->endpoint('lonely');
    is($endpoint->{phase}, 'progressing', 'it neither fails');
    is($endpoint->{step}, 1, 'nor takes a step');
    is($endpoint->{served_weight}, undef, 'nothing was served');
    is_deeply($endpoint->{waiting_for},
              { rule => 'error_5xx_rate', attempts => 10, seconds => undef,
                reason => 'no attempt in this step yet' },
              'what it waits for');
    is($endpoint->{rules}[0]{verdict}, 'undecided', 'the verdict');

    bodies('/lonely/', 8);
    $t->wait_for(sub { waiting('lonely')->{attempts} == 6 }, 10,
                 'four attempts less');
    let_time_pass();

    $endpoint = $t->endpoint('lonely');
    is($endpoint->{step}, 1, 'four of ten are not enough');
    cmp_ok(delete $endpoint->{waiting_for}{seconds}, '>', 0, 'for how long');
    is_deeply($endpoint->{waiting_for},
              { rule => 'error_5xx_rate', attempts => 6,
                reason => '6 more clean attempts until error_5xx_rate can '
                          . 'pass' },
              'it says how many more');

    bodies('/lonely/', 12);
    $t->wait_for(sub { $t->endpoint('lonely')->{phase} eq 'baking' }, 10,
                 'the step');
    let_time_pass();

    is($t->endpoint('lonely')->{phase}, 'baking', 'at 100 % it holds too');
    is_deeply(waiting('lonely'),
              { rule => 'error_5xx_rate', attempts => 10, seconds => undef,
                reason => 'no attempt in this step yet' },
              'for the same');

    bodies('/lonely/', 10);
    wait_until_idle('lonely');
    is_history('lonely', 'progressing 0.5', 'baking 1', 'idle 0');
};

subtest 'a budget needs an attempt as well' => sub {
    start('deciding', progress_interval_seconds => 0.05,
          rules => [ rule(failed_requests_max => 5) ]);
    wait_for_clock('deciding');
    let_time_pass();

    my $endpoint = $t->endpoint('deciding');
    is($endpoint->{rules}[0]{verdict}, 'passing', 'the budget passes');
    is($endpoint->{step}, 1, 'but nothing happened that would show it');
    is_deeply($endpoint->{waiting_for},
              { rule => 'failed_requests_max', attempts => 1, seconds => undef,
                reason => 'no attempt in this step yet' },
              'so it waits for an attempt');

    bodies('/deciding/', 2);
    $t->wait_for(sub { $t->endpoint('deciding')->{phase} eq 'baking' }, 10,
                 'the step');
    bodies('/deciding/', 1);
    wait_until_idle('deciding');
    is_last('deciding', 1, 'v2', 'promoted', qr/after 1 attempts$/);
};

subtest 'on_undecided advance' => sub {
    start('advancing', progress_interval_seconds => 0.05,
          on_undecided => 'advance', progress_steps => [0.25, 0.5],
          rules => [ rule(error_rate => 0.1, min_requests => 100,
                          confidence => 'off') ]);
    wait_for_clock('advancing');
    let_time_pass();

    is($t->endpoint('advancing')->{step}, 1, 'without an attempt it holds');
    is_deeply(waiting('advancing'),
              { rule => 'error_rate', attempts => 100, seconds => undef,
                reason => 'no attempt in this step yet' }, 'and says so');

    bodies('/advancing/', 4);
    $t->wait_for(sub { $t->endpoint('advancing')->{step} == 2 }, 10,
                 'a step without a decision');
    bodies('/advancing/', 2);
    $t->wait_for(sub { $t->endpoint('advancing')->{step} == 3 }, 10,
                 'another one');

    bodies('/advancing/', 50);
    let_time_pass();
    is($t->endpoint('advancing')->{phase}, 'baking',
       'but nothing undecided is promoted');
    is(waiting('advancing')->{attempts}, 50, 'it waits for the rest');

    bodies('/advancing/', 50);
    wait_until_idle('advancing');
    is_history('advancing', 'progressing 0.25', 'progressing 0.5', 'baking 1',
               'idle 0');

    my @reasons = map { $_->{reason} } $t->events('advancing');
    like($reasons[0], qr/^every rule passed after 100 attempts$/,
         'the last reason');
    like($_, qr/^no rule failed after \d+ attempts$/, 'the others')
        for @reasons[1, 2];
};

subtest 'a schedule' => sub {
    my $load = load('/schedule/');
    my $started = start('schedule', progress_interval_seconds => 0.1,
                        progress_steps => [0.01, 0.05, 0.25, 0.5, 1],
                        rules => [ rule(error_rate => 0.1,
                                        min_requests => 5,
                                        confidence => 'off') ]);
    is_deeply($started->{steps}, [0.01, 0.05, 0.25, 0.5, 1], 'its steps');

    wait_until_idle('schedule', 30);
    is_served($load);
    is_history('schedule', 'progressing 0.01', 'progressing 0.05',
               'progressing 0.25', 'progressing 0.5', 'baking 1', 'idle 0');

    my @attempts = map { $_->{figures}{attempts} // () }
        $t->events('schedule');
    is(scalar @attempts, 5, 'each step was decided by figures');
    cmp_ok($_, '>=', 5, 'of its own') for @attempts;
};

subtest 'linear steps' => sub {
    my $load = load('/linear/');
    start('linear', progress_interval_seconds => 0.05, progress_step => 0.3);
    wait_until_idle('linear', 30);
    is_served($load);
    is_history('linear', 'progressing 0.3', 'progressing 0.6',
               'progressing 0.9', 'baking 1', 'idle 0');
};

subtest 'bake' => sub {
    my $load = load('/baking/');
    start('baking', progress_interval_seconds => 0.05, bake_seconds => 0.3);
    wait_until_idle('baking');
    is_served($load);
    is_history('baking', 'progressing 0.5', 'baking 1', 'idle 0');

    # While it lasts.

    $load = load('/baking/');
    start('baking', progress_interval_seconds => 0.05, bake_seconds => 3600);
    $t->wait_for(sub { $t->endpoint('baking')->{phase} eq 'baking' }, 10,
                 'the bake');
    $t->wait_for(
        sub { $t->endpoint('baking')->{rules}[0]{verdict} eq 'passing' }, 10,
        'the rule to pass');
    let_time_pass();

    my $endpoint = $t->endpoint('baking');
    is($endpoint->{phase}, 'baking', 'it bakes on though its rule passes');
    is($endpoint->{waiting_for}, undef, 'it waits for the clock alone');
    cmp_ok($endpoint->{next_step_in_seconds}, '>', 3000, 'which it shows');
    is_served($load);
    is(bodies('/baking/', 50)->{v1}, 50, 'the canary, v1, has all traffic');

    is($t->api_patch('endpoints/baking/rollout', { weight => 0.5 })->status,
       409, 'there is no way back but one');
    is($t->verb(baking => 'advance')->{stable}, 'v1', 'advance promotes');
    is_last('baking', 2, 'v1', 'promoted', qr/^advanced from the last step$/);
};

subtest 'a canary that turns bad while it bakes' => sub {
    start('bad_baking', progress_interval_seconds => 0.05,
          progress_steps => [1], bake_seconds => 3600);
    bodies('/bad_baking/', 50);
    is($t->endpoint('bad_baking')->{phase}, 'baking', 'it bakes');

    $v2->set(status => 500);
    my $before = $v2->requests;
    my $result = $t->load(count => 100, by_body => 1,
                          request => { uri => '/bad_baking/' })->result;
    is($v2->requests - $before, 6, 'the sixth error of 56 is too much');
    is($result->{bodies}{v1}, 94, 'v1 serves the others');
    is_last('bad_baking', 1, 'v2', 'rolled_back',
            qr/^error_5xx_rate 0\.107\d* > 0\.1 after 56 attempts$/);
    is_history('bad_baking', 'baking 1', 'idle 0');
    $v2->set;
};

subtest 'pause and resume' => sub {
    start('paused');
    $t->wait_for(sub { left('paused') < 1 }, 10, 'a moment');

    my $paused = $t->verb(paused => 'pause', { reason => 'lunch' });
    is($paused->{phase}, 'paused', 'it is paused');
    cmp_ok($paused->{weight}, '==', 0.5, 'at its weight');
    cmp_ok($paused->{next_step_in_seconds}, '<', 1, 'with time left');
    my ($event) = $t->events('paused');
    is($event->{reason}, 'lunch', 'the event has the reason');
    is($event->{to}{phase}, 'paused', 'and the phase');

    my $load = load('/paused/');
    let_time_pass();
    $t->wait_for(
        sub { $t->endpoint('paused')->{rules}[0]{verdict} eq 'passing' }, 10,
        'the rule to pass');

    my $endpoint = $t->endpoint('paused');
    is($endpoint->{phase}, 'paused', 'time passes and rules pass');
    is($endpoint->{next_step_in_seconds}, $paused->{next_step_in_seconds},
       'but the clock stands still');
    is($endpoint->{waiting_for}, undef, 'it waits for a person');

    is($t->api_post('endpoints/paused/rollout/pause')->status, 409,
       'it cannot be paused twice');

    my $resumed = $t->verb(paused => 'resume');
    is($resumed->{phase}, 'progressing', 'resumed');
    is($resumed->{step}, 1, 'at the same step');
    cmp_ok($resumed->{next_step_in_seconds}, '<=',
           $paused->{next_step_in_seconds}, 'with no more than the remainder');
    wait_until_idle('paused');
    is_served($load);
    is_history('paused', 'progressing 0.5', 'paused 0.5', 'progressing 0.5',
               'baking 1', 'idle 0');
};

subtest 'what is paused is guarded, and advances paused' => sub {
    start('paused', progress_steps => [0.2, 0.5]);
    $t->verb(paused => 'pause');

    my $endpoint = $t->verb(paused => 'advance');
    is($endpoint->{phase}, 'paused', 'advanced, it is still paused');
    cmp_ok($endpoint->{weight}, '==', 0.5, 'at the next weight');
    cmp_ok($endpoint->{next_step_in_seconds}, '==', 1, 'and a full interval');

    $v1->set(status => 500);    # v1 is the canary here
    bodies('/paused/', 40);
    $v1->set;
    is_last('paused', 2, 'v1', 'rolled_back',
            qr/^error_5xx_rate (?:0\.9|1) > 0\.1 after 10 attempts$/);

    my ($event) = $t->events('paused');
    is($event->{from}{phase}, 'paused', 'out of the pause');
};

subtest 'verbs and their reasons' => sub {
    start('verbs', progress_interval_seconds => 3600);
    my $endpoint = $t->verb(verbs => 'advance', { reason => "it's fine" });
    is($endpoint->{phase}, 'baking', 'advanced to the last step');
    bodies('/verbs/', 20);
    wait_until_idle('verbs');
    is_last('verbs', 1, 'v2', 'promoted', qr/^every rule passed/);

    $t->start_rollout('verbs');
    $endpoint = $t->verb(verbs => 'rollback',
                         { reason => "sp\x{e4}\x{df}chen \x{2615}" });
    is($endpoint->{phase}, 'idle', 'rolled back');
    is($endpoint->{stable}, 'v2', 'to the release that was stable');
    is_last('verbs', 2, 'v1', 'rolled_back', qr/^sp\xe4\xdfchen \x{2615}$/);

    $t->start_rollout('verbs');
    $endpoint = $t->verb(verbs => 'promote', { reason => 'no time' });
    is($endpoint->{phase}, 'idle', 'promoted');
    is($endpoint->{stable}, 'v1', 'at once');
    is_last('verbs', 3, 'v1', 'promoted', qr/^no time$/);

    is_history('verbs', 'progressing 0.5', 'baking 1', 'idle 0',
               'progressing 0.5', 'idle 0', 'progressing 0.5', 'idle 0');

    my ($promoted, undef, $rolled_back, undef, undef, $advanced)
        = $t->events('verbs');
    is($advanced->{reason}, "it's fine", 'the reason of an advance');
    is($_->{actor}{name}, 'api', 'people did it')
        for $promoted, $rolled_back, $advanced;
    is_deeply($_->{figures}, {}, 'no figures decided it')
        for $promoted, $rolled_back, $advanced;

    is($t->api_post("endpoints/verbs/rollout/$_")->status, 409,
       "idle: no $_") for qw(advance pause resume promote rollback);
};

subtest 'halted' => sub {
    $v2->set(status => 500);
    start('halting', on_violation => 'halt',
          progress_interval_seconds => 0.05);
    bodies('/halting/', 40);

    my $endpoint = $t->endpoint('halting');
    is($endpoint->{phase}, 'halted', 'a broken rule halts');
    cmp_ok($endpoint->{weight}, '==', 0.5, 'at the weight');
    is($endpoint->{next_step_in_seconds}, undef, 'there is no clock');
    is($endpoint->{waiting_for}, undef, 'only a person can go on');

    $v2->set;
    bodies('/halting/', 200);
    let_time_pass();
    is($t->endpoint('halting')->{phase}, 'halted', 'nothing else does');

    $v2->set(status => 500);
    $endpoint = $t->verb(halting => 'resume');
    is($endpoint->{phase}, 'progressing', 'resumed');
    is($endpoint->{step}, 1, 'at its step');
    is($endpoint->{rules}[0]{attempts}, 0, 'with new tests');

    bodies('/halting/', 40);
    is($t->endpoint('halting')->{phase}, 'halted', 'which break again');

    $v2->set;
    $endpoint = $t->verb(halting => 'advance');
    is($endpoint->{phase}, 'baking', 'advanced');
    is($endpoint->{rules}[0]{attempts}, 0, 'with new tests');
    bodies('/halting/', 20);
    wait_until_idle('halting');

    is_last('halting', 1, 'v2', 'promoted', qr/^every rule passed/);
    is_history('halting', 'progressing 0.5', 'halted 0.5', 'progressing 0.5',
               'halted 0.5', 'baking 1', 'idle 0');
};

subtest 'PATCH of the weight' => sub {
    $t->start_rollout('patched', steps => [0.1, 0.3, 0.5]);
    my $endpoint = $t->set_weight(patched => 0.35);
    cmp_ok($endpoint->{weight}, '==', 0.35, 'is the weight');
    is($endpoint->{step}, 2, 'at the last step that is not above it');
    is($endpoint->{served_weight}, undef, 'a new step');
    is(bodies('/patched/', 200)->{v2}, 70, 'is served exactly');

    is($t->set_weight(patched => 0.05)->{step}, 0, 'below the first step');
    cmp_ok($t->verb(patched => 'advance')->{weight}, '==', 0.1,
           'from where the first is the next');

    is($t->set_weight(patched => 0.999999)->{step}, 3, 'nearly all');
    is($t->verb(patched => 'advance')->{phase}, 'baking', 'then all');
    $t->verb(patched => 'rollback');
    is_history('patched', 'progressing 0.1', 'progressing 0.35',
               'progressing 0.05', 'progressing 0.1', 'progressing 0.999999',
               'baking 1', 'idle 0');

    my ($event) = grep { $_->{to}{weight} == 0.35 } $t->events('patched');
    is($event->{reason}, 'weight set to 35%', 'its event');
    cmp_ok($event->{from}{weight}, '==', 0.1, 'from where');

    $t->start_rollout('patched');
    for my $weight (0, 1, -0.1, 1.5) {
        is($t->api_patch('endpoints/patched/rollout',
                         { weight => $weight })->status, 400,
           "$weight is no weight");
    }
    cmp_ok($t->endpoint('patched')->{weight}, '==', 0.5, 'nothing changed');

    # A paused clock shows that it is set back.

    $t->wait_for(sub { left('patched') < 3600 }, 10, 'a moment');
    $t->verb(patched => 'pause');
    cmp_ok(left('patched'), '<', 3600, 'some time has passed');
    $endpoint = $t->set_weight(patched => 0.6);
    is($endpoint->{phase}, 'paused', 'it remains paused');
    cmp_ok($endpoint->{next_step_in_seconds}, '==', 3600,
           'the interval begins anew');
    $t->verb(patched => 'rollback');
};

subtest 'PATCH of rules, interval and steps' => sub {
    $t->start_rollout('patched', rules => [ rule(error_rate => 0.5,
                                                 confidence => 'off') ]);
    bodies('/patched/', 20);
    $t->wait_for(sub { judged('patched') == 10 }, 5, 'attempts');

    my $endpoint = patch(on_undecided => 'hold',
                         rules => [ rule(error_rate => 0.5,
                                         confidence => 'off') ]);
    is($endpoint->{rules}[0]{attempts}, 10, 'the same rules go on');

    $endpoint = patch(rules => [ rule(error_5xx_rate => 0.1,
                                      min_requests => 10,
                                      confidence => 'off') ]);
    is($endpoint->{rules}[0]{rule}, 'error_5xx_rate', 'other rules');
    is($endpoint->{rules}[0]{attempts}, 0, 'begin new tests');
    is(scalar @{ $endpoint->{rules} }, 1, 'and replace the old ones');
    is($endpoint->{step}, 1, 'at the same step');

    my ($event) = $t->events('patched');
    is($event->{reason}, 'strategy changed', 'an event says so');

    bodies('/patched/', 40);
    $endpoint = patch(progress_steps => [0.4, 0.5, 0.6]);
    is_deeply($endpoint->{steps}, [0.4, 0.5, 0.6, 1], 'other steps');
    is($endpoint->{step}, 2, 'the weight has its place among them');
    cmp_ok($endpoint->{weight}, '==', 0.5, 'and stays');

    patch(progress_interval_seconds => 0.05);
    $t->wait_for(sub { $t->endpoint('patched')->{step} == 3 }, 10,
                 'the step after a shorter interval');
    cmp_ok($t->endpoint('patched')->{weight}, '==', 0.6, 'to the next');
    $t->verb(patched => 'rollback');
};

subtest 'strategy direct' => sub {
    my $response = $t->api_post('endpoints/direct/rollout',
                                { strategy => 'direct', reason => 'hotfix' });
    is($response->status, 201, 'started, and done');
    is($response->json->{phase}, 'idle', 'no rollout');
    is($response->json->{stable}, 'v2', 'v2 is stable');
    is(bodies('/direct/', 20)->{v2}, 20, 'and serves all');
    is_last('direct', 1, 'v2', 'promoted', qr/^hotfix$/);
    is_history('direct', 'idle 0');
    is($t->api_post('endpoints/direct/rollout',
                    { strategy => 'direct', release => 'v2' })->status, 409,
       'what is stable cannot become it');
};

subtest 'served_weight' => sub {
    is($t->start_rollout('served', steps => [0.37])->{served_weight}, undef,
       'null before the first attempt');

    my $result = $t->load(connections => 4, count => 1000, by_body => 1,
                          request => { uri => '/served/' })->result;
    my $share = $result->{bodies}{v2} / 1000;
    cmp_ok(abs($share - 0.37), '<=', 0.002, 'the share is exact');
    cmp_ok($t->endpoint('served')->{served_weight}, '==', $share,
           'and shown as it was');

    is($t->set_weight(served => 0.5)->{served_weight}, undef,
       'null again in the next step');
    $t->verb(served => 'rollback');
};

subtest 'three releases' => sub {
    my $response = $t->api_post('endpoints/three/rollout');
    is($response->status, 400, 'which one has to be said');
    is($response->json->{errors}[0]{pointer}, '/release', 'where');

    my $endpoint = $t->start_rollout('three', release => 'v3');
    is($endpoint->{canary}, 'v3', 'v3 is the canary');
    is_deeply([ map { $_->{role} } @{ $endpoint->{releases} } ],
              [ 'stable', undef, 'canary' ], 'the roles');
    is_deeply(bodies('/three/', 40), { v1 => 20, v3 => 20 },
              'the one between gets nothing');
    $t->verb(three => 'promote');

    $t->start_rollout('three', release => 'v2');
    is_deeply(bodies('/three/', 40), { v3 => 20, v2 => 20 }, 'from 3 to 2');
    $t->verb(three => 'rollback');
    is(bodies('/three/', 20)->{v3}, 20, 'and back');
    is($t->api_post('endpoints/three/rollout',
                    { release => 'v3' })->status, 409, 'not to itself');
    is($t->api_post('endpoints/three/rollout',
                    { release => 'v4' })->status, 400, 'nor to no one');
};

subtest 'a slow canary is not held up' => sub {
    start('slow', progress_interval_seconds => 0.05);
    my $load = $t->load(connections => 12, by => ['X-Backend'],
                        request => { uri => '/slow/' });

    $t->wait_for(
        sub { (waiting('slow')->{reason} // '') =~ /in flight/ }, 20,
        'attempts in flight to be what it waits for');

    wait_until_idle('slow', 30);
    is_served($load);
    is_last('slow', 1, 'v2', 'promoted', qr/^every rule passed/);
    is_history('slow', 'progressing 0.5', 'baking 1', 'idle 0');
};

subtest 'quick errors do not condemn slow successes' => sub {
    start('calm', progress_steps => [1], bake_seconds => 3600);

    my $before = $v2->requests;
    my @slow = map { $t->client->start(uri => '/calm/slow') } 1 .. 60;
    $t->wait_for(sub { $v2->requests - $before == 60 }, 10, '60 requests');

    is(bodies('/calm/error', 6, 500)->{v2}, 6, 'six errors');
    $t->wait_for(sub { judged('calm') == 66 }, 5, '66 attempts');
    let_time_pass();

    my $endpoint = $t->endpoint('calm');
    is($endpoint->{phase}, 'baking', 'of 66 they are not too many');
    is($endpoint->{rules}[0]{verdict}, 'undecided', 'nor do they pass');
    cmp_ok(abs($endpoint->{rules}[0]{value} - 6 / 66), '<', 1e-4,
           'the value is that of all');

    is(bodies('/calm/error', 1, 500)->{v2}, 1, 'a seventh');
    is_last('calm', 1, 'v2', 'rolled_back',
            qr/^error_5xx_rate 0\.1045 > 0\.1 after 67 attempts$/);
};

subtest 'attempts of another step, and of another rollout' => sub {
    my @rules = (rule(error_rate => 0.1, min_requests => 1,
                      confidence => 'off'),
                 rule(failed_requests_max => 1));

    $t->start_rollout('past', steps => [0.5, 0.6], rules => \@rules);
    my @late = late();
    my $endpoint = $t->verb(past => 'advance');
    is($endpoint->{rules}[0]{attempts}, 0, 'the second step begins');

    $_->finish for @late;
    $endpoint = $t->endpoint('past');
    is($endpoint->{phase}, 'progressing', 'a failure of the first');
    is($endpoint->{rules}[0]{attempts}, 0, 'is none of the second');
    is($endpoint->{rules}[1]{value}, 1, 'but one of the rollout');

    @late = late();
    $t->verb(past => 'advance');
    $_->finish for @late;
    is_last('past', 1, 'v2', 'rolled_back', qr/^failed_requests_max 2 > 1 /);

    $t->start_rollout('past', rules => \@rules);
    @late = late();
    $t->verb(past => 'rollback');
    $t->start_rollout('past', rules => \@rules);
    my $errors = $t->totals('past', 'v2')->{'5xx'};

    $_->finish for @late;
    $endpoint = $t->endpoint('past');
    is($endpoint->{phase}, 'progressing', 'a failure of another rollout');
    is($endpoint->{rules}[0]{attempts}, 0, 'is no evidence');
    is($endpoint->{rules}[1]{value}, 0, 'for any rule');
    is($t->totals('past', 'v2')->{'5xx'}, $errors + 1,
       'though it is in the totals');
    $t->verb(past => 'rollback');
};

subtest 'what hangs for 10 s counts as bad, for passing' => sub {
    # 20 of 29 are bad: of 200 they would be 10 %.

    $t->wait_for(sub { waiting('hung')->{attempts} == 171 }, 30,
                 'the attempts to be overdue');
    let_time_pass();

    my $endpoint = $t->endpoint('hung');
    is($endpoint->{phase}, 'progressing', 'it is no failure');
    is($endpoint->{step}, 1, 'but no step');
    is($endpoint->{rules}[0]{verdict}, 'undecided', 'the verdict');
    like($endpoint->{waiting_for}{reason},
         qr/^171 more clean attempts until error_5xx_rate can pass: 20 count as bad until they end, in flight for longer than canary_patience \(10s\)/,
         'what it takes');

    bodies('/hung/', 2 * 170);
    $t->wait_for(sub { waiting('hung')->{attempts} == 1 }, 10,
                 'all but one of them');
    let_time_pass();
    is($t->endpoint('hung')->{step}, 1, 'not one less');

    bodies('/hung/', 2);
    $t->wait_for(sub { $t->endpoint('hung')->{phase} eq 'baking' }, 10,
                 'the step');
    is_history('hung', 'progressing 0.5', 'baking 1');
    is(scalar @hung, 40, 'while they still hang');
};

@hung = ();    # or nginx would wait for them at its end
$t->finish;


sub config() {
    my @locations = map { "location /$_/ { proxy_pass http://$_; }" }
        @endpoints, 'three';
    my @upstreams = map { <<~EOC } @endpoints;
        upstream $_ {
            canary_release  v1 model_v1;
            canary_release  v2 model_v2;
            canary_interval 1s;
            canary_step     50%;
            canary_rule     error_5xx_rate 10% min_requests=10 confidence=off;
        }
        EOC

    return <<~EOC;
        upstream model_v1 { server 127.0.0.1:%%PORT_v1%%; keepalive 64; }
        upstream model_v2 { server 127.0.0.1:%%PORT_v2%%; keepalive 64; }
        upstream model_v3 { server 127.0.0.1:%%PORT_v3%%; keepalive 64; }

        @upstreams
        upstream three {
            canary_release v1 model_v1;
            canary_release v2 model_v2;
            canary_release v3 model_v3;
        }

        server {
            listen 127.0.0.1:%%PORT_http%% reuseport;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_read_timeout 1h;
            @locations
        }
        %%API%%
        EOC
}


# Starts a rollout with the strategy of nginx.conf but for what is said here.

sub start($endpoint, %parts) {
    my $body = %parts ? { canary_strategy => \%parts } : undef;
    my $response = $t->api_post("endpoints/$endpoint/rollout", $body);

    is($response->status, 201, 'the rollout is started')
        or diag($response->body);

    return $response->json;
}


sub patch(%parts) {
    my $response = $t->api_patch('endpoints/patched/rollout',
                                 { canary_strategy => \%parts });

    is($response->status, 200, 'changed') or diag($response->body);

    return $response->json;
}


# Half of the attempts on the canary hang: too many ever to pass, and none
# that fails.

sub hang() {
    start('hung', progress_interval_seconds => 0.05);

    my $before = $v2->requests;
    my @clients = map { $t->client->start(uri => '/hung/hang') } 1 .. 40;
    $t->wait_for(sub { $v2->requests - $before == 20 }, 10,
                 '20 hanging requests');

    bodies('/hung/', 18);
    like(waiting('hung')->{reason}, qr/^\d+ attempts in flight/,
         'they are what the rollout waits for');

    return @clients;
}


sub load($uri) {
    return $t->load(connections => 4, request => { uri => $uri });
}


# Ends a load: no request was lost and none had an error.

sub is_served($load) {
    my $result = $load->stop;

    is($result->{failed}, 0, 'no request is lost');
    is_deeply([ keys %{ $result->{statuses} } ], [200], 'none has an error');

    return;
}


# A request that is on its way to the canary, which will fail, and those
# before it that stable had.

sub late() {
    my $canary = $v2->requests;
    my @clients;

    while ($v2->requests == $canary && @clients < 10) {
        my $seen = $v1->requests + $v2->requests;

        push @clients, $t->client->start(uri => '/past/late');
        $t->wait_for(sub { $v1->requests + $v2->requests > $seen }, 10,
                     'a request on its way');
    }

    return @clients;
}


# What the answers to $n requests were, by who sent them.

sub bodies($uri, $n, $status = 200) {
    my $result = $t->load(connections => 1, count => $n, by_body => 1,
                          request => { uri => $uri })->result;

    is($result->{statuses}{$status} // 0, $n, "$n answers with $status")
        if $result->{failed} || keys %{ $result->{statuses} } == 1;

    return $result->{bodies};
}


sub wait_until_idle($endpoint, $timeout = 20) {
    return $t->wait_for(sub { $t->endpoint($endpoint)->{phase} eq 'idle' },
                        $timeout, "the rollout of $endpoint to end");
}


sub waiting($endpoint) { return $t->endpoint($endpoint)->{waiting_for} }
sub left($endpoint) { return $t->endpoint($endpoint)->{next_step_in_seconds} }
sub judged($endpoint) { return $t->endpoint($endpoint)->{rules}[0]{attempts} }


sub wait_for_clock($endpoint) {
    return $t->wait_for(sub { left($endpoint) == 0 }, 10, 'the interval');
}


# Meanwhile another rollout takes ten steps.

sub let_time_pass() {
    my $load = $t->load(connections => 1, rate => 200,
                        request => { uri => '/clock/' });

    $t->start_rollout('clock', interval => 0.05, bake => 0,
                      steps => [ map { $_ / 10 } 1 .. 9 ]);
    wait_until_idle('clock', 30);
    $load->stop;

    return;
}


# The phases and weights of all events so far.

sub is_history($endpoint, @expected) {
    my @events = map { "$_->{to}{phase} $_->{to}{weight}" }
        reverse $t->events($endpoint);

    @events = splice @events, -@expected if @events > @expected
        && $endpoint =~ /^(?:baking|paused|patched)$/;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    return is(join(', ', @events), join(', ', @expected), 'the events');
}


sub is_last($endpoint, $id, $release, $result, $reason) {
    my $last = $t->endpoint($endpoint)->{last_rollout};

    is($last->{id}, $id, 'last_rollout: its number');
    is($last->{release}, $release, 'the release');
    is($last->{result}, $result, 'the result');
    like($last->{reason}, $reason, 'the reason');
    like($last->{ended}, qr/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/, 'its end');

    return;
}
