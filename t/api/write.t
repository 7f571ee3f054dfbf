#!/usr/bin/perl

# The admin API written: start, PATCH and the verbs, what applies when, and
# writes that depend on what the endpoint was.

use v5.36;

use FindBin;
use lib "$FindBin::Bin/../lib";

use JSON::PP ();
use MIME::Base64 qw(encode_base64);
use Test::More;

use Canary::Client;
use Canary::Test;
use Canary::Util qw(fork_child);

my $t = Canary::Test->new;
$t->backend($_) for qw(v1 v2 v3);

$t->write_file('users', "ops:{PLAIN}secret\na\tb\xff:{PLAIN}secret\n");

$t->start(<<'EOC');
    upstream model_v1 { server 127.0.0.1:%%PORT_v1%%; }
    upstream model_v2 { server 127.0.0.1:%%PORT_v2%%; }
    upstream model_v3 { server 127.0.0.1:%%PORT_v3%%; }

    upstream ep {
        canary_release  v1 model_v1;
        canary_release  v2 model_v2;
        canary_interval 1h;
        canary_step     20%;
        canary_bake     1h;
        canary_rule     error_5xx_rate 10% min_requests=20;
        canary_rule     failed_requests_max 100;
        canary_on_violation halt;
    }

    upstream three {
        canary_release  v1 model_v1;
        canary_release  v2 model_v2;
        canary_release  v3 model_v3;
        canary_bake     1h;
        canary_rule     error_5xx_rate 10% min_requests=1;
    }

    upstream ruleless {
        canary_release  v1 model_v1;
        canary_release  v2 model_v2;
    }

    server {
        listen 127.0.0.1:%%PORT_http%%;
        location / { proxy_pass http://ep; }
        location /three { proxy_pass http://three; }
    }

    server {
        listen 127.0.0.1:%%PORT_more%%;

        location /users/ {
            canary_api write=on;
            auth_basic "canary";
            auth_basic_user_file %%DIR%%/users;
        }

        location /if/ {
            canary_api write=on;
            if ($arg_if) { set $x 1; }
        }

        location /limited/ {
            canary_api write=on;
            limit_except GET { allow 127.0.0.1; deny all; }
        }

        location /denied/ {
            canary_api write=on;
            limit_except GET { deny all; }
        }
    }

    %%API%%
EOC

my $path = 'endpoints/ep/rollout';


# Start.

subtest 'the example of the contract' => sub {
    my $response = $t->api_post($path, {
        release => 'v2', strategy => 'canary', canary_strategy => {
            progress_interval_seconds => 10, progress_step => 0.2,
            rules => [ { rule => 'error_4xx_rate', rule_parameters =>
                         [ { name => 'threshold', value => '0.1' } ] } ],
        },
    });
    my $endpoint = $response->json;
    my $strategy = $endpoint->{strategy}{canary_strategy};

    is($response->status, 201);
    is($response->header('Content-Type'), 'application/json');
    is($response->header('ETag'), qq("$endpoint->{generation}"));
    is($endpoint->{phase}, 'progressing');
    is($endpoint->{canary}, 'v2');
    is($endpoint->{weight}, 0.2);
    is($strategy->{progress_interval_seconds}, 10);
    is_deeply($strategy->{rules},
              [ { rule => 'error_4xx_rate', rule_id => 1007,
                  rule_parameters => [
                      { name => 'threshold', value => 0.1 },
                      { name => 'min_requests', value => 1 },
                      { name => 'confidence', value => 0.999 },
                      { name => 'burst_seconds', value => 0.1 } ] } ],
              'rules of the request replace those of nginx.conf');
    is($strategy->{on_violation}, 'halt', 'the rest is that of nginx.conf');
    is($strategy->{bake_seconds}, 3600);
    is_shown($endpoint);

    idle('ep');
};

subtest 'all is optional' => sub {
    for my $body (undef, '', '{}', '{"strategy":"canary"}',
                  '{"canary_strategy":{}}')
    {
        my $response = $t->api_post($path, $body);
        my $endpoint = $response->json;

        is($response->status, 201, $body // 'no body');
        is($endpoint->{canary}, 'v2', 'the other release');
        is($endpoint->{weight}, 0.2);
        is(@{ $endpoint->{strategy}{canary_strategy}{rules} }, 2);

        idle('ep');
    }
};

subtest 'what is shown of a strategy can be sent' => sub {
    my $shown = $t->endpoint('ep')->{strategy};
    my $response = $t->api_post($path, $shown);

    is($response->status, 201);
    is_deeply($response->json->{strategy}, $shown);

    idle('ep');
};

subtest 'every part of a strategy' => sub {
    my %parts = (
        progress_interval_seconds => 0.5,
        progress_steps => [0.01, 0.5],
        bake_seconds => 7,
        on_violation => 'rollback',
        on_undecided => 'advance',
        approval => 'promotion',
        rules => [
            rule(error_rate => 0.25, min_requests => '9',
                 confidence => 'off'),
            { rule_id => 1005, rule_parameters =>
                [ { name => 'threshold', value => '12.5' } ] },
        ],
    );
    my $response = $t->api_post($path, { canary_strategy => \%parts });
    my $strategy = $response->json->{strategy}{canary_strategy};

    is($response->status, 201);
    is_deeply($response->json->{steps}, [0.01, 0.5, 1]);
    is($strategy->{$_}, $parts{$_}, $_)
        for grep { !ref $parts{$_} } sort keys %parts;
    is_deeply([ map { $_->{rule} } @{ $strategy->{rules} } ],
              [ qw(error_rate latency_avg_max) ]);
    is($strategy->{rules}[0]{rule_parameters}[1]{value}, 9);
    is($strategy->{rules}[1]{rule_parameters}[0]{value}, 12.5);
    like($response->body, qr/"threshold","value":0\.25\}/);

    idle('ep');
};

subtest 'which release' => sub {
    refuses_body('endpoints/three/rollout', {}, '/release',
                 qr/v1, v2, v3/, 'three releases, none named');
    refuses_body($path, { release => 'v9' }, '/release',
                 qr/v1, v2, not "v9"/, 'an unknown release');
    refuses_body($path, { release => 'V2' }, '/release', qr/not "V2"/);
    refuses_body($path, { release => '' }, '/release', qr/not ""/);
    refuses_body($path, { release => 2 }, '/release', qr/not 2/);
    refuses_body($path, { release => undef }, '/release', qr/not null/);
    refuses_body($path, { release => 'v9', strategy => 'direct' },
                 '/release', qr/not "v9"/);

    my $conflict = $t->api_post($path, { release => 'v1' });
    is_problem($conflict, 409, 'the stable release');
    like($conflict->json->{detail}, qr/"v1" is stable already/);
    is_deeply($conflict->json->{applicable}, ['start']);

    is($t->api_post('endpoints/three/rollout', { release => 'v3' })
       ->json->{canary}, 'v3');
    idle('three');
};

subtest 'direct: stable at once' => sub {
    my $response = $t->api_post($path, { strategy => 'direct',
                                         reason => 'hotfix' });
    my $endpoint = $response->json;

    is($response->status, 201);
    is($endpoint->{phase}, 'idle');
    is($endpoint->{stable}, 'v2');
    is($endpoint->{last_rollout}{release}, 'v2');
    is($endpoint->{last_rollout}{result}, 'promoted');
    is($endpoint->{last_rollout}{reason}, 'hotfix');
    is($t->get('/')->body, 'v2');

    is_problem($t->api_post($path, { strategy => 'direct',
                                     release => 'v2' }), 409, 'again');

    is($t->api_post($path, { strategy => 'direct' })->json->{stable}, 'v1',
       'the other release, the other way round');

    is($t->api_post('endpoints/ruleless/rollout', { strategy => 'direct' })
       ->status, 201, 'without any rule');

    refuses_body($path, { strategy => 'direct', canary_strategy => {} },
                 '/canary_strategy', qr/direct/);
    refuses_body($path, { strategy => 'rollout' }, '/strategy',
                 qr/canary, direct, not "rollout"/);
};

subtest 'without any rule no rollout' => sub {
    refuses_body('endpoints/ruleless/rollout', undef,
                 '/canary_strategy/rules', qr/at least one rule/);
    refuses_body($path, { canary_strategy => { rules => [] } },
                 '/canary_strategy/rules', qr/at least one rule/);

    is($t->api_post('endpoints/ruleless/rollout',
                    { canary_strategy => { rules =>
                          [ rule(error_rate => 0.1) ] } })->status, 201);
    idle('ruleless');
};


# PATCH.

subtest 'PATCH the weight' => sub {
    $t->start_rollout('ep', steps => [0.2, 0.4, 0.8]);
    my $started = $t->endpoint('ep');

    my $response = $t->api_patch($path, { weight => 0.45, reason => 'hm' });
    my $endpoint = $response->json;

    is($response->status, 200);
    is($endpoint->{weight}, 0.45);
    is($endpoint->{step}, 2, 'the last step not above it');
    is($endpoint->{phase}, 'progressing');
    is_deeply($endpoint->{strategy}, $started->{strategy});
    is(($t->events('ep'))[0]{reason}, 'hm');
    is_shown($endpoint);

    is($t->set_weight(ep => 0.000001)->{weight}, 0.000001);
    is($t->set_weight(ep => 0.999999)->{weight}, 0.999999);
    is($t->set_weight(ep => 0.1)->{step}, 0);

    for my $bad (0, 1, -0.1, 1.5, '"0.5"', 'null', 'true', '[0.5]', '1e999',
                 '-1e999', '0.0000001', '0.9999999', 1e300)
    {
        refuses_body($path, qq({"weight":$bad}), '/weight',
                     qr/above 0 and below 1/, $bad, 'PATCH');
    }

    idle('ep');
};

subtest 'PATCH parts of the strategy' => sub {
    $t->start_rollout('ep', steps => [0.2, 0.5], interval => 60,
                      rules => [ rule(error_rate => 0.5) ]);

    my $endpoint = $t->api_patch($path, {
        canary_strategy => { bake_seconds => 5 } })->json;
    my $strategy = $endpoint->{strategy}{canary_strategy};

    is($strategy->{bake_seconds}, 5);
    is($strategy->{progress_interval_seconds}, 60, 'the rest stays');
    is_deeply($strategy->{progress_steps}, [0.2, 0.5, 1]);
    is($strategy->{rules}[0]{rule}, 'error_rate');

    $endpoint = $t->api_patch($path, {
        weight => 0.3, strategy => 'canary', canary_strategy => {
            progress_step => 0.1, rules => [ rule(error_4xx_rate => 0.2) ],
        } })->json;
    $strategy = $endpoint->{strategy}{canary_strategy};

    is($endpoint->{weight}, 0.3);
    is($endpoint->{step}, 3);
    is(@{ $strategy->{rules} }, 1, 'rules replace all rules');
    is($strategy->{rules}[0]{rule}, 'error_4xx_rate');
    is($strategy->{progress_step}, 0.1);
    ok(!$strategy->{progress_steps});
    is($strategy->{bake_seconds}, 5);

    refuses_body($path, { canary_strategy => { rules => [] } },
                 '/canary_strategy/rules', qr/at least one/, 'no rules',
                 'PATCH');
    refuses_body($path, { strategy => 'direct' }, '', qr/./, 'direct',
                 'PATCH', 2);
    refuses_body($path, { strategy => 'direct', weight => 0.5 }, '/strategy',
                 qr/promote/, 'direct and a weight', 'PATCH');

    for my $nothing (undef, '', {}, { reason => 'x' },
                     { strategy => 'canary' })
    {
        refuses_body($path, $nothing, '', qr/"weight", "canary_strategy"/,
                     'nothing to change', 'PATCH');
    }

    for my $field (qw(release bake_seconds rules step)) {
        refuses_body($path, { weight => 0.5, $field => 1 }, "/$field",
                     qr/known: reason, strategy, canary_strategy, weight/,
                     "a field that is not known, $field", 'PATCH');
    }

    idle('ep');
};

subtest 'two who PATCH different parts take nothing from each other' => sub {
    $t->start_rollout('ep');

    my @children = map {
        my ($part, $factor) = @$_;
        fork_child(sub {
            my $client = $t->client('api');
            for my $n (1 .. 150) {
                my $body = qq({"canary_strategy":{"$part":)
                    . $n * $factor . '}}';
                my $response = $client->request(
                    method => 'PATCH', uri => "/canary/$path",
                    body => $body);
                die $response->body unless $response->status == 200;
            }
        });
    } (['bake_seconds', 2], ['progress_interval_seconds', 3]);

    for my $pid (@children) {
        waitpid $pid, 0;
        is($?, 0);
    }

    my $endpoint = $t->endpoint('ep');
    my $strategy = $endpoint->{strategy}{canary_strategy};
    is($strategy->{bake_seconds}, 300);
    is($strategy->{progress_interval_seconds}, 450);

    idle('ep');
};


# What applies when.

my %applies = (
    idle        => [ qw(start) ],
    progressing => [ qw(PATCH advance pause promote rollback) ],
    baking      => [ qw(advance pause promote rollback) ],
    paused      => [ qw(PATCH advance resume promote rollback) ],
    halted      => [ qw(PATCH advance resume promote rollback) ],
);

my %enter = (
    idle        => sub { },
    progressing => sub { start() },
    baking      => sub { start(steps => [1]) },
    paused      => sub { start(); $t->verb(three => 'pause') },
    halted      => sub {
        start(on_violation => 'halt',
              rules => [ rule(error_rate => 0, min_requests => 1,
                             confidence => 'off') ]);
        $t->{backends}{v2}->set(status => 500);
        $t->wait_for(sub {
            $t->get('/three');
            return $t->endpoint('three')->{phase} eq 'halted';
        });
        $t->{backends}{v2}->set(status => 200);
    },
);

for my $phase (sort keys %applies) {
    my %applies_now = map { $_ => 1 } @{ $applies{$phase} };

    subtest "what applies when $phase" => sub {
        for my $verb (qw(start PATCH advance pause resume promote rollback)) {
            $enter{$phase}->();
            my $before = $t->endpoint('three');
            is($before->{phase}, $phase);

            my $response = carry_out($verb);

            if ($applies_now{$verb}) {
                is($response->status, $verb eq 'start' ? 201 : 200,
                   "$verb applies");
                is_shown($response->json);
                isnt($response->json->{generation}, $before->{generation});

            } else {
                my $problem = $response->json;

                is_problem($response, 409, $verb);
                is_deeply([ sort @{ $problem->{applicable} } ],
                          [ sort @{ $applies{$phase} } ]);
                like($problem->{detail}, qr/^$verb .* is $phase; .* now: \w/);
                is($response->header('ETag'), qq("$before->{generation}"));
                is($t->endpoint('three')->{generation},
                   $before->{generation}, 'nothing has changed');
            }
            idle('three');
        }
    };
}

subtest 'the verbs do as they say' => sub {
    $t->start_rollout('ep', steps => [0.25, 0.5]);

    is($t->verb(ep => 'advance')->{weight}, 0.5);
    is($t->verb(ep => 'pause')->{phase}, 'paused');
    is($t->verb(ep => 'advance')->{phase}, 'paused', 'paused it stays');
    is($t->endpoint('ep')->{weight}, 1);
    is($t->verb(ep => 'resume')->{phase}, 'baking');

    my $endpoint = $t->verb(ep => 'advance', { reason => 'good enough' });
    is($endpoint->{phase}, 'idle', 'from the last step: promoted');
    is($endpoint->{stable}, 'v2');
    is($endpoint->{last_rollout}{result}, 'promoted');
    is($endpoint->{last_rollout}{reason}, 'good enough');

    $t->start_rollout('ep', steps => [0.25]);
    is($t->verb(ep => 'promote')->{stable}, 'v1');
};


# If-Match.

subtest 'a write may depend on the generation' => sub {
    $t->start_rollout('ep');

    my $now = sub { $t->endpoint('ep')->{generation} };
    my $matches = sub ($tags) {
        my $n = $now->();
        return $tags =~ s/NOW/$n/gr;
    };

    for my $good ('"NOW"', '*', 'W/"NOW"', '"1", "NOW"', '"x,y" , W/"NOW"',
                  ' "NOW"', ',"NOW",', '"","NOW"')
    {
        my $tags = $matches->($good);
        my $before = $now->();

        is(patch_if($tags)->status, 200, $tags);
        is($now->(), $before + 1);
    }

    for my $bad ('"0"', '"NOW0"', 'NOW', 'W/NOW', '"NOW', '', '""',
                 '"1","2"', 'w/"NOW"', '*, "0"', "'NOW'", 'x "NOW"',
                 '"1" x "NOW"')
    {
        my $tags = $matches->($bad);
        my $before = $now->();
        my $response = patch_if($tags);

        is_problem($response, 412, "If-Match: $tags");
        is($response->header('ETag'), qq("$before"), 'what it is now');
        is($now->(), $before, 'nothing has changed');
    }

    idle('ep');
};

subtest 'If-Match comes before what applies' => sub {
    my $generation = $t->endpoint('ep')->{generation};

    for my $verb (qw(pause promote)) {
        is($t->api_post("$path/$verb", undef,
                        headers => { 'If-Match' => '"1"' })->status, 412);
        is($t->api_post("$path/$verb", undef,
                        headers => { 'If-Match' => qq("$generation") })
           ->status, 409);
    }

    is($t->api_post($path, { release => 'v1' },
                    headers => { 'If-Match' => '"1"' })->status, 412,
       'start of the stable release');
    is($t->api_post('endpoints/ruleless/rollout', {},
                    headers => { 'If-Match' => '"1"' })->status, 412);
    is($t->api_post($path, { release => 'v2' },
                    headers => { 'If-Match' => qq("$generation") })->status,
       201);
    is($t->api_post($path, { release => 'v2' },
                    headers => { 'If-Match' => qq("$generation") })->status,
       412, 'the same again');
    is($t->api_post('endpoints/none/rollout', {},
                    headers => { 'If-Match' => '"1"' })->status, 404);

    is($t->api_post("$path/pause", undef,
                    headers => { 'If-None-Match' => '*' })->status, 200,
       'If-None-Match means nothing');

    idle('ep');
};

subtest 'of many who know the same generation one succeeds' => sub {
    $t->start_rollout('ep');
    my $generation = $t->endpoint('ep')->{generation};

    my @clients = map { $t->client('api') } 1 .. 20;
    for my $client (@clients) {
        $client->start(method => 'PATCH', uri => "/canary/$path",
                       headers => { 'If-Match' => qq("$generation") },
                       body => '{"weight":0.3}');
    }
    my %seen;
    $seen{ $_->finish->status }++ for @clients;

    is_deeply(\%seen, { 200 => 1, 412 => 19 });
    is($t->endpoint('ep')->{generation}, $generation + 1);

    idle('ep');
};


# Who may, and who did.

subtest 'pages of other sites may not write' => sub {
    my $port = $t->port('api');
    my @good = (
        [ Origin => "http://127.0.0.1:$port" ],
        [ Origin => "https://127.0.0.1:$port" ],
        [ Origin => "HTTP://127.0.0.1:$port" ],
        [ 'Sec-Fetch-Site' => 'same-origin' ],
        [ 'Sec-Fetch-Site' => 'none' ],
        [ Origin => 'http://Host.example', Host => 'host.EXAMPLE' ],
        [ Origin => 'http://host.example', Host => 'host.example:80' ],
        [ Origin => 'https://host.example', Host => 'host.example:443' ],
        [ Origin => 'https://host.example:443', Host => 'host.example' ],
        [ Origin => 'http://[::1]:8080', Host => '[::1]:8080' ],
    );
    my @bad = (
        [ Origin => 'http://evil.example' ],
        [ Origin => 'null' ],
        [ Origin => '' ],
        [ Origin => 'http://127.0.0.1' ],
        [ Origin => "http://127.0.0.1:${port}0" ],
        [ Origin => "http://127.0.0.1.evil.example:$port" ],
        [ Origin => "ftp://127.0.0.1:$port" ],
        [ Origin => 'http://' ],
        [ Origin => 'http://host.example:443', Host => 'host.example' ],
        [ Origin => 'https://host.example:80', Host => 'host.example' ],
        [ 'Sec-Fetch-Site' => 'cross-site' ],
        [ 'Sec-Fetch-Site' => 'same-site' ],
        [ 'Sec-Fetch-Site' => 'whatever' ],
        [ Origin => "http://127.0.0.1:$port",
          'Sec-Fetch-Site' => 'cross-site' ],
        [ Origin => "http://127.0.0.1:$port", Origin => 'http://x.example' ],
    );

    $t->start_rollout('ep');

    for my $case (@good) {
        is(from_site(@$case)->status, 200, "@$case");
    }

    my $generation = $t->endpoint('ep')->{generation};
    for my $case (@bad) {
        is_problem(from_site(@$case), 403, "@$case");
    }
    is($t->endpoint('ep')->{generation}, $generation, 'nothing has changed');

    is($t->api(GET => 'endpoints/ep', undef,
               headers => { Origin => 'http://evil.example',
                            'Sec-Fetch-Site' => 'cross-site' })->status, 200,
       'they may read, if they can');

    idle('ep');
};

subtest 'the actor is the user of auth_basic' => sub {
    is(as_user(undef)->status, 401);

    is(as_user('ops')->status, 201);
    is_deeply(($t->events('ep'))[0]{actor},
              { name => 'ops', address => '127.0.0.1' });
    like($t->error_log, qr/by ops 127\.0\.0\.1: rollout of v2 started/);
    idle('ep');

    is(as_user("a\tb\xff")->status, 201);
    is(($t->events('ep'))[0]{actor}{name}, 'a?b?', 'made text for the log');
    idle('ep');
};

subtest 'blocks within the location' => sub {
    my $start = sub ($uri) {
        return $t->request(port => 'more', method => 'POST', uri => $uri);
    };

    is($start->('/if/endpoints/ep/rollout?if=1')->status, 201,
       'if: write=on holds');
    idle('ep');
    is($start->('/limited/endpoints/ep/rollout')->status, 201,
       'limit_except: the API is still there');
    idle('ep');
    is($start->('/denied/endpoints/ep/rollout')->status, 403);
    is($t->request(port => 'more', uri => '/denied/endpoints/ep')->status,
       200);
    is($t->endpoint('ep')->{phase}, 'idle');
};

subtest 'a worker of before the reload' => sub {
    my $client = $t->client('api');

    is($client->request(method => 'POST', uri => "/canary/$path")->status,
       201);
    $client->start(method => 'PATCH', uri => "/canary/$path",
                   headers => { 'Content-Length' => 14 });
    $t->wait_for(sub { $t->get('/')->status == 200 });
    $t->reload;
    $client->write('{"weight":0.7}');

    is($client->finish->status, 200);
    is($t->endpoint('ep')->{weight}, 0.7, 'its writes count');

    idle('ep');
};

$t->finish;


sub start(%opt) {
    return $t->start_rollout('three', release => 'v2', steps => [0.5],
                             rules => [ rule(error_rate => 0.9) ], %opt);
}


sub carry_out($verb) {
    my $rollout = 'endpoints/three/rollout';

    return $t->api_post($rollout, { release => 'v2' }) if $verb eq 'start';
    return $t->api_patch($rollout, { weight => 0.4 }) if $verb eq 'PATCH';
    return $t->api_post("$rollout/$verb");
}


# Back to idle, with v1 stable.

sub idle($name) {
    my $endpoint = $t->endpoint($name);

    $t->verb($name => 'rollback') if $endpoint->{phase} ne 'idle';
    return if $endpoint->{stable} eq 'v1';

    my $response = $t->api_post("endpoints/$name/rollout",
                                { release => 'v1', strategy => 'direct' });
    is($response->status, 201) or diag($response->body);

    return;
}


sub patch_if($tags) {
    return $t->api_patch($path, { weight => 0.5 },
                         headers => { 'If-Match' => $tags });
}


sub from_site(@headers) {
    my %host = @headers;

    @headers = map { [ @headers[$_, $_ + 1] ] }
        grep { $_ % 2 == 0 } 0 .. $#headers;

    return $t->request(
        port => 'api', method => 'PATCH', uri => "/canary/$path",
        host => $host{Host} // '127.0.0.1:' . $t->port('api'),
        headers => [ map { @$_ } grep { $_->[0] ne 'Host' } @headers ],
        body => '{"weight":0.5}',
    );
}


sub as_user($user) {
    my @headers = defined $user
        ? (Authorization => 'Basic ' . encode_base64("$user:secret", ''))
        : ();

    return $t->request(port => 'more', method => 'POST',
                       uri => '/users/endpoints/ep/rollout',
                       headers => \@headers);
}


# The answer to a write is what GET shows.

sub is_shown($endpoint) {
    my %shown = %{ $t->endpoint($endpoint->{name}) };
    my %told = %$endpoint;

    delete @$_{qw(controller next_step_in_seconds)} for \%shown, \%told;
    local $Test::Builder::Level = $Test::Builder::Level + 1;

    return is_deeply(\%told, \%shown, 'as GET shows it');
}


sub refuses_body($uri, $body, $pointer, $detail, $name = $pointer,
                 $method = 'POST', $errors = 1)
{
    my ($endpoint) = $uri =~ m{endpoints/([^/]+)};
    my $before = $t->endpoint($endpoint)->{generation};
    my $response = $t->api($method => $uri, $body);
    local $Test::Builder::Level = $Test::Builder::Level + 1;

    subtest "$name: refused" => sub {
        is($response->status, 400) or diag($response->body);
        is($response->header('Content-Type'), 'application/problem+json');

        my @errors = @{ $response->json->{errors} };
        is(@errors, $errors) or diag($response->body);
        is($errors[0]{pointer}, $pointer);
        like($errors[0]{detail}, $detail);
        is($t->endpoint($endpoint)->{generation}, $before,
           'nothing has changed');
    };

    return;
}


sub is_problem($response, $status, $name = "a $status") {
    local $Test::Builder::Level = $Test::Builder::Level + 1;

    subtest "$name: $status" => sub {
        is($response->status, $status) or diag($response->body);
        is($response->header('Content-Type'), 'application/problem+json');
        is($response->json->{status}, $status);
        ok(length $response->json->{detail}, 'a detail');
    };

    return;
}
