#!/usr/bin/perl

# The API of Verta, driven by the very requests that its Python client and
# its command line send: lists, lookups, updates, waiting for their end.

use v5.36;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Digest::SHA qw(sha256_hex);
use JSON::PP ();
use Test::More;

use Canary::Test;
use Canary::Util qw(fork_child);

my $t = Canary::Test->new;
my %backend = map { $_ => $t->backend($_) } qw(v1 v2 v3);

$t->write_file('tokens', 'ci operator ' . sha256_hex('secret') . "\n"
    . 'eyes reader ' . sha256_hex('only') . "\n");

my $http = <<'EOC';
    upstream model_v1 { server 127.0.0.1:%%PORT_v1%%; }
    upstream model_v2 { server 127.0.0.1:%%PORT_v2%%; }
    upstream model_v3 { server 127.0.0.1:%%PORT_v3%%; }

    upstream some-path {
        canary_release  v1 model_v1;
        canary_release  v2 model_v2;
        canary_release  v3 model_v3;
    }

    upstream halting {
        canary_release  v1 model_v1 id=11;
        canary_release  v2 model_v2 id=12;
        canary_on_violation halt;
        canary_bake     1h;
    }

    server {
        listen 127.0.0.1:%%PORT_http%%;

        location / {
            proxy_pass http://some-path;
            proxy_next_upstream error timeout;
        }
        location = /halting { proxy_pass http://halting; }

        location /api/v1/ { canary_verta_api write=on; }
        location /api/v1/predict/ { proxy_pass http://some-path; }

        location /behind/a/prefix/api/v1/ {
            canary_verta_api workspace=some-team write=on;
        }
        location /readable/api/v1/ { canary_verta_api; }
        location /limited/api/v1/ {
            canary_verta_api write=on;
            client_max_body_size 1k;
        }
        location /guarded/api/v1/ {
            canary_verta_api write=on;
            canary_api_tokens tokens;
        }
        location /if/api/v1/ {
            canary_verta_api write=on;
            if ($arg_if) { set $x 1; }
        }
    }

    %%API%%
EOC

$t->start($http);

my $base = '/api/v1/deployment/workspace/personal';
my $json = JSON::PP->new->ascii->canonical;

# What requests and the Verta client put on each request, with an e-mail and
# a developer key configured.
my %headers = (
    'User-Agent'      => 'python-requests/2.31.0',
    'Accept'          => '*/*',
    'Accept-Encoding' => 'gzip, deflate',
    'Grpc-Metadata-source'        => 'PythonClient',
    'Grpc-Metadata-email'         => 'me@example.com',
    'Grpc-Metadata-developer_key' => 'secret',
    'Grpc-Metadata-developer-key' => 'secret',
);

my ($some, $halting) = map { by_path($_)->{id} } qw(/some-path /halting);


# What there is.

subtest 'Client() connects' => sub {
    my $response = get('/api/v1/modeldb/project/verifyConnection');

    is($response->status, 200);
    is($response->body, '');

    is_error(get('/api/v1/uac-proxy/uac/getCurrentUser'), 404, 5,
             qr/nothing at/, 'which makes the workspace "personal"');
};

subtest 'endpoints, by path and by id' => sub {
    my $response = get("$base/endpoints");
    my @endpoints = @{ $response->json->{endpoints} };

    is($response->status, 200);
    is($response->header('Content-Type'), 'application/json');
    is_deeply([ map { $_->{creator_request}{path} } @endpoints ],
              [ qw(/some-path /halting) ]);
    isnt($endpoints[0]{id}, $endpoints[1]{id});

    for my $endpoint (@endpoints) {
        is_integer($endpoint->{id});
        is_time($endpoint->{date_created});
        ok(!exists $endpoint->{full_url}, 'left out rather than null');
        is_deeply(get("$base/endpoints/$endpoint->{id}")->json, $endpoint,
                  'the same by id');
    }
};

subtest 'a stage at rest' => sub {
    my $stages = get("$base/endpoints/$some/stages")->json;
    my $stage = $stages->{stages}[0];

    is(@{ $stages->{stages} }, 1);
    is_integer($stage->{id});
    is($stage->{status}, 'active');
    is_deeply($stage->{components},
              [ { build_id => 1, ratio => 1, status => 'running' } ]);
    is_time($stage->{date_created});
    is_time($stage->{date_updated});

    is_deeply(get("$base/endpoints/$some/stages/$stage->{id}")->json,
              $stage, 'the same by id');
    is_deeply(get("$base/endpoints/$some/stages/$stage->{id}/status")->json,
              { update_request => undef }, 'never updated');
};

subtest 'builds and model versions are releases' => sub {
    my $build = get("$base/builds/2")->json;

    is_integer($build->{id});
    is($build->{id}, 2);
    is($build->{status}, 'finished');
    is_time($build->{date_created});

    my $made = request(POST => "$base/builds", { model_version_id => 2 });

    is($made->status, 200);
    is_deeply($made->json, $build, 'made, and there already');
    is(get("$base/builds/12")->status, 200, 'of another endpoint');

    # What is shown of a version asks for its model, which has to be there.

    my $version = get('/api/v1/registry/model_versions/2')->json->{model_version};
    my $model = get('/api/v1/registry/registered_models/'
                    . $version->{registered_model_id});

    is_integer($version->{$_}) for qw(id registered_model_id time_created
                                      time_updated);
    is("$version->{id} $version->{version}", '2 v2');
    is($model->status, 200, 'its model');
    is_deeply([ @{ $model->json->{registered_model} }{qw(id name)} ],
              [ $version->{registered_model_id}, 'some-path' ]);
    is_error(get("/api/v1/registry/registered_models/$_"), 404, 5)
        for 0, 4, 'x', 99_999_999_999;

    is_error(get("$base/builds/4"), 404, 5);
    is_error(get('/api/v1/registry/model_versions/4'), 404, 5);
    is_error(request(POST => "$base/builds", { model_version_id => 4 }),
             404, 5, qr/no release/);
    is_error(request(POST => "$base/builds", { run_id => 'x' }), 400, 3,
             qr{/model_version_id: is needed});
    is_error(request(POST => "$base/builds", '[]'), 400, 3,
             qr/has to be an object, not an array/);
};

subtest 'what "get endpoint" asks besides' => sub {
    is_deeply(get("$base/endpoints/$some/stages/$some/accesstokens")->json,
              { tokens => [] });
    is_deeply(get("/api/v1/deployment/stages/$some/kafka")->json, {});

    my $rules = get("$base/endpoints/$some/stages/$some/rules")->json;

    is_deeply([ map { "$_->{rule_id} $_->{name} $_->{category}" }
                @{ $rules->{canary} } ],
              [ '1005 latency_avg_max Latency',
                '1006 latency_p90_max Latency',
                '1007 error_4xx_rate Error',
                '1008 error_5xx_rate Error' ]);
    is($_->{rule_parameters}[0]{name}, 'threshold')
        for @{ $rules->{canary} };

    is(get('/api/v1/predict/some-path')->body, 'v1',
       'nginx.conf may serve predictions where the client sends them');
};

subtest 'HEAD' => sub {
    my $response = request(HEAD => "$base/endpoints");

    is($response->status, 200);
    is($response->body, '');
};

subtest 'what there is not' => sub {
    my $stages = "$base/endpoints/$some/stages";

    is_error(get($_), 404, 5, undef, $_) for
        '/api/v1/', '/api/v1/nothing',
        "$base/endpoints/", "$base/endpoints/1", "$base/endpoints/0",
        "$base/endpoints/some-path", "$base/endpoints/-1",
        "$base/endpoints/99999999999999999999999",
        "$stages/", "$stages/$halting", "$stages/1/accesstokens",
        "$stages/$some/logs", '/api/v1/deployment/stages/1/kafka',
        "$base/builds/0", "$base/builds/-1", "$base/builds/4294967298",
        "$base/builds/two",
        "/api/v1/deployment/workspace/other/endpoints",
        "/api/v1/deployment/workspace/other/endpoints/$some",
        "/api/v1/deployment/workspace/other/builds/1",
        '/api/v1/modeldb/experiment-run/getExperimentRunById?id=1';
};

subtest 'methods that do not apply' => sub {
    my %allow = (
        "POST $base/endpoints"                     => 'GET, HEAD',
        "DELETE $base/endpoints/$some"             => 'GET, HEAD',
        "POST $base/endpoints/$some/stages"        => 'GET, HEAD',
        "PATCH $base/endpoints/$some/stages/$some" => 'GET, HEAD',
        "GET " . update_uri($some)                 => 'PUT, DELETE',
        "POST " . update_uri($some)                => 'PUT, DELETE',
        "GET $base/builds"                         => 'POST',
    );

    for my $request (sort keys %allow) {
        my $response = request(split(/ /, $request), '{}');

        is_error($response, 405, 12, qr/does not apply/, $request);
        is($response->header('Allow'), $allow{$request});
    }
};

subtest 'below a prefix, with a workspace' => sub {
    my $prefix = '/behind/a/prefix';
    my $team = "$prefix/api/v1/deployment/workspace/some-team";

    is(get("$prefix/api/v1/modeldb/project/verifyConnection")->status, 200);
    is_deeply(get("$team/endpoints")->json, get("$base/endpoints")->json);
    is_error(get("$prefix/api/v1/deployment/workspace/personal/endpoints"),
             404, 5);
    is(request(PUT => "$team/endpoints/$some/stages/$some/update",
               { build_id => 1, strategy => 'rollout' })->status, 200);
};


# Who may update.

subtest 'only with write=on' => sub {
    my $readable = '/readable/api/v1/deployment/workspace/personal';

    is(get("$readable/endpoints")->status, 200);
    is_error(request(PUT => "$readable/endpoints/$some/stages/$some/update",
                     direct(2)), 403, 7, qr/write=on/);
    is_error(request(POST => "$readable/builds", { model_version_id => 2 }),
             403, 7);
    is(stage()->{status}, 'active');
    is(stage()->{components}[0]{build_id}, 1);
};

subtest 'not for pages of other sites' => sub {
    is_error(request(PUT => update_uri($some), direct(2),
                     Origin => 'http://elsewhere.example'), 403, 7,
             qr/another site/);
    is(stage()->{components}[0]{build_id}, 1);
};

subtest 'with canary_api_tokens, by either kind of credentials' => sub {
    my $guarded = '/guarded/api/v1/deployment/workspace/personal';
    my $uri = "$guarded/endpoints/$some/stages/$some/update";

    for my $header ('Grpc-Metadata-bearer-access-token',
                    'Grpc-Metadata-developer-key')
    {
        my $ask = sub ($token, $method, @more) {
            my %without = map { $_ => undef } grep { /^Grpc-/ } keys %headers;

            return request($method, @more ? ($uri, @more)
                                          : ("$guarded/endpoints", undef),
                           %without,
                           length $token ? ($header => $token) : ());
        };

        is($ask->('secret', 'GET')->status, 200, $header);
        is($ask->('secret', PUT => direct(1))->status, 200);
        is($ask->('only', 'GET')->status, 200, 'a reader');
        is_error($ask->('only', PUT => direct(2)), 403, 7,
                 qr/"eyes" is a reader's/);
        is_error($ask->('wrong', 'GET'), 401, 16, qr/not known/);
        is_error($ask->('wrong', PUT => direct(2)), 401, 16);
        is_error($ask->('', 'GET'), 401, 16, qr/there is no token/);
    }

    is(get('/guarded/api/v1/modeldb/project/verifyConnection')->status, 200);

    my $events = $t->events('some-path');
    is(request(PUT => $uri, direct(2))->status, 200);
    is(($t->events('some-path'))[0]{actor}{name}, 'ci');
    is(request(PUT => $uri, direct(1))->status, 200);
    is($t->events('some-path'), $events + 2);
};

subtest 'the blocks of if are the location they stand in' => sub {
    my $uri = '/if/api/v1/deployment/workspace/personal/builds?if=1';

    is(request(POST => $uri, { model_version_id => 2 })->status, 200);
};


# Updates, each as the client goes about it.

subtest 'endpoint.update(build, DirectUpdateStrategy(), wait=True)' => sub {
    is(update($some, direct(2))->status, 200);

    my ($stage, $builds) = wait_for_end($some);

    is($stage->{status}, 'active');
    is_deeply($stage->{components},
              [ { build_id => 2, ratio => 1, status => 'running' } ]);
    is($builds, 1, 'builds are there at once');
    is($t->get('/')->body, 'v2');
    is_deeply(last_update($some), direct(2));
};

subtest 'the stable build, and the same again, change nothing' => sub {
    my $before = $t->endpoint('some-path');

    for (1 .. 3) {
        is(update($some, direct(2))->status, 200);
        is(update($some, canary(2))->status, 200);
    }

    is($t->endpoint('some-path')->{generation}, $before->{generation});
    is(($t->events('some-path'))[0]{reason}, 'v2 made stable at once');
};

subtest 'the tutorial: a good canary, to its end' => sub {
    direct_to(1);

    my $update = canary(2, interval => 1, step => 0.5);
    my $load = $t->load(connections => 4, seconds => 60);

    is(update($some, $update)->status, 200);

    my $stage = stage();
    is($stage->{status}, 'updating');
    is_deeply($stage->{components},
              [ { build_id => 1, ratio => 0.5, status => 'running' },
                { build_id => 2, ratio => 0.5, status => 'running' } ]);

    ($stage) = wait_for_end($some);
    $load->stop;

    is($stage->{status}, 'active');
    is_deeply($stage->{components},
              [ { build_id => 2, ratio => 1, status => 'running' } ]);

    my $asked = last_update($some);
    is($asked->{build_id}, 2);
    is($asked->{strategy}, 'canary');
    is($asked->{canary_strategy}{progress_interval_seconds}, 1);
    is($asked->{canary_strategy}{progress_step}, 0.5);
    is($asked->{canary_strategy}{rules}[0]{rule_id}, 1007);
};

subtest 'the tutorial: a bad canary' => sub {
    direct_to(1);
    $backend{v2}->set(status => 404);

    is(update($some, canary(2))->status, 200);

    is_deeply([ map { [ $_->{build_id}, $_->{ratio} ] }
                @{ stage()->{components} } ], [ [1, 0.8], [2, 0.2] ]);

    my $rollout = $t->endpoint('some-path')->{strategy}{canary_strategy};
    is($rollout->{progress_interval_seconds}, 10);
    is($rollout->{on_undecided}, 'advance', 'as Verta steps');

    my $load = $t->load(connections => 4, seconds => 60);
    my ($stage) = wait_for_end($some);
    $load->stop;

    is($stage->{status}, 'error');
    is_deeply([ map { [ @$_{qw(build_id ratio status)} ] }
                @{ $stage->{components} } ],
              [ [1, 1, 'running'], [2, 0, 'error'] ]);
    like($stage->{components}[-1]{message},
         qr/^error_4xx_rate [\d.]+ > 0\.1 after \d+ attempts$/,
         'which the client raises');
    is($t->get('/')->body, 'v1');

    my $generation = $t->endpoint('some-path')->{generation};
    is(update($some, canary(2))->status, 200);
    is($t->endpoint('some-path')->{generation}, $generation,
       'sent again, it gives no other chance');
    is(stage()->{status}, 'error');

    is(update($some, direct(1))->status, 200);
    is($t->endpoint('some-path')->{generation}, $generation);
    is(stage()->{status}, 'active', 'back to the stable build');
    is(@{ stage()->{components} }, 1);

    is(update($some, canary(2, step => 0.3))->status, 200);
    is(stage()->{status}, 'updating', 'another update is another chance');

    $backend{v2}->set(status => 200);
    is(request(DELETE => update_uri($some))->status, 200);
};

subtest 'the command line of the tutorial' => sub {
    direct_to(1);

    # verta deployment update endpoint /some-path --model-version-id 2
    #     --strategy canary --canary-interval 10 --canary-step 0.2
    #     --canary-rule '{"rule": "error_4xx_rate", ...}'
    is(get('/api/v1/modeldb/project/verifyConnection')->status, 200);
    is(get('/api/v1/uac-proxy/uac/getCurrentUser')->status, 404);
    my $id = by_path('/some-path')->{id};
    is(get('/api/v1/registry/model_versions/2')->json->{model_version}{id}, 2);
    my $build = request(POST => "$base/builds", { model_version_id => 2 })
        ->json->{id};
    my $update = request(PUT => update_uri($id), <<'    EOB' =~ s/\n\s*/ /gr);
    {"build_id": 2, "strategy": "canary", "canary_strategy":
     {"progress_interval_seconds": 10, "progress_step": 0.2,
      "rules": [{"rule_id": 1007,
                 "rule_parameters": [{"name": "threshold",
                                      "value": "0.1"}]}]}}
    EOB

    is($build, 2);
    is($update->status, 200);
    is(stage()->{status}, 'updating');

    my $rule = $t->endpoint('some-path')->{rules}[0];
    is($rule->{rule}, 'error_4xx_rate');
    is($rule->{threshold}, 0.1);
};

subtest 'the same update again does not begin anew' => sub {
    my $generation = $t->endpoint('some-path')->{generation};

    is(update($some, canary(2))->status, 200);
    is(update($some, { %{ canary(2) }, env => [ { name => 'A',
                                                  value => 'b' } ] })
       ->status, 200, 'with what does not matter');
    is($t->endpoint('some-path')->{generation}, $generation);
};

subtest 'another update replaces the one that runs' => sub {
    is(update($some, canary(2, step => 0.1))->status, 200);
    is_deeply(ratios(), [ [1, 0.9], [2, 0.1] ], 'other steps');

    is(update($some, canary(3))->status, 200);
    is_deeply(ratios(), [ [1, 0.8], [3, 0.2] ], 'another build');
    is(($t->events('some-path'))[1]{reason}, 'replaced by another update');

    is(update($some, direct(3))->status, 200);
    is_deeply(ratios(), [ [3, 1] ], 'all at once');
    is(($t->events('some-path'))[0]{reason}, 'promoted',
       'without a way back first');

    is(update($some, canary(1))->status, 200);
    is(update($some, direct(2))->status, 200);
    is_deeply(ratios(), [ [2, 1] ], 'all at once, another build');
    is(stage()->{status}, 'active');

    is(update($some, canary(1))->status, 200);
    is(update($some, canary(2))->status, 200);
    is_deeply(ratios(), [ [2, 1] ], 'the stable build');
    is(stage()->{status}, 'active', 'which is what was asked for');
};

subtest 'an update stopped' => sub {
    is(update($some, canary(1))->status, 200);
    is(request(DELETE => update_uri($some))->status, 200);

    is(stage()->{status}, 'error', 'for those who wait for it');
    is(stage()->{components}[-1]{message}, 'the update was stopped');
    is_deeply(ratios(), [ [2, 1], [1, 0] ]);

    my $generation = $t->endpoint('some-path')->{generation};
    is(request(DELETE => update_uri($some))->status, 200, 'nothing to stop');
    is($t->endpoint('some-path')->{generation}, $generation);
};

subtest 'a rollout of the admin API' => sub {
    direct_to(1);
    $t->start_rollout('some-path', release => 'v3', steps => [0.25, 0.5]);

    is_deeply(ratios(), [ [1, 0.75], [3, 0.25] ]);
    is(stage()->{status}, 'updating');
    $t->verb('some-path', 'pause');
    is(stage()->{status}, 'updating');
    $t->verb('some-path', 'rollback', { reason => "it's late" });
    is(stage()->{status}, 'error');
    is(stage()->{components}[-1]{message}, "it's late");

    $t->start_rollout('some-path', release => 'v3', steps => [1]);
    is_deeply(ratios(), [ [1, 0], [3, 1] ], 'two components until the end');
    is(stage()->{status}, 'updating');
    $t->verb('some-path', 'promote');
    is_deeply(ratios(), [ [3, 1] ]);
    is(stage()->{status}, 'active');
};

subtest 'canary_on_violation halt' => sub {
    $backend{v2}->set(status => 500);

    is(update($halting, canary(12, step => 0.5, rule => 1008))->status, 200);

    my $load = $t->load(request => { uri => '/halting' },
                        connections => 4, seconds => 60);
    my ($stage) = wait_for_end($halting);
    $load->stop;
    $backend{v2}->set(status => 200);

    is($stage->{status}, 'error');
    is_deeply(ratios($halting), [ [11, 0.5], [12, 0.5] ],
              'the ratios as they are');
    is($stage->{components}[0]{status}, 'running');
    is($stage->{components}[1]{status}, 'error');
    like($stage->{components}[1]{message},
         qr/^error_5xx_rate [\d.]+ > 0\.1 after \d+ attempts$/);

    my $generation = $t->endpoint('halting')->{generation};
    is(update($halting, canary(12, step => 0.5, rule => 1008))->status, 200);
    is($t->endpoint('halting')->{generation}, $generation, 'sent again');

    is(update($halting, direct(11))->status, 200);
    is(stage($halting)->{status}, 'active', 'back to the stable build');
    is_deeply(ratios($halting), [ [11, 1] ]);
};

subtest 'each rule, and thresholds as Python writes them' => sub {
    my @thresholds = (
        [ 1005, '100', 'latency_avg_max', 100 ],
        [ 1005, '100.0', 'latency_avg_max', 100 ],
        [ 1006, '0.8', 'latency_p90_max', 0.8 ],
        [ 1006, '1e+05', 'latency_p90_max', 100_000 ],
        [ 1007, '0.1', 'error_4xx_rate', 0.1 ],
        [ 1007, '1e-05', 'error_4xx_rate', 0.00001 ],
        [ 1008, '0.0', 'error_5xx_rate', 0 ],
        [ 1008, '1', 'error_5xx_rate', 1 ],
    );

    for my $case (@thresholds) {
        my ($id, $text, $name, $number) = @$case;

        is(update($halting, canary(12, rule => $id, threshold => $text))
           ->status, 200, "rule $id, \"$text\"");

        my $rule = $t->endpoint('halting')->{rules}[0];
        is($rule->{rule}, $name);
        is($rule->{threshold}, $number);
    }

    my $twice = canary(12);
    push @{ $twice->{canary_strategy}{rules} }, rule_of(1007, '0.2');
    is(update($halting, $twice)->status, 200, 'one rule twice');
    is(@{ $t->endpoint('halting')->{rules} }, 2);

    is(update($halting, direct(11))->status, 200);
};


# What is refused, and changes nothing.

my $before = $t->endpoint('some-path')->{generation};

subtest 'bodies that are no updates' => sub {
    my %message = (
        ''            => qr/not valid JSON/,
        '{'           => qr/not valid JSON/,
        '{} x'        => qr/not valid JSON/,
        "{}\0"        => qr/control character/,
        "\"\xff\""    => qr/not valid UTF-8/,
        '[' x 2000    => qr/not valid JSON/,
        "\xef\xbb\xbf{}" => qr/a mark of byte order/,
        '{"build_id":2,"strategy":"rollout\uQQQQ"}' => qr/four hexadecimal/,
        '{"build_id":02,"strategy":"rollout"}' => qr/not valid JSON/,
        '{"build_id":2,"strategy":"rollout","build_id":3}'
            => qr{^/build_id: "build_id" is here twice},
        '{"build_id":2,"strategy":"rollout","x":{"y":1,"\u0079":2}}'
            => qr{^/x/y: "y" is here twice},
        '[]'          => qr/has to be an object, not an array/,
        '{}'          => qr{^/build_id: is needed; /strategy: is needed},
        '"rollout"'   => qr/has to be an object/,
    );

    is_error(request(PUT => update_uri($some), $_), 400, 3, $message{$_},
             substr($_, 0, 20)) for sort keys %message;
};

subtest 'members that are wrong' => sub {
    refuses('/build_id', { build_id => $_ })
        for 0, -1, 1.5, '2', undef, [], JSON::PP::true;
    refuses('/strategy', { strategy => $_ })
        for 'direct', 'Canary', '', undef, 1;
    refuses('/canary_strategy', { canary_strategy => $_ }) for undef, [], 1;

    refuses('/canary_strategy/progress_interval_seconds', undef,
            { progress_interval_seconds => $_ })
        for 0, -1, 1.5, '10', 1e18, undef;
    refuses('/canary_strategy/progress_step', undef, { progress_step => $_ })
        for 0, -0.2, 1.0001, 20, '0.2', 0.00001, undef;
    refuses('/canary_strategy/rules', undef, { rules => $_ })
        for [], {}, 'error_4xx_rate', undef;

    my $update = canary(2);
    delete $update->{canary_strategy};
    refuses_update('/canary_strategy', $update);

    for my $name (qw(progress_interval_seconds progress_step rules)) {
        my $without = canary(2);
        delete $without->{canary_strategy}{$name};
        refuses_update("/canary_strategy/$name", $without);
    }
};

subtest 'rules that are wrong' => sub {
    my $rule = '/canary_strategy/rules/0';
    my $parameters = "$rule/rule_parameters";
    my @threshold = (name => 'threshold');

    refuses("$rule/rule_id", undef, { rules => [ rule_of($_, '0.1') ] })
        for 1004, 1009, 0, -1, '1007', 'error_4xx_rate', undef, 1007.5;
    refuses($parameters, undef,
            { rules => [ { rule_id => 1007, rule_parameters => $_ } ] })
        for [], {}, undef, [ { @threshold } ],
            [ { name => 'limit', value => '0.1' } ], [ { value => '0.1' } ],
            [ ({ @threshold, value => '0.1' }) x 2 ];
    refuses("$parameters/0/value", undef,
            { rules => [ rule_of(1007, $_) ] })
        for qw(nan NaN inf Infinity -1.0 True abc 0x10 1e999 1e4 100 .1 1.),
            '1,0', '', ' 0.1', '0.1 ', "0.1\n", [], undef;
    refuses("$parameters/0/value", undef,
            { rules => [ rule_of(1005, $_) ] })
        for qw(nan -1.0 0 1e999 100ms);
    refuses($rule, undef, { rules => [ 1007 ] });
    refuses('/canary_strategy/rules', undef,
            { rules => [ (rule_of(1007, '0.1')) x 17 ] });
    refuses('/canary_strategy/rules', undef,
            { rules => [ (rule_of(1006, '10')) x 9 ] });
};

subtest 'builds that are not there' => sub {
    is_error(update($some, direct($_)), 404, 5, qr/no release of endpoint/,
             $_) for 4, 12, 4_294_967_298, 1e300;
    is_error(request(PUT => "$base/endpoints/$some/stages/$halting/update",
                     direct(1)), 404, 5);
};

subtest 'a body that is too large' => sub {
    my $limited = update_uri($some) =~ s{^/api}{/limited/api}r;

    is_error(request(PUT => $limited, { %{ direct(1) }, env => 'x' x 2000 }),
             413, 11, qr/larger than 1024 bytes/);
    is_error(update($some, { %{ direct(1) }, env => 'x' x 70_000 }), 413, 11,
             qr/larger than 65536 bytes/);
};

subtest 'mangled updates' => sub {
    my $client = $t->client;
    my $whole = $json->encode(canary(2));
    my (%seen, @wrong);

    srand 7;
    for (1 .. 500) {
        my $body = $whole;

        substr($body, rand length $body, rand 9) = pack 'C*',
            map { rand(2) < 1 ? rand 256 : ord substr $whole, rand length
                  $whole, 1 } 1 .. rand 6
            for 1 .. 1 + rand 2;

        my $response = $client->request(method => 'PUT', body => $body,
                                        uri => update_uri($some));
        my $status = $response->status;
        $seen{$status}++;

        if ($status == 200) {
            request(DELETE => update_uri($some));
            $before = $t->endpoint('some-path')->{generation};
            next;
        }

        push @wrong, "$status: $body"
            if $status != 400 && $status != 404
               || $response->json->{message} eq '';
    }

    is_deeply(\@wrong, []);
    ok($seen{400} > 300, 'most are refused');
};

is($t->endpoint('some-path')->{generation}, $before,
   'what was refused has changed nothing');


# Many at once, and a reload.

subtest 'an update that is sent many times at once begins once' => sub {
    my $update = canary(1);
    my @children = map {
        fork_child(sub {
            exit(update($some, $update)->status == 200 ? 0 : 1);
        });
    } 1 .. 16;

    my $good = grep { waitpid($_, 0) == $_ && $? == 0 } @children;

    is($good, 16);
    is($t->endpoint('some-path')->{generation}, $before + 1);
    is(stage()->{status}, 'updating');
};

subtest 'ids and states are the same after a reload' => sub {
    needs('processes', 'speed');
    my @endpoints = @{ get("$base/endpoints")->json->{endpoints} };
    my $stage = stage();

    $t->reload(<<~'EOC' . $http);
        upstream before-them {
            canary_release  v1 model_v1;
            canary_release  v2 model_v2;
        }
        EOC

    my ($new, @old) = @{ get("$base/endpoints")->json->{endpoints} };

    is($new->{creator_request}{path}, '/before-them');
    is_deeply(\@old, \@endpoints);
    is_deeply(stage(), $stage);
};

subtest 'a canary whose release is gone after a reload' => sub {
    needs('processes', 'speed');
    $t->verb('some-path', 'rollback');
    $t->start_rollout('some-path', release => 'v2', steps => [0.5]);
    $t->reload($http
               =~ s/canary_release  v2 model_v2;(?=\s+canary_release  v3)//r
               =~ s/canary_release  v3 model_v3\K/ id=3/r);

    is(stage()->{status}, 'error');
    is_deeply(ratios(), [ [3, 1], [0, 0] ], 'no build any more');
    is(stage()->{components}[-1]{message},
       'the canary is no longer configured');
    is(last_update($some), undef);
};

$t->finish;


sub request($method, $uri, $body = undef, %more) {
    my %all = (%headers, %more);
    my %request = (headers => { map { $_ => $all{$_} }
                                grep { defined $all{$_} } keys %all });

    if (defined $body) {
        $request{body} = ref $body ? $json->encode($body) : $body;
        $request{headers}{'Content-Type'} = 'application/json';
    }

    return $t->request(method => $method, uri => $uri, %request);
}


sub get($uri) {
    return request(GET => $uri);
}


sub by_path($path) {
    my ($found) = grep { $_->{creator_request}{path} eq $path }
        @{ get("$base/endpoints")->json->{endpoints} };

    return $found;
}


# As the client does before every call that is about a stage.

sub stage($id = $some) {
    my $first = get("$base/endpoints/$id/stages")->json->{stages}[0];

    return get("$base/endpoints/$id/stages/$first->{id}")->json;
}


sub ratios($id = $some) {
    return [ map { [ $_->{build_id}, $_->{ratio} ] }
             @{ stage($id)->{components} } ];
}


sub update_uri($id) {
    return "$base/endpoints/$id/stages/$id/update";
}


sub update($id, $update) {
    return request(PUT => update_uri($id), $update);
}


sub last_update($id) {
    return get("$base/endpoints/$id/stages/$id/status")->json
        ->{update_request};
}


# update(wait=True): the build, then the stage, as often as it takes.

sub wait_for_end($id) {
    my ($builds, $stage) = (0);

    do {
        $builds++;
        $stage = get("$base/builds/1")->json;
    } until $stage->{status} =~ /^(?:finished|error)$/;

    $t->wait_for(sub {
        $stage = stage($id);
        return $stage->{status} eq 'error'
            || $stage->{status} eq 'active' && @{ $stage->{components} } <= 1;
    }, 60, 'the end of the update');

    return ($stage, $builds);
}


sub direct($build) {
    return { build_id => $build, strategy => 'rollout' };
}


sub direct_to($build) {
    is(update($some, direct($build))->status, 200);

    return is_deeply(ratios(), [ [$build, 1] ]);
}


sub canary($build, %opt) {
    return {
        build_id => $build,
        strategy => 'canary',
        canary_strategy => {
            progress_interval_seconds => $opt{interval} // 10,
            progress_step             => $opt{step} // 0.2,
            rules => [ rule_of($opt{rule} // 1007,
                               $opt{threshold} // '0.1') ],
        },
    };
}


sub rule_of($id, $threshold) {
    return { rule_id => $id, rule_parameters =>
             [ { name => 'threshold', value => $threshold } ] };
}


sub refuses($pointer, $members, $parts = undef) {
    my $update = canary(2);

    %$update = (%$update, %$members) if $members;
    %{ $update->{canary_strategy} } = (%{ $update->{canary_strategy} },
                                       %$parts) if $parts;

    return refuses_update($pointer, $update);
}


sub refuses_update($pointer, $update) {
    return is_error(update($some, $update), 400, 3, qr/^\Q$pointer\E: /,
                    $json->encode($update));
}


sub is_error($response, $status, $code, $message = undef, $name = '') {
    my $error = eval { $response->json } // {};

    is($response->status, $status, "status: $name");
    is($response->header('Content-Type'), 'application/json');
    is($response->header('X-Content-Type-Options'), 'nosniff');
    is($response->header('Retry-After') // '', '');
    is_deeply([ sort keys %$error ], [ qw(code message) ]);
    is($error->{code}, $code);

    return !defined $message
        || like($error->{message}, $message);
}


sub is_integer($value) {
    return like($json->encode([$value]), qr/^\[\d+\]$/, 'an integer');
}


sub is_time($value) {
    return like($value, qr/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
}
