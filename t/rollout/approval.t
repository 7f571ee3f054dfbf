#!/usr/bin/perl

# Steps, and the promotion, that wait for a person: "canary_approval".

use v5.36;

use FindBin;
use lib "$FindBin::Bin/../lib";

use JSON::PP ();
use Test::More;

use Canary::Test;

my $t = Canary::Test->new;
my $v1 = $t->backend('v1');
my $v2 = $t->backend('v2');

# Each of these is an endpoint at the location of its name.

my %approval = (
    stepped => 'step', promoted => 'promotion', plain => 'off', bad => 'step',
    clock => 'off', kept => 'step', undecided => 'step', verta => 'step',
);

$t->start(config(%approval));

my %awaited = (
    rule => undef, attempts => 0, seconds => undef, reason => 'approval',
    approval => JSON::PP::true,
);

subtest 'each step waits, though its rules pass, and the promotion' => sub {
    my $started = start('stepped');
    is($started->{strategy}{canary_strategy}{approval}, 'step',
       'as nginx.conf has it');
    is($started->{waiting_for}{rule}, 'failed_requests_max',
       'without an attempt it waits for its rule');
    ok(!exists $started->{waiting_for}{approval}, 'and for nobody');

    requests('stepped');
    stays_awaited('stepped', 'progressing', 1);

    my $advanced = $t->verb('stepped', 'advance', { reason => 'looks well' });
    is($advanced->{step}, 2, 'advance takes the step');
    is($advanced->{phase}, 'baking', 'to 100 %');
    ok(!exists $advanced->{waiting_for}{approval}, 'which is not due yet');

    requests('stepped');
    stays_awaited('stepped', 'baking', 2);

    is($t->verb('stepped', 'advance')->{stable}, 'v2', 'and promotes');
    is_history('stepped', 'progressing 0.5', 'baking 1', 'idle 0');

    my ($promoted, $step) = $t->events('stepped');
    is($step->{actor}{name}, 'api', 'a person took the step');
    is($step->{reason}, 'looks well', 'who gave a reason');
    is($promoted->{actor}{name}, 'api', 'and promoted');
};

subtest 'only the promotion waits' => sub {
    my $load = load('promoted');

    start('promoted');
    stays_awaited('promoted', 'baking', 2);
    is_history('promoted', 'progressing 0.5', 'baking 1');
    is(($t->events('promoted'))[0]{actor}{name}, 'controller',
       'the step was taken by itself');

    $t->verb('promoted', 'promote');
    is($t->endpoint('promoted')->{last_rollout}{result}, 'promoted',
       'promote ends the waiting too');
    $load->stop;
};

subtest 'a start says it, and a PATCH turns it off and on' => sub {
    my $load = load('plain');
    my $started = start('plain', approval => 'step');
    is($started->{strategy}{canary_strategy}{approval}, 'step', 'not as there');

    my $waiting = awaited('plain');
    my $patched = patch('plain', approval => 'off');
    is($patched->{strategy}{canary_strategy}{approval}, 'off', 'off');
    is($patched->{generation}, $waiting->{generation} + 1, 'a change');

    wait_until_idle('plain');
    is($t->endpoint('plain')->{last_rollout}{result}, 'promoted',
       'it goes on by itself');
    is_history('plain', 'progressing 0.5', 'progressing 0.5', 'baking 1',
               'idle 0');

    start('plain', progress_interval_seconds => 3600);
    patch('plain', approval => 'step', progress_interval_seconds => 0.05);
    stays_awaited('plain', 'progressing', 1);
    patch('plain', approval => 'promotion');
    stays_awaited('plain', 'baking', 2);
    $t->verb('plain', 'rollback');
    $load->stop;
};

subtest 'pause and resume' => sub {
    start('stepped');
    requests('stepped');
    awaited('stepped');

    is($t->verb('stepped', 'pause')->{waiting_for}, undef,
       'what is paused waits for resume');
    $t->verb('stepped', 'resume');
    awaited('stepped');
    is($t->verb('stepped', 'rollback')->{phase}, 'idle', 'rollback applies');
};

