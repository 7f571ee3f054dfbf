#!/usr/bin/perl

# master_process off: one process does it all.

use v5.36;

use FindBin;
use lib "$FindBin::Bin/../lib";

use JSON::PP;
use Test::More;

use Canary::Test;

my $t = Canary::Test->new(workers => 0);
my $v1 = $t->backend('v1');
my $v2 = $t->backend('v2');

my $http = <<'EOC';
    upstream model_v1 { server 127.0.0.1:%%PORT_v1%%; keepalive 32; }
    upstream model_v2 { server 127.0.0.1:%%PORT_v2%%; keepalive 32; }

    upstream ep {
        canary_release v1 model_v1;
        canary_release v2 model_v2;
    }

    server {
        listen 127.0.0.1:%%PORT_http%%;
        proxy_http_version 1.1;
        proxy_set_header Connection "";
        proxy_next_upstream off;
        location / { proxy_pass http://ep; }
    }

    %%API%%
EOC

$t->start($http);
is($t->helper_pid, undef, 'there is no helper process');
ok($t->wait_for(sub { heartbeat() < 200 }), 'but a heartbeat');

subtest 'split' => sub {
    $t->start_rollout('ep', steps => [0.01]);

    for my $weight (0.01, 0.1, 0.37, 0.5) {
        $t->set_weight(ep => $weight);
        cmp_ok(abs(requests(500, 4)->{v2} - 500 * $weight), '<=', 1,
               "exact at $weight");
    }

    $t->verb(ep => 'rollback');
    is(requests(100)->{v1}, 100, 'nothing after the rollback');
};

subtest 'steps and promotion' => sub {
    my $load = load();

    start_quick(progress_steps => [0.2, 0.5, 0.8]);
    wait_until_idle();
    is_served($load);
    is($t->endpoint('ep')->{stable}, 'v2', 'v2 is stable');
    is_history('progressing 0.2', 'progressing 0.5', 'progressing 0.8',
               'baking 1', 'idle 0');
    make_stable('v1');
};

subtest 'without traffic it holds' => sub {
    start_quick();
    $t->wait_for(sub { $t->endpoint('ep')->{next_step_in_seconds} == 0 }, 10,
                 'the interval');
    is($t->endpoint('ep')->{waiting_for}{reason},
       'no attempt in this step yet', 'and says so');
    $t->verb(ep => 'rollback');
};

subtest 'a bad canary' => sub {
    $v2->set(status => 500);
    my $before = $v2->requests;

    start_quick(progress_interval_seconds => 3600);
    requests(100);
    is($v2->requests - $before, 10, 'ten attempts reach it');

    # The control loop may see it first, while the tenth is under way.
    is_rolled_back(qr/^error_5xx_rate (?:1|0\.9) > 0\.1 after 10 attempts$/);
    is(requests(50)->{v1}, 50, 'v1 serves all');
    $v2->set;
};

subtest 'a slow canary' => sub {
    $v2->set(delay_ms => 400);
    $t->start_rollout('ep', rules => [
        rule(latency_avg_max => 200, min_requests => 5, confidence => 'off') ]);
    requests(20);
    wait_until_idle();
    is_rolled_back(qr/^latency_avg_max [\d.]+ms > 200ms after \d+ attempts$/);
    $v2->set;
};

subtest 'totals' => sub {
    my $load = load();

    start_quick();
    wait_until_idle();
    $load->stop;
    is($t->totals('ep', 'v1')->{attempts}, $v1->requests, 'of v1');
    is($t->totals('ep', 'v2')->{attempts}, $v2->requests, 'of v2');
    make_stable('v1');
};

# After a reload nginx in this mode has no connections to give: what was
# connected before can go on.

subtest 'a reload keeps the state' => sub {
    my $api = $t->client('api');
    my $get = sub ($path) { $api->get("/canary/endpoints/ep$path")->json };
    my $reload = sub ($http) {
        $t->reload($http);
        $get->('');    # it answers when it is done
    };
    my $post = sub ($verb) {
        return $api->request(method => 'POST',
                             uri => "/canary/endpoints/ep/rollout/$verb");
    };

    $t->start_rollout('ep', steps => [0.2, 0.5],
                      rules => [ rule(error_rate => 0.5,
                                      confidence => 'off') ]);
    requests(100);

    my ($before, $events) = ($get->(''), $get->('/events'));
    is($before->{rules}[0]{attempts}, 20, 'twenty attempts');
    $reload->("$http upstream unused { server 127.0.0.1:1; }");

    my $after = $get->('');
    for my $key (qw(generation phase stable canary weight step steps rules
                    releases))
    {
        is_deeply($after->{$key}, $before->{$key}, "the same $key");
    }
    cmp_ok($after->{next_step_in_seconds}, '<=',
           $before->{next_step_in_seconds}, 'the clock goes on');
    is_deeply($get->('/events'), $events, 'no event');

    # The control loop goes on as well.

    for my $turn (1 .. 3) {
        my $left = $get->('')->{next_step_in_seconds};

        $t->wait_for(sub {
            my $endpoint = $get->('');

            return $endpoint->{next_step_in_seconds} < $left - 0.2
                && $endpoint->{controller}{heartbeat_age_ms} < 200;
        }, 10, 'a heartbeat');
    }

    is($post->('advance')->json->{step}, 2, 'advance');
    is($post->('rollback')->json->{phase}, 'idle', 'rollback');

    like($t->reload("$http bogus;", fails => 1), qr/unknown directive/,
         'a reload that fails');
    is($get->('')->{stable}, 'v1', 'does no harm');

    $reload->(<<'EOC');
        upstream model_v3 { server 127.0.0.1:1; }
        upstream model_v2 { server 127.0.0.1:2; }
        upstream ep {
            canary_release v3 model_v3;
            canary_release v2 model_v2;
        }
EOC
    my ($event) = @{ $get->('/events')->{events} };
    is($event->{reason}, 'the stable release is no longer configured',
       'a reload that drops the stable release has its event');

    $reload->($http);
    $api->request(method => 'POST', uri => '/canary/endpoints/ep/rollout',
                  body => encode_json({ canary_strategy => { rules => [
                      rule(failed_requests_max => 5) ] } }));
    is($get->('')->{phase}, 'progressing', 'another rollout');
    $t->reload('%%API%%');
    $t->wait_for(sub {
        $t->read_file('canary/state.json')
            =~ /"reason":\s*"the endpoint is no longer configured"/;
    }, 10, 'the state file');
    pass('ends with the last endpoint');
};

# Nobody can ask after such a reload; but its control loop writes the state.
subtest 'a reload adds the first endpoint' => sub {
    $t->stop;
    $t->start('%%API%%');
    $t->reload("canary_state_path first; $http");
    ok($t->wait_for(sub { $t->read_file('first/state.json') }, 30,
                    'the state file'), 'and the control loop begins');
};

$t->finish;


# A rollout that takes its steps as soon as it can.

sub start_quick(%parts) {
    my $response = $t->api_post('endpoints/ep/rollout', { canary_strategy => {
        progress_interval_seconds => 0.1,
        progress_steps            => [0.5],
        rules => [ rule(error_5xx_rate => 0.1, min_requests => 10,
                        confidence => 'off') ],
        %parts,
    } });

    return is($response->status, 201, 'a rollout') || diag($response->body);
}


sub make_stable($release) {
    return is($t->api_post('endpoints/ep/rollout', { strategy => 'direct',
                  release => $release })->status, 201, "$release is stable");
}


sub wait_until_idle() {
    return $t->wait_for(sub { $t->endpoint('ep')->{phase} eq 'idle' }, 30,
                        'the rollout to end');
}


sub heartbeat() { return $t->endpoint('ep')->{controller}{heartbeat_age_ms} }


sub load() { return $t->load(connections => 4) }


sub is_served($load) {
    my $result = $load->stop;

    is($result->{failed}, 0, 'no request is lost');
    is_deeply([ keys %{ $result->{statuses} } ], [200], 'none has an error');

    return;
}


# Who answered $n requests.

sub requests($n, $connections = 1) {
    return $t->load(connections => $connections, count => $n, by_body => 1)
        ->result->{bodies};
}


sub is_history(@expected) {
    my @events = map { "$_->{to}{phase} $_->{to}{weight}" }
        reverse $t->events('ep');

    splice @events, 0, -@expected if @events > @expected;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    return is(join(', ', @events), join(', ', @expected), 'the events');
}


sub is_rolled_back($reason) {
    my $endpoint = $t->endpoint('ep');

    is($endpoint->{phase}, 'idle', 'the rollout is over');
    is($endpoint->{stable}, 'v1', 'v1 is stable');
    is($endpoint->{last_rollout}{result}, 'rolled_back', 'rolled back');
    like($endpoint->{last_rollout}{reason}, $reason, 'the reason');

    return;
}
