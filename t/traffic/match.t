#!/usr/bin/perl

# Classes of answers of one's own: what canary_match counts of attempts, and
# what match_rate makes of that.

use v5.36;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Test::More;

use Canary::Test;

my $t = Canary::Test->new(workers => 1);
my %server = map { $_ => $t->backend($_) } qw(v1 v2);

my $http = <<'EOC';
    map $upstream_status $redirects { volatile; default 0; ~30.$ 1; }
    map $upstream_response_length $empty { volatile; default 0; 0 1; }
    map $upstream_http_x_model_error $late { volatile; default 0; ~. 1; }

    upstream model_v1 { server 127.0.0.1:%%PORT_v1%% max_fails=0; }
    upstream model_v2 { server 127.0.0.1:%%PORT_v2%% max_fails=0; }

    upstream header {
        canary_release v1 model_v1;
        canary_release v2 model_v2;
        canary_match   model_error $upstream_http_x_model_error;
        canary_match   redirects $redirects;
        canary_match   both "$redirects$upstream_http_x_model_error";
        canary_rule    match_rate 10% match=model_error;
    }

    upstream pair_v2 {
        server 127.0.0.1:%%PORT_v2%% max_fails=0;
        server 127.0.0.1:%%PORT_nobody%% max_fails=0;
    }

    upstream pair {
        canary_release  v1 model_v1;
        canary_release  v2 pair_v2;
        canary_match    model_error $upstream_http_x_model_error;
        canary_fallback off;
    }

    upstream response {
        canary_release v1 model_v1;
        canary_release v2 model_v2;
        canary_latency response;
        canary_match   empty $empty;
        canary_match   late $late;
        canary_rule    match_rate 10% match=empty;
    }

    server {
        listen 127.0.0.1:%%PORT_http%%;
        proxy_http_version 1.1;
        proxy_buffering    off;

        location /header   { proxy_pass http://header; }
        location /response { proxy_pass http://response; }
        location /retry    {
            proxy_next_upstream http_503;
            proxy_pass http://header;
        }
        location /pair     {
            proxy_next_upstream error http_503;
            proxy_pass http://pair;
        }
        location /upload   {
            proxy_request_buffering off;
            proxy_pass http://response;
        }
        location /upgrade  {
            proxy_set_header Upgrade    $http_upgrade;
            proxy_set_header Connection upgrade;
            proxy_pass http://header;
        }
    }

    %%API%%
EOC

$t->start($http);


subtest 'answers 200 with an error in the header are rolled back' => sub {
    $server{v1}->set;
    $server{v2}->set(headers => { 'X-Model-Error' => 'cuda' });
    $t->start_rollout('header', release => 'v2', rules => undef);

    is_rolled_back('header', qr/^match_rate of model_error [\d.]+ > 0\.1 /);
    is($t->release('header', 'v2')->{failed}, 0, 'and nothing failed');

    my ($event) = $t->events('header');
    is($event->{actor}{name}, 'match_rate', 'the rule is the actor');
    is($event->{figures}{match}, 'model_error', 'its match is told');
    is($event->{figures}{rules}[0]{match}, 'model_error', 'as of all rules');
};

subtest 'a storm of redirects' => sub {
    $server{$_}->set for qw(v1 v2);
    $server{v2}->set(status => 302, headers => { Location => '/' });
    $t->start_rollout('header', release => 'v2', rules => [
        rule(match_rate => 0.2, match => 'redirects') ]);

    is_rolled_back('header', qr/^match_rate of redirects /);
};

subtest 'an empty body, known at its end' => sub {
    $server{v1}->set;
    $server{v2}->set(body => '');
    $t->start_rollout('response', release => 'v2', rules => undef);

    is_rolled_back('response', qr/^match_rate of empty /);
};

subtest 'a healthy canary passes' => sub {
    $server{$_}->set for qw(v1 v2);
    for my $endpoint (qw(header response)) {
        $t->start_rollout($endpoint, release => 'v2', rules => undef);
        is($t->get("/$endpoint")->status, 200, 'answered') for 1 .. 120;
        is_rule($endpoint, 0, [0, 60, 'passing'], "$endpoint: by its answers");
        $t->verb($endpoint, 'rollback');
    }
};

subtest 'compared with stable, it is the excess that counts' => sub {
    my @rules = (rule(match_rate => 0.1, match => 'model_error',
                      baseline => 'stable', confidence => 'off',
                      min_requests => 10),
                 rule(match_rate => 1, match => 'both', window_seconds => 3600,
                      confidence => 'off', min_requests => 10));

    $server{$_}->set(headers => { 'X-Model-Error' => 'x' }) for qw(v1 v2);
    $t->start_rollout('header', release => 'v2', rules => \@rules);
    $t->get('/header') for 1 .. 20;
    is_rule('header', 0, [0, 10, 'passing'], 'as many of both');
    is_rule('header', 1, [1, 10, 'passing'], 'several variables');

    $server{v1}->set;
    $t->get('/header') for 1 .. 10;
    is_rolled_back('header', qr/^match_rate of model_error .* above stable's/);
};

subtest 'it is of the attempt that matched, though a retry follows' => sub {
    my %bad = (status => 503, headers => { 'X-Model-Error' => 'x' });

    $server{v1}->set;
    $server{v2}->set(%bad);
    $t->start_rollout('header', release => 'v2', on_violation => 'halt',
                      rules => [ rule(match_rate => 0.9, confidence => 'off',
                                      match => 'model_error',
                                      min_requests => 1000) ]);
    is($t->get('/retry')->body, 'v1', 'answered by stable') for 1 .. 8;
    is_rule('header', 0, [1, 4, 'undecided'], 'and the canary is to blame');

    $server{v2}->set(mode => 'close');
    $t->get('/header') for 1 .. 8;
    is_rule('header', 0, [0.5, 8, 'undecided'],
            'a failure is an attempt, and of no match by itself');

    $server{v2}->set(mode => 'hang');
    my @clients = map { $t->client->start(uri => '/header') } 1 .. 8;
    $t->wait_for(sub { $server{v2}->stats->{open} == 4 }, 30, 'all to come');
    $_->close for @clients;
    $t->wait_for(sub { $t->release('header', 'v2')->{aborted} == 4 }, 30,
                 'nginx to notice');
    is_rule('header', 0, [0.5, 8, 'undecided'], 'who left is no attempt');

    $server{v2}->set(mode => 'upgrade', headers => { 'X-Model-Error' => 1 });
    my @tunnels = map { upgraded() } 1 .. 4;
    is_rule('header', 0, [0.6, 10, 'undecided'], 'tunnels, at their header');
    $_->close for @tunnels;
    $t->verb('header', 'rollback');
    $server{v2}->set;
};

subtest 'what was answered before is of no attempt that meets nobody' => sub {
    $server{v2}->set(status => 503, headers => { 'X-Model-Error' => 'x' });
    $t->start_rollout('pair', release => 'v2', steps => [1],
                      on_violation => 'halt', rules => [
        rule(match_rate => 1, match => 'model_error', confidence => 'off',
             min_requests => 1000) ]);

    $t->get('/pair') for 1 .. 8;
    is_rule('pair', 0, [0.5, 16, 'undecided'], 'one of two each time');
    $t->verb('pair', 'rollback');
    $server{v2}->set;
};

subtest 'with the response, it is in flight until that has ended' => sub {
    my @rules = rule(match_rate => 1, match => 'late', confidence => 'off',
                     min_requests => 1);

    $server{$_}->set(headers => { 'X-Model-Error' => 'x' },
                     mode => 'hang_body') for qw(v1 v2);

    for my $path (qw(response upload)) {
        $t->start_rollout('response', release => 'v2', rules => \@rules);

        my @clients = map { begun($path) } 1 .. 4;
        is_rule('response', 0, [0, 2, 'undecided'], "$path: not known yet");

        $_->close for @clients;
        is_rule('response', 0, [1, 2, 'passing'], "$path: by then it is");
        $t->verb('response', 'rollback');
    }
    $server{$_}->set for qw(v1 v2);
};

subtest 'rules that name none of the endpoint' => sub {
    my $value = '/canary_strategy/rules/1/rule_parameters/1/value';
    my @unknown = (rule(error_rate => 0.1),
                   rule(match_rate => 0.1, match => 'empty'));
    my $path = 'endpoints/header/rollout';

    is_refused($t->api_post($path, { release => 'v2', canary_strategy => {
        rules => \@unknown } }), $value,
        qr/model_error, redirects, both, not "empty"$/);

    $t->start_rollout('header', release => 'v2', rules => undef);
    is_refused($t->api_patch($path, { canary_strategy => {
        rules => \@unknown } }), $value, qr/not "empty"$/);

    is_refused($t->api_patch($path, { canary_strategy => { rules => [
        rule(match_rate => 0.1) ] } }),
        '/canary_strategy/rules/0/rule_parameters', qr/needs a match/);
    is_refused($t->api_patch($path, { canary_strategy => { rules => [
        rule(error_rate => 0.1, match => 'redirects') ] } }),
        '/canary_strategy/rules/0/rule_parameters', qr/only for the rule/);
    is_refused($t->api_patch($path, { canary_strategy => { rules => [
        rule(match_rate => 0.1, match => 'no name') ] } }),
        '/canary_strategy/rules/0/rule_parameters/1/value', qr/1 to 31/);

    is($t->api_patch($path, { canary_strategy => { rules => [
        rule(match_rate => 0.1, match => 'redirects') ] } })->status, 200,
        'one that there is may be patched in');
    is($t->endpoint('header')->{rules}[0]{match}, 'redirects', 'and is shown');
    $t->verb('header', 'rollback');
};

subtest 'a match that is patched in and out' => sub {
    my $path = 'endpoints/header/rollout';

    $server{$_}->set(headers => { 'X-Model-Error' => 'x' }) for qw(v1 v2);
    $t->start_rollout('header', release => 'v2', on_violation => 'halt');
    $t->get('/header') for 1 .. 4;

    for my $match (qw(model_error redirects model_error)) {
        is($t->api_patch($path, { canary_strategy => { rules => [
            rule(match_rate => 0.9, match => $match, confidence => 'off',
                 min_requests => 1000) ] } })->status, 200, $match);
        $t->get('/header') for 1 .. 4;
        is_rule('header', 0,
                [$match eq 'redirects' ? 0 : 1, 2, 'undecided'], 'counted');
    }
    $t->verb('header', 'rollback');
    $server{$_}->set for qw(v1 v2);
};

subtest 'a restart keeps the rule, and its events' => sub {
    $server{$_}->set for qw(v1 v2);
    $t->start_rollout('header', release => 'v2', rules => [
        rule(match_rate => 0.3, match => 'redirects') ]);
    $t->stop;
    $t->start;

    my $rules = $t->endpoint('header')->{strategy}{canary_strategy}{rules};
    my %given = map { $_->@{qw(name value)} } $rules->[0]{rule_parameters}->@*;
    is($given{match}, 'redirects', 'with its match');
    ok((grep { ($_->{figures}{match} // '') eq 'model_error' }
        $t->events('header')), 'as the events have it');

    $server{v2}->set(status => 302, headers => { Location => '/' });
    is_rolled_back('header', qr/^match_rate of redirects /);
    $server{v2}->set;
};

subtest 'a reload takes it away, and brings it back' => sub {
    my $gone = $http =~ s/canary_match   redirects.*\n//r;

    $t->start_rollout('header', release => 'v2', rules => [
        rule(match_rate => 0.3, match => 'redirects', confidence => 'off',
             min_requests => 1),
        rule(error_rate => 0.3, confidence => 'off', min_requests => 1) ]);
    $t->get('/header') for 1 .. 4;
    is_rule('header', 0, [0, 2, 'passing'], 'before');

    $t->renew($gone);
    $server{v2}->set(status => 302, headers => { Location => '/' });
    $t->get('/header') for 1 .. 4;
    my $waiting = $t->wait_for(sub {
        my $waiting = $t->endpoint('header')->{waiting_for};
        return $waiting && $waiting->{reason} =~ /canary_match/ && $waiting;
    }, 30, 'its absence to be seen');
    is($waiting->{rule}, 'match_rate', 'it is waited for');
    like($waiting->{reason}, qr/^match_rate of redirects cannot be decided/,
         'by its name');
    is($t->endpoint('header')->{rules}[0]{verdict}, 'undecided', 'undecided');
    is($t->api_patch('endpoints/header/rollout', { weight => 0.4 })->status,
       200, 'all else may change');
    $t->set_weight('header', 0.5);

    $t->renew($http);
    $t->wait_for(sub {
        my $waiting = $t->endpoint('header')->{waiting_for};
        return !$waiting || $waiting->{reason} !~ /canary_match/;
    }, 30, 'it to be back');
    is($t->endpoint('header')->{rules}[0]{attempts}, 0,
       'what nobody has looked at is no evidence to pass by');
    is_rolled_back('header', qr/^match_rate of redirects /);
    $server{v2}->set;
};

subtest 'it is a label in metrics' => sub {
    $t->start_rollout('header', release => 'v2', rules => [
        rule(error_rate => 0.5),
        rule(match_rate => 0.3, match => 'both') ]);
    like($t->api_get('metrics')->body,
         qr/rule="match_rate",index="1",match="both"\} 0\.3$/m, 'of its rule');
    $t->verb('header', 'rollback');
};

$t->finish;


sub begun($path) {
    my $client = $t->client;

    $client->start(uri => "/$path");
    $client->read_bytes(2);

    return $client;
}


sub upgraded() {
    my $client = $t->client;

    $client->start(uri => '/upgrade', headers => { Upgrade => 'test' });
    $client->read_bytes(10);

    return $client;
}


sub is_rolled_back($endpoint, $reason) {
    $t->wait_for(sub {
        $t->get("/$endpoint") for 1 .. 4;
        return $t->endpoint($endpoint)->{phase} eq 'idle';
    }, 60, "$endpoint: a verdict");

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    my $last = $t->endpoint($endpoint)->{last_rollout};
    is($last->{result}, 'rolled_back', "$endpoint: rolled back");
    like($last->{reason}, $reason, 'by this rule');

    return;
}


sub is_refused($response, $pointer, $detail) {
    local $Test::Builder::Level = $Test::Builder::Level + 1;

    is($response->status, 400, 'refused');
    my ($error) = $response->json->{errors}->@*;
    is($error->{pointer}, $pointer, 'where');
    like($error->{detail}, $detail, 'and why');

    return;
}


# The value of a rule, the attempts that it was measured on, and its verdict.

sub is_rule($endpoint, $n, $expected, $what) {
    my $got;

    eval {
        $t->wait_for(sub {
            my $rule = $t->endpoint($endpoint)->{rules}[$n];
            $got = [@$rule{qw(value attempts verdict)}];
            return "@$got" eq "@$expected";
        }, 10);
    };

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    return is_deeply($got, $expected, $what);
}