subtest 'the rules go on guarding' => sub {
    my $load = load('bad');

    start('bad', rules => [ rule(error_5xx_rate => 0.5, burst_seconds => 0) ]);
    awaited('bad');
    $v2->on('/bad/', status => 500);
    wait_until_idle('bad');
    $load->stop;

    my $last = $t->endpoint('bad')->{last_rollout};
    is($last->{result}, 'rolled_back', 'a canary that turns bad falls');
    like($last->{reason}, qr/^error_5xx_rate .*> 0\.5/, 'by its rule');
    is_history('bad', 'progressing 0.5', 'idle 0');
};

subtest 'a rule that is undecided' => sub {
    my @rules = (rules => [ rule(error_rate => 0.1, min_requests => 100,
                                 confidence => 'off') ]);

    start('undecided', on_undecided => 'advance', @rules);
    $t->wait_for(sub { left('undecided') == 0 }, 10, 'the interval');
    is(waiting('undecided')->{reason}, 'no attempt in this step yet',
       'without an attempt nobody is asked');
    requests('undecided');
    stays_awaited('undecided', 'progressing', 1, 'undecided');
    $t->verb('undecided', 'advance');
    requests('undecided');
    $t->wait_for(sub { left('undecided') == 0 }, 10, 'the bake');
    is(waiting('undecided')->{rule}, 'error_rate', 'at 100 % it has to pass');
    $t->verb('undecided', 'rollback');

    start('undecided', on_undecided => 'hold', @rules);
    requests('undecided');
    $t->wait_for(sub { left('undecided') == 0 }, 10, 'the interval');
    is(waiting('undecided')->{rule}, 'error_rate', 'what holds is the rule');
    ok(!exists waiting('undecided')->{approval}, 'and nobody is asked');
    $t->verb('undecided', 'rollback');
};

subtest 'a rollout by the API of Verta' => sub {
    my $deployment = '/api/v1/deployment/workspace/personal/endpoints';
    my ($id) = map { $_->{id} }
        grep { $_->{creator_request}{path} eq '/verta' }
        @{ $t->get($deployment)->json->{endpoints} };
    my $stage = $t->get("$deployment/$id/stages")->json->{stages}[0]{id};
    my $path = "$deployment/$id/stages/$stage";

    my %strategy = (
        progress_interval_seconds => 1, progress_step => 0.5,
        rules => [ { rule_id => 1007, rule_parameters =>
                     [ { name => 'threshold', value => '0.5' } ] } ],
    );
    my $updated = $t->request(
        method => 'PUT', uri => "$path/update",
        body => JSON::PP::encode_json({ build_id => 2, strategy => 'canary',
                                        canary_strategy => \%strategy }));
    is($updated->status, 200, 'it is started');

    my $load = load('verta');
    stays_awaited('verta', 'progressing', 1);

    my $shown = $t->get($path)->json;
    is($shown->{status}, 'updating', 'the stage is being updated');
    is_deeply([ map { [ @$_{qw(build_id ratio)} ] }
                @{ $shown->{components} } ], [ [1, 0.5], [2, 0.5] ],
              'with both builds');

    $t->verb('verta', 'advance');
    awaited('verta');
    $load->stop;
    is($t->get($path)->json->{status}, 'updating', 'until the promotion');
    $t->verb('verta', 'advance');
    is($t->get($path)->json->{status}, 'active', 'and then it is active');
};

subtest 'a reload, of another configuration' => sub {
    start('kept');
    requests('kept');

    my $before = awaited('kept');
    $t->renew(config(%approval, kept => 'off'));

    my $after = $t->endpoint('kept');
    is($after->{strategy}{canary_strategy}{approval}, 'step',
       'the rollout keeps its strategy');

    if ($t->has_processes) {
        is_deeply($after->{waiting_for}, \%awaited, 'and waits as before');
        is($after->{generation}, $before->{generation}, 'as it was');
    }
};

