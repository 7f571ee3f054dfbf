#!/usr/bin/perl

# A configuration without any endpoint: rollouts of those that there were end
# on stable, as they do when one of several is dropped, and it is in the state
# file.

use v5.36;

use FindBin;
use lib "$FindBin::Bin/../lib";

use JSON::PP;
use Test::More;

use Canary::Test;

use constant {
    DROPPED => 'the endpoint is no longer configured',
    UNSEEN  => 'the endpoint was not configured meanwhile',
};

my $t = Canary::Test->new(workers => 2);

$t->backend('v1');
$t->backend('v2');

my $rollout = { steps => [0.5] };


for my $case (
    [ 'a reload without the last endpoint', {}, {} ],
    [ 'without its directives too',
      { zone => 'mine:4m', path => 'elsewhere' }, {} ],
    [ 'with another size of the zone', { zone => 'mine:4m' },
      { zone => 'mine:5m' } ],
    [ 'with another name of it', { zone => 'mine:4m' },
      { zone => 'other:4m' } ],
) {
    my ($name, $with, $without) = @$case;

    subtest $name => sub {
        needs('processes', 'speed');
        renew(with($with));
        $t->start_rollout('ep', %$rollout);
        $t->set_weight(ep => 0.4);

        $t->reload(without($without), gone => 1,
                   $with->{path} ? (state_path => undef) : ());
        is_written($with->{path} // 'canary', 'ep', 3, DROPPED);
        like($t->error_log, qr/\[notice\] .*"ep" event 3: rolled_back v2, progressing 40% -> idle, by configuration: @{[ DROPPED ]}/,
             'the log tells');
        is($t->get('/')->status, 204, 'nginx goes on without it');

        $t->reload(with($with), gone => 1, state_path => '%%DIR%%/canary');
        is_back(3, DROPPED);
        $t->start_rollout('ep', %$rollout);
        is($t->endpoint('ep')->{phase}, 'progressing', 'another can begin');
        $t->verb(ep => 'rollback');
    };
}

subtest 'what it costs then' => sub {
    needs('processes', 'speed');
    renew(with({}));
    $t->start_rollout('ep', %$rollout);
    $t->reload(without({}), gone => 1);
    is_written('canary', 'ep', 2, DROPPED);
    is($t->api_get('endpoints')->json->{endpoints}->@*, 0,
       'the API has no endpoint');
    is($t->api_get('endpoints/ep')->status, 404, 'nor the one that was');
    is($t->get("/metrics")->status, 200, "there are metrics");

    $t->reload(without({}), gone => 1);
    $t->wait_for(sub { !$t->helper_pid }, 10, 'the helper to end');
    pass('the next reload ends the helper');
    $t->reload(with({}), gone => 1);
    is_back(2, DROPPED);
};

subtest 'one of two, with another size of the zone' => sub {
    needs('processes', 'speed');
    renew(with({ zone => 'mine:4m', more => 1 }));
    $t->start_rollout('ep', %$rollout);
    $t->get('/more');
    $t->start_rollout('more', %$rollout);

    $t->reload(with({ zone => 'mine:5m' }), gone => 1);
    is_written('canary', 'more', 3, DROPPED);
    is($t->endpoint('ep')->{phase}, 'progressing', 'the other goes on');

    $t->reload(with({ zone => 'mine:6m', more => 1 }), gone => 1);
    is($t->endpoint('more')->{phase}, 'idle', 'it comes back idle');
    is(($t->events('more'))[0]{reason}, DROPPED, 'with its events');
    is($t->totals('more', 'v1')->{attempts}, 1, 'and its totals');
    $t->verb(ep => 'rollback');
};

subtest 'nginx is started without it' => sub {
    needs('processes', 'speed');
    renew(with({}));
    $t->start_rollout('ep', %$rollout);
    $t->stop;
    $t->start(without({}));
    is($t->helper_pid, undef, 'which costs nothing');
    is(written('canary', 'ep')->{phase}, 'progressing',
       'and touches nothing');

    $t->reload(with({}), gone => 1);
    is_back(2, UNSEEN);
    is_written('canary', 'ep', 2, UNSEEN);
};

subtest 'and started with it again' => sub {
    renew(with({}));
    $t->start_rollout('ep', %$rollout);
    $t->stop;
    $t->start(without({}));
    $t->stop;
    $t->start(with({}));
    is($t->endpoint('ep')->{phase}, 'progressing',
       'goes on, as after any restart');
    $t->verb(ep => 'rollback');
};

subtest 'a reload that fails' => sub {
    needs('processes', 'speed');
    renew(with({}));
    $t->start_rollout('ep', %$rollout);
    $t->reload(without({}) . 'server { listen 192.0.2.1:1; }', fails => 1);
    is($t->endpoint('ep')->{phase}, 'progressing', 'ends nothing');
    $t->verb(ep => 'rollback');
};

subtest 'a process that serves its last requests' => sub {
    needs('processes', 'speed');
    renew(with({}));

    my $body = encode_json({ release => 'v2' });
    my $client = $t->client('api')->connect;
    my $length = length $body;

    $client->write("POST /canary/endpoints/ep/rollout HTTP/1.1\r\n"
                   . "Host: localhost\r\nContent-Length: $length\r\n\r\n");
    $t->wait_for(sub { $t->get('/')->status == 200 }, 10, 'a moment');
    $t->reload(without({}));
    $t->wait_for(sub { $t->old_worker_pids == 1 }, 10, 'it to be alone');
    $client->write($body);
    is($client->finish->status, 503, 'starts no rollout');
    $t->reload(with({}), gone => 1);
    is($t->endpoint('ep')->{phase}, 'idle', 'that nobody would see');
};

$t->finish;


sub renew($http) {
    $t->stop if $t->master_pid;
    unlink map { glob $t->dir . "/$_/{state.json,events.jsonl*}" }
        qw(canary elsewhere);
    $t->start($http);
    return;
}


sub written($path, $name) {
    my $json = decode_json($t->read_file("$path/state.json"));
    my ($endpoint) = grep { $_->{name} eq $name }
        @{ ($json->{state} // $json)->{endpoints} };

    return $endpoint;
}


# The state file has it that the rollout is over, and the file of events has
# the event that says so.

sub is_written($path, $name, $number, $reason) {
    $t->wait_for(sub {
        my $endpoint = written($path, $name);
        return $endpoint && $endpoint->{phase} eq 'idle';
    }, 10, 'the state file');

    my ($event) = reverse grep { ($_->{endpoint} // '') eq $name }
        map { decode_json($_) } split /\n/, $t->read_file("$path/events.jsonl");

    is($event->{id}, $number, 'the file of events has the event');
    is($event->{reason}, $reason, 'which tells why');

    return;
}


sub is_back($events, $reason) {
    my $endpoint = $t->endpoint('ep');

    is($endpoint->{phase}, 'idle', 'it comes back idle');
    is($endpoint->{stable}, 'v1', 'on its stable release');
    is($endpoint->{last_rollout}{reason}, $reason, 'and tells why');
    is(scalar $t->events('ep'), $events, 'with its events');
    is_deeply([ map { $t->get('/')->body } 1 .. 4 ], [ ('v1') x 4 ],
              'which serves all');

    return;
}


sub with($opt) {
    my $more = $opt->{more} ? <<~'EOC' : '';
        upstream more {
            canary_release v1 model_v1;
            canary_release v2 model_v2;
        }
        EOC

    return directives($opt) . $more . <<~'EOC' . server('proxy_pass http://ep', $more ? 'proxy_pass http://more' : 'return 404');
        upstream ep {
            canary_release v1 model_v1;
            canary_release v2 model_v2;
        }
        EOC
}


sub without($opt) {
    return directives($opt) . server('return 204', 'return 404');
}


sub directives($opt) {
    return join '',
        $opt->{zone} ? "canary_zone zone=$opt->{zone};\n" : (),
        $opt->{path} ? "canary_state_path $opt->{path};\n" : ();
}


sub server($action, $more) {
    return <<~"EOC";
        upstream model_v1 { server 127.0.0.1:%%PORT_v1%%; }
        upstream model_v2 { server 127.0.0.1:%%PORT_v2%%; }
        server {
            listen 127.0.0.1:%%PORT_http%%;
            location / { $action; }
            location /more { $more; }
            location /metrics { canary_metrics; }
        }
        %%API%%
        EOC
}
