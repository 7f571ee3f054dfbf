#!/usr/bin/perl

# The admin API read: what is at each path, what it tells of an endpoint and
# of its events, and who may not do what.

use v5.36;

use FindBin;
use lib "$FindBin::Bin/../lib";

use JSON::PP ();
use Test::More;

use Canary::Test;

my $t = Canary::Test->new;
my $v1 = $t->backend('v1');
my $v2 = $t->backend('v2');

my $odd = 'odd "x"/events #?&%20 ~';

$t->start(<<'EOC');
    upstream model_v1 { server 127.0.0.1:%%PORT_v1%%; }
    upstream model_v2 { server 127.0.0.1:%%PORT_v2%%; }

    upstream ep {
        canary_release  v1 model_v1;
        canary_release  v2 model_v2;
        canary_interval 10s;
        canary_step     20%;
        canary_rule     error_4xx_rate 10%;
        canary_rule     latency_avg_max 250ms min_requests=7 confidence=off;
    }

    upstream 'odd "x"/events #?&%20 ~' {
        canary_release  v1 model_v1;
        canary_release  v2 model_v2;
        canary_step     1% 5% 25%;
        canary_bake     90s;
        canary_on_undecided advance;
        canary_on_violation halt;
    }

    server {
        listen 127.0.0.1:%%PORT_http%%;
        location / { proxy_pass http://ep; }
    }

    gzip on;
    gzip_types *;
    gzip_min_length 1;

    server {
        listen 127.0.0.1:%%PORT_more%%;

        location /plain       { canary_api write=on; }
        location /slash/      { canary_api; }
        location /off/        { canary_api write=off; }
        location /if/         { canary_api write=on; if ($arg_if) { } }

        location /inner/      { internal; canary_api; }
        location /redirect    { rewrite ^ /inner/endpoints/ep last; }
    }

    %%API%%
EOC

my @release = ({ name => 'v1', upstream => 'model_v1', role => 'stable' },
               { name => 'v2', upstream => 'model_v2', role => undef });


# Paths.

subtest 'the location itself is an index' => sub {
    my $response = $t->api_get('');
    my %methods = map { $_->{path} => join ' ', @{ $_->{methods} } }
        @{ $response->json->{paths} };

    is($response->status, 200);
    is($response->header('Content-Type'), 'application/json');
    is($methods{endpoints}, 'GET HEAD');
    is($methods{'endpoints/NAME/rollout'}, 'POST PATCH');
    is($methods{'endpoints/NAME/rollout/pause'}, 'POST');
};

subtest 'a location with and without a slash at its end' => sub {
    for my $uri ('/plain', '/plain/', '/slash/') {
        my $response = more($uri);

        is($response->status, 200, $uri);
        ok($response->json->{paths}, "$uri is the index");
    }

    is(more('/plain/endpoints/ep')->json->{name}, 'ep');
    is(more('/slash/endpoints/ep')->json->{name}, 'ep');
    is(more('/redirect')->json->{name}, 'ep', 'after a rewrite');
};

subtest 'all other paths are 404' => sub {
    for my $uri ('/plainer', '/plain/x', '/plain/endpoints/',
                 '/plain/endpoints/ep/', '/plain/endpoints/e',
                 '/plain/endpoints/epx', '/plain/endpoints/EP',
                 '/plain/endpoints/ep/event', '/plain/endpoints/ep/events/',
                 '/plain/endpoints/ep/rollout/', '/plain/ENDPOINTS',
                 '/plain/endpoints/ep/rollout/start',
                 '/plain/endpoints/none/events', '/plain/endpointsep',
                 '/plain/endpoints/%ff%01')
    {
        is_problem(more($uri), 404, "GET $uri");
        is_problem(more($uri, method => 'POST'), 404, "POST $uri");
    }

    like(more('/plain/endpoints/%ff%22')->json->{detail},
         qr{/plain/endpoints/\x{fffd}"}, 'it says what is not there');
};

subtest 'any name of an upstream is the name of an endpoint' => sub {
    my $path = $odd =~ s/([^a-z])/sprintf '%%%02x', ord $1/ger;

    is($t->endpoint($path)->{name}, $odd);
    is(scalar $t->events($path), 0);
    is($t->api_post("endpoints/$path/rollout", { release => 'v3' })->status,
       400);
    is_deeply([ map { $_->{name} } @{ $t->api_get('endpoints')->json
                                      ->{endpoints} } ],
              [ 'ep', $odd ], 'the list has them in the order of nginx.conf');
};


# Methods.

subtest 'HEAD is GET without a body' => sub {
    for my $path ('', 'endpoints', 'endpoints/ep', 'endpoints/ep/events') {
        my $get = $t->api_get($path);
        my $head = $t->api(HEAD => $path);

        is($head->status, 200, "HEAD $path");
        is($head->body, '');

        # a list that took more than one turn has no length

        like($head->header('Content-Length')
             // $head->header('Transfer-Encoding'), qr/^(?:[1-9]\d*|chunked)$/);
        is($head->header('Content-Type'), $get->header('Content-Type'));
        is($head->header('ETag'), $get->header('ETag'));
    }

    is($t->api(HEAD => 'endpoints/none')->status, 404);
};

subtest 'other methods are 405 with what is allowed' => sub {
    my %allow = (
        ''                           => 'GET, HEAD',
        'endpoints'                  => 'GET, HEAD',
        'endpoints/ep'               => 'GET, HEAD',
        'endpoints/ep/events'        => 'GET, HEAD',
        'endpoints/ep/rollout'       => 'POST, PATCH',
        map { ("endpoints/ep/rollout/$_" => 'POST') }
            qw(advance pause resume promote rollback),
    );

    for my $path (sort keys %allow) {
        my %allowed = map { $_ => 1 } split /, /, $allow{$path};

        for my $method (qw(GET HEAD POST PATCH PUT DELETE OPTIONS MKCOL
                           PROPFIND BREW))
        {
            next if $allowed{$method};

            my $response = $t->api($method => $path);

            is($response->status, 405, "$method $path");
            is($response->header('Allow'), $allow{$path});
        }
    }

    is_problem($t->api(DELETE => 'endpoints/ep'), 405, 'DELETE');
};

subtest 'without write=on all but GET and HEAD is 403' => sub {
    for my $place ('/slash', '/off') {
        is(more("$place/endpoints/ep")->status, 200);
        is(more("$place/endpoints/ep", method => 'HEAD')->status, 200);

        for my $method (qw(POST PATCH PUT DELETE OPTIONS BREW)) {
            for my $path ('endpoints/ep/rollout', 'endpoints', 'nowhere') {
                is_problem(more("$place/$path", method => $method,
                                body => '{}'),
                           403, "$method $place/$path");
            }
        }
    }

    like(more('/slash/', method => 'POST')->json->{detail}, qr/write=on/);
    is(more('/if/endpoints/ep?if=1', method => 'POST')->status, 405,
       'an "if" in the location takes nothing away')
        or diag('write=on is not inherited by if{}');
    is($t->endpoint('ep')->{phase}, 'idle', 'nothing has changed');
};


# Headers.

subtest 'nothing is stored, and no GET is conditional' => sub {
    my $client = $t->client('api');

    for my $path ('', 'endpoints', 'endpoints/ep', 'endpoints/ep/events',
                  'endpoints/none')
    {
        my $response = $t->api_get($path);

        is($response->header('Cache-Control'), 'no-store', $path);
        is($response->header('X-Content-Type-Options'), 'nosniff');
    }

    for my $headers (['If-None-Match' => '"0"'], ['If-None-Match' => '*'],
                     ['If-Match' => '"999"'], ['If-Match' => 'x'],
                     ['If-Modified-Since' => 'Fri, 01 Jan 2100 00:00:00 GMT'],
                     ['If-Unmodified-Since' =>
                         'Thu, 01 Jan 1970 00:00:00 GMT'],
                     ['Range' => 'bytes=0-1'],
                     ['Origin' => 'http://evil.example'])
    {
        my $response = $client->get('/canary/endpoints/ep',
                                    headers => $headers);
        is($response->status, 200, "@$headers");
        is($response->json->{name}, 'ep');
    }
};

subtest 'the ETag is the generation' => sub {
    my $before = $t->api_get('endpoints/ep');

    is($before->header('ETag'), '"' . $before->json->{generation} . '"');
    like($before->header('ETag'), qr/^"\d+"$/);

    $t->get('/') for 1 .. 5;
    is($t->api_get('endpoints/ep')->header('ETag'), $before->header('ETag'),
       'counters do not change it');
    is($t->api_get('endpoints')->header('ETag'), '', 'a list has none');

    my $zipped = more('/slash/endpoints/ep',
                      headers => { 'Accept-Encoding' => 'gzip' });
    is($zipped->header('Content-Encoding'), 'gzip');
    is($zipped->header('ETag'), $before->header('ETag'),
       'gzip does not change it');
};

subtest 'the body of a GET is thrown away' => sub {
    my $client = $t->client('api');

    for (1 .. 3) {
        my $response = $client->get('/canary/endpoints/ep',
                                    body => 'x' x 100_000);
        is($response->status, 200);
        ok($response->{keep}, 'the connection stays');
    }
};


# An endpoint.

subtest 'an endpoint that is idle' => sub {
    my $response = $t->api_get('endpoints/ep');
    my $endpoint = $response->json;

    is_deeply([ keys_in_order($response->body) ],
              [ qw(name generation phase stable canary weight served_weight
                   step steps next_step_in_seconds waiting_for
                   configuration strategy
                   releases rules nginx controller
                   last_rollout) ]);

    is($endpoint->{phase}, 'idle');
    is($endpoint->{stable}, 'v1');
    is($endpoint->{canary}, undef);
    is($endpoint->{weight}, 0);
    is($endpoint->{served_weight}, undef);
    is($endpoint->{step}, 0);
    is($endpoint->{next_step_in_seconds}, undef);
    is($endpoint->{waiting_for}, undef);
    is($endpoint->{last_rollout}, undef);
    is_deeply($endpoint->{rules}, []);
    is_deeply($endpoint->{steps}, [0.2, 0.4, 0.6, 0.8, 1]);
    like($response->body, qr/"steps":\[0\.2,0\.4,0\.6,0\.8,1\]/);

    is_deeply($endpoint->{strategy}, {
        strategy => 'canary',
        canary_strategy => {
            progress_interval_seconds => 10,
            progress_step => 0.2,
            bake_seconds => 0,
            patience_seconds => 10,
            on_violation => 'rollback',
            on_undecided => 'hold',
            approval => 'off',
            rules => [
                { rule => 'error_4xx_rate', rule_id => 1007,
                  rule_parameters => [
                      { name => 'threshold', value => 0.1 },
                      { name => 'min_requests', value => 1 },
                      { name => 'confidence', value => 0.999 },
                      { name => 'burst_seconds', value => 0.1 } ] },
                { rule => 'latency_avg_max', rule_id => 1005,
                  rule_parameters => [
                      { name => 'threshold', value => 250 },
                      { name => 'min_requests', value => 7 },
                      { name => 'confidence', value => 'off' } ] },
            ],
        },
    });

    ok($endpoint->{controller}{heartbeat_age_ms} < 2000);
};

subtest 'a schedule' => sub {
    my $path = $odd =~ s/([^a-z])/sprintf '%%%02x', ord $1/ger;
    my $endpoint = $t->endpoint($path);
    my $strategy = $endpoint->{strategy}{canary_strategy};

    is_deeply($endpoint->{steps}, [0.01, 0.05, 0.25, 1]);
    is_deeply($strategy->{progress_steps}, [0.01, 0.05, 0.25, 1]);
    ok(!exists $strategy->{progress_step});
    is($strategy->{bake_seconds}, 90);
    is($strategy->{on_undecided}, 'advance');
    is($strategy->{on_violation}, 'halt');
    is_deeply($strategy->{rules}, []);
};

subtest 'releases have all their counters' => sub {
    my $release = $t->release(ep => 'v2');

    is_deeply($release, {
        %{ $release[1] },
        attempts   => 0,
        responses  => { map { $_ . 'xx' => 0 } 1 .. 5 },
        failed     => 0,
        timeouts   => 0,
        aborted    => 0,
        abandoned  => 0,
        no_live    => 0,
        fallbacks  => 0,
        latency_ms => undef,
    });
};

subtest 'an endpoint in a rollout' => sub {
    my $endpoint = $t->start_rollout('ep', steps => [0.5], interval => 3600,
        rules => [ rule(error_5xx_rate => 0.2, min_requests => 35,
                        confidence => 'off'),
                   rule(latency_avg_max => 60_000, min_requests => 1,
                        confidence => 'off') ]);

    is($endpoint->{phase}, 'progressing');
    is($endpoint->{stable}, 'v1');
    is($endpoint->{canary}, 'v2');
    is($endpoint->{weight}, 0.5);
    is($endpoint->{step}, 1);
    is_deeply($endpoint->{steps}, [0.5, 1]);
    is($endpoint->{served_weight}, undef);
    ok($endpoint->{next_step_in_seconds} > 3590
       && $endpoint->{next_step_in_seconds} <= 3600);
    is_deeply($endpoint->{waiting_for},
              { rule => 'error_5xx_rate', attempts => 35, seconds => undef,
                reason => 'no attempt in this step yet' });
    is_deeply($endpoint->{rules}[0],
              { rule => 'error_5xx_rate', threshold => 0.2, value => 0,
                attempts => 0, verdict => 'undecided' });
    is($endpoint->{rules}[1]{threshold}, 60000);

    $v2->next_requests(1, status => 500);
    $t->get('/') for 1 .. 20;

    $endpoint = $t->wait_for(sub {
        my $now = $t->endpoint('ep');
        my $for = $now->{waiting_for};
        return $for->{reason} =~ /more clean/ && defined $for->{seconds}
            ? $now : 0;
    });

    is($endpoint->{served_weight}, 0.5);
    like(delete $endpoint->{waiting_for}{seconds}, qr/^\d+$/,
         'how long that takes, at the rate of the step');
    is_deeply($endpoint->{waiting_for},
              { rule => 'error_5xx_rate', attempts => 25, reason =>
                '25 more clean attempts until error_5xx_rate can pass' });
    is_deeply($endpoint->{rules}[0],
              { rule => 'error_5xx_rate', threshold => 0.2, value => 0.1,
                attempts => 10, verdict => 'undecided' });
    is($endpoint->{rules}[1]{verdict}, 'passing');

    my ($stable, $canary) = @{ $endpoint->{releases} };
    is($stable->{role}, 'stable');
    is($canary->{role}, 'canary');
    is($canary->{attempts}, 10);
    is_deeply($canary->{responses},
              { '1xx' => 0, '2xx' => 9, '3xx' => 0, '4xx' => 0, '5xx' => 1 });
    ok($canary->{latency_ms}{avg} > 0 && $canary->{latency_ms}{avg} < 5000);

    $t->get('/') for 1 .. 60;
    $endpoint = $t->wait_for(sub {
        my $now = $t->endpoint('ep');
        return $now->{waiting_for} ? 0 : $now;
    });
    is($endpoint->{rules}[0]{verdict}, 'passing', 'nothing to wait for');
    is($endpoint->{rules}[0]{value}, 0.025);

    $endpoint = $t->set_weight(ep => 0.3);
    is($endpoint->{releases}[1]{attempts}, 40, 'totals go on');
    is($endpoint->{releases}[1]{latency_ms}{avg}, undef,
       'latencies are those of the step');
    is($endpoint->{served_weight}, undef);

    $endpoint = $t->verb(ep => 'pause');
    my $clock = $endpoint->{next_step_in_seconds};
    is($endpoint->{waiting_for}, undef, 'paused: it waits for a person');
    ok($clock > 3590);
    is($t->endpoint('ep')->{next_step_in_seconds}, $clock,
       'the clock stands still');

    $endpoint = $t->verb(ep => 'rollback');
    is($endpoint->{phase}, 'idle');
    is($endpoint->{canary}, undef);
    is_deeply($endpoint->{rules}, []);
    is($endpoint->{releases}[1]{role}, undef);
    is($endpoint->{strategy}{canary_strategy}{progress_step}, 0.2,
       'the strategy is that of nginx.conf again');
};

subtest 'attempts in flight are said to be so' => sub {
    $t->start_rollout('ep', steps => [1],
        rules => [ rule(error_rate => 0.5, confidence => 'off',
                        min_requests => 1) ]);

    my $before = $v2->requests;
    $v2->set(mode => 'hang');
    my $client = $t->client;
    $client->start(uri => '/');
    $t->wait_for(sub { $v2->requests > $before });

    my $waiting = $t->endpoint('ep')->{waiting_for};
    is($waiting->{rule}, 'error_rate');
    like($waiting->{reason}, qr/^1 attempt in flight/);
    is($waiting->{attempts}, 1);

    $client->close;
    $v2->set(mode => 'answer');
    $t->verb(ep => 'rollback');
};

subtest 'the last rollout' => sub {
    my $endpoint = $t->start_rollout('ep');
    my $id = $endpoint->{last_rollout}{id};

    $endpoint = $t->verb(ep => 'rollback', { reason => 'tr\\"ü%s' });
    my $last = $endpoint->{last_rollout};

    is($last->{id}, $id + 1);
    is($last->{release}, 'v2');
    is($last->{result}, 'rolled_back');
    is($last->{reason}, 'tr\\"ü%s');
    like($last->{ended}, qr/^20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
    is($last->{by}, 'person');
};


# Events.

subtest 'events, newest first' => sub {
    my @before = $t->events('ep');

    $t->start_rollout('ep', steps => [0.25]);
    $t->verb(ep => 'pause', { reason => 'lunch' });
    $t->verb(ep => 'rollback');

    my $response = $t->api_get('endpoints/ep/events');
    my @events = @{ $response->json->{events} };

    is(@events, @before + 3);
    my ($rollback, $pause, $start) = @events;

    is_deeply([ sort keys %$start ],
              [ qw(actor endpoint figures from id reason release time to
                   type) ]);
    is_deeply([ map { $_->{release} } $start, $pause, $rollback ],
              [ ('v2') x 3 ], 'which canary');
    is_deeply([ map { $_->{type} } $start, $pause, $rollback ],
              [ qw(started paused rolled_back) ]);
    is($start->{endpoint}, 'ep');
    ok($start->{id} < $pause->{id} && $pause->{id} < $rollback->{id});
    like($start->{time}, qr/^20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d\d\dZ$/);
    is_deeply($start->{actor}, { name => 'api', address => '127.0.0.1' });
    is_deeply($start->{from}, { phase => 'idle', weight => 0 });
    is_deeply($start->{to}, { phase => 'progressing', weight => 0.25 });
    is_deeply($start->{figures}, {});
    is($pause->{reason}, 'lunch');
    is_deeply($pause->{to}, { phase => 'paused', weight => 0.25 });
    is_deeply($rollback->{to}, { phase => 'idle', weight => 0 });

    is_deeply([ map { $_->{id} } after($start->{id}) ],
              [ $rollback->{id}, $pause->{id} ], 'after=N');
    is(scalar after($rollback->{id}), 0);
    is(scalar after('9223372036854775807'), 0);
    is(scalar after(0), @events);

    for my $bad ('x', '', '-1', '1.5', '1x', '99999999999999999999') {
        is_problem($t->api_get("endpoints/ep/events?after=$bad"), 400,
                   "after=$bad");
    }
};

subtest 'the event of a broken rule has its figures' => sub {
    $v2->set(status => 503);
    $t->start_rollout('ep', steps => [0.5],
        rules => [ rule(latency_p90_max => 60_000),
                   rule(error_5xx_rate => '0.25', confidence => 'off',
                        min_requests => 4) ]);
    $t->get('/') for 1 .. 20;
    $v2->set(status => 200);

    my ($event) = $t->events('ep');
    my $other = pop @{ $event->{figures}{rules} };

    is($other->{rule}, 'latency_p90_max', 'of the others, too');
    cmp_ok($other->{value}, '>', 0, 'what was measured');
    is($other->{attempts}, 4, 'on how many');
    is($other->{verdict}, 'undecided', 'what it said');
    like($t->error_log, qr/"ep" event $event->{id}: rolled_back v2, progressing 50% -> idle, by error_5xx_rate: error_5xx_rate 1 > 0\.25/,
         'the log names what happened, and to which release');

    is_deeply($event->{figures}, {
        attempts => 4, rule => 'error_5xx_rate', value => 1,
        threshold => 0.25,
        rules => [ { rule => 'error_5xx_rate', threshold => 0.25, value => 1,
                     attempts => 4, verdict => 'failing' } ],
    });
    is($event->{actor}{name}, 'error_5xx_rate');
    is($event->{actor}{address}, undef);
    is($t->endpoint('ep')->{last_rollout}{reason},
       'error_5xx_rate 1 > 0.25 after 4 attempts');
    is($t->endpoint('ep')->{last_rollout}{by}, 'controller');
};

subtest 'the event of a step has the figures of all rules' => sub {
    $t->start_rollout('ep', steps => [0.5], interval => 0.2,
        rules => [ rule(error_rate => 0.5, confidence => 'off',
                        min_requests => 2) ]);
    $t->wait_for(sub {
        $t->get('/');
        return $t->endpoint('ep')->{phase} eq 'baking';
    });

    my ($event) = $t->events('ep');
    my $rule = $event->{figures}{rules}[0];

    is($event->{actor}{name}, 'controller');
    ok($event->{figures}{attempts} >= 2);
    ok(!exists $event->{figures}{rule});
    is($rule->{verdict}, 'passing');
    is($rule->{value}, 0);

    $t->verb(ep => 'rollback');
};

subtest 'the last 64 events are kept' => sub {
    $t->start_rollout('ep');
    for (1 .. 35) {
        $t->verb(ep => 'pause');
        $t->verb(ep => 'resume');
    }
    $t->verb(ep => 'rollback');

    my @events = $t->events('ep');

    is(@events, 64);
    is_deeply([ map { $_->{id} } @events ],
              [ reverse $events[-1]{id} .. $events[0]{id} ]);
};

subtest 'without an endpoint the list is empty' => sub {
    $t->stop;
    $t->start('%%API%%');

    my $response = $t->api_get('endpoints');

    is($response->status, 200);
    is_deeply($response->json, { endpoints => [] });
    is($t->api_get('')->status, 200);
    is_problem($t->api_get('endpoints/ep'), 404);
    is_problem($t->api_post('endpoints/ep/rollout'), 404);
};

$t->finish;


sub more($uri, %request) {
    return $t->request(port => 'more', uri => $uri, %request);
}


sub after($id) {
    return @{ $t->api_get("endpoints/ep/events?after=$id")->json->{events} };
}


sub keys_in_order($body) {
    my ($depth, @keys) = (0);

    while ($body =~ /\G(?: ([{\[]) | ([}\]]) | "((?:[^"\\]|\\.)*)"(:?)
                     | [^"{}\[\]] )/gsx)
    {
        $depth++ if defined $1;
        $depth-- if defined $2;
        push @keys, $3 if $depth == 1 && $4;
    }

    return @keys;
}


sub is_problem($response, $status, $name = "a $status") {
    local $Test::Builder::Level = $Test::Builder::Level + 1;

    subtest "$name: $status" => sub {
        is($response->status, $status);
        is($response->header('Content-Type'), 'application/problem+json');
        is($response->header('Cache-Control'), 'no-store');
        is($response->header('X-Content-Type-Options'), 'nosniff');

        my $problem = $response->json;
        is($problem->{status}, $status);
        is($problem->{type}, 'about:blank');
        ok(length $problem->{title}, 'a title');
        ok(length $problem->{detail}, 'a detail');
    };

    return;
}