subtest 'a restart' => sub {
    $t->stop;
    $t->start;

    is($t->endpoint('kept')->{strategy}{canary_strategy}{approval}, 'step',
       'the rollout keeps its strategy');
    requests('kept');
    stays_awaited('kept', 'progressing', 1);
    $t->verb('kept', 'rollback');
    is($t->endpoint('kept')->{strategy}{canary_strategy}{approval}, 'off',
       'the next one has that of nginx.conf');
};

$t->finish;


sub config(%approval) {
    my $http = <<'EOC';
    upstream model_v1 { server 127.0.0.1:%%PORT_v1%%; }
    upstream model_v2 { server 127.0.0.1:%%PORT_v2%%; }
EOC

    $http .= <<"EOC" for sort keys %approval;
    upstream $_ {
        canary_release   v1 model_v1;
        canary_release   v2 model_v2;
        canary_interval  50ms;
        canary_bake      50ms;
        canary_step      50% 100%;
        canary_rule      failed_requests_max 1000000;
        canary_approval  $approval{$_};
    }
EOC

    my $locations = join '', map { "location /$_/ { proxy_pass http://$_; }\n" }
        sort keys %approval;

    return $http . <<"EOC";
    server {
        listen 127.0.0.1:%%PORT_http%%;
        location /api/v1/ { canary_verta_api write=on; }
        $locations
    }
    %%API%%
EOC
}


# Starts a rollout with the strategy of nginx.conf but for what is said here.

sub start($endpoint, %parts) {
    my $response = $t->api_post("endpoints/$endpoint/rollout",
                                { canary_strategy => \%parts });

    is($response->status, 201, "$endpoint: started")
        or diag($response->body);

    return $response->json;
}


sub patch($endpoint, %parts) {
    my $response = $t->api_patch("endpoints/$endpoint/rollout",
                                 { canary_strategy => \%parts });

    is($response->status, 200, "$endpoint: changed")
        or diag($response->body);

    return $response->json;
}


sub requests($endpoint) {
    is($t->get("/$endpoint/")->status, 200, "$endpoint: a request")
        for 1 .. 6;

    return;
}


sub load($endpoint) {
    return $t->load(connections => 2, rate => 200,
                    request => { uri => "/$endpoint/" });
}


sub waiting($endpoint) { return $t->endpoint($endpoint)->{waiting_for} }
sub left($endpoint) { return $t->endpoint($endpoint)->{next_step_in_seconds} }


sub awaited($endpoint) {
    return $t->wait_for(sub {
        my $now = $t->endpoint($endpoint);
        return ($now->{waiting_for} // {})->{approval} ? $now : 0;
    }, 20, "$endpoint to wait for approval");
}


# Time passes, and nothing comes of it: that is no rule's doing.

sub stays_awaited($endpoint, $phase, $step, $verdict = 'passing') {
    my $before = awaited($endpoint);

    is_deeply($before->{waiting_for}, \%awaited, "$endpoint: approval");
    is($before->{phase}, $phase, "$endpoint: $phase");
    is($before->{step}, $step, "$endpoint: step $step");
    is($before->{next_step_in_seconds}, 0, 'its time is over');
    is($before->{rules}[0]{verdict}, $verdict, "its rule is $verdict");

    let_time_pass();

    my $after = awaited($endpoint);
    is($after->{generation}, $before->{generation}, 'nothing has changed');

    return;
}


# Meanwhile another rollout takes both of its steps.

sub let_time_pass() {
    my $load = load('clock');

    start('clock');
    wait_until_idle('clock');
    $load->stop;

    return;
}


sub wait_until_idle($endpoint) {
    return $t->wait_for(sub { $t->endpoint($endpoint)->{phase} eq 'idle' },
                        20, "the rollout of $endpoint to end");
}


# The phases and weights of all events so far.

sub is_history($endpoint, @expected) {
    is_deeply([ map { "$_->{to}{phase} $_->{to}{weight}" }
                reverse $t->events($endpoint) ], \@expected,
              "$endpoint: what happened");

    return;
}
