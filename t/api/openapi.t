#!/usr/bin/perl

# GET openapi.json: the description of the API is valid, it is complete, and
# the server does as it says: every example is sent, and every answer looked at.

use v5.36;

use FindBin;
use lib "$FindBin::Bin/../lib";

use JSON::PP ();
use Test::More;

use Canary::Fleet;
use Canary::Test;

our $t = Canary::Test->new;
my %backend = map { $_ => $t->backend($_) } qw(v1 v2);
my $node = '/fleet/nodes/{name}';
my $file = "$FindBin::Bin/../../src/api/openapi.json";

$t->start(<<'EOC');
    upstream model_v1 { server 127.0.0.1:%%PORT_v1%%; }
    upstream model_v2 { server 127.0.0.1:%%PORT_v2%%; }

    upstream some-path {
        canary_release  v1 model_v1;
        canary_release  v2 model_v2;
        canary_step     20%;
        canary_interval 1h;
        canary_rule     error_5xx_rate 50%;
        canary_match    redirects $sent_http_location;
    }

    server {
        listen 127.0.0.1:%%PORT_http%%;
        location / { proxy_pass http://some-path; }
    }

    %%API%%
EOC

my $response = $t->api_get('openapi.json');
my $api = $response->json;


subtest 'the document is the one in the repository' => sub {
    open my $in, '<', $file or die "$file: $!";
    local $/;

    is($response->status, 200);
    is($response->header('Content-Type'), 'application/json');
    ok($response->body eq <$in>, 'byte by byte');
    is($api->{openapi}, '3.1.0');
};

subtest 'a linter finds nothing' => sub {
    my $redocly = install_linter();
    plan skip_all => 'no linter: npm, or its registry, cannot be reached'
        unless $redocly;

    my $said = `NO_COLOR=1 $redocly lint --format=stylish $file 2>&1`;
    is($?, 0, 'valid') or diag($said);
    unlike($said, qr/\d+ (?:error|warning)/);
};

subtest 'it has each path and method' => sub {
    my %described;

    for my $path (keys %{ $api->{paths} }) {
        my $name = $path =~ s{^/}{}r =~ s/\{name\}/NAME/r;
        my %methods = map { uc $_ => 1 }
            grep { /^(?:get|post|patch|delete)$/ } keys %{ $api->{paths}{$path} };

        $methods{HEAD} = 1 if $methods{GET};
        $described{$name} = join ' ', sort keys %methods;
    }

    is_deeply(\%described,
              { map { $_->{path} => join ' ', sort @{ $_->{methods} } }
                @{ $t->api_get('')->json->{paths} } });
};

# What has to be so for each of them.

my %phase = ('post rollout' => 'idle', 'post rollout/resume' => 'paused');

for my $path (sort keys %{ $api->{paths} }) {
    for my $method (qw(post patch)) {
        my $operation = $api->{paths}{$path}{$method} or next;
        my $what = $path =~ s{^.*\{name\}/}{}r;
        my $examples = $operation->{requestBody}{content}
            {'application/json'}{examples};

        for my $name (sort keys %$examples) {
            subtest "$method $what: $name" => sub {
                be_in($phase{"$method $what"} // 'progressing');
                is_as_described($method, $path, $operation,
                                $examples->{$name}{value});
            };
        }
    }
}

subtest 'what is read' => sub {
    be_in('idle');
    $t->start_rollout('some-path', steps => [0.5], rules => [
        rule(error_5xx_rate => 0.9, burst_seconds => 0),
        rule(latency_p90_max => 5000), rule(failed_requests_max => 100),
        rule(error_rate => 0.9, baseline => 'stable'),
        rule(abandoned_rate => 0.5),
        rule(match_rate => 0.9, match => 'redirects') ]);
    $backend{v2}->set(status => 500);
    $t->get('/?x') for 1 .. 4;
    $t->wait_for(sub { @{ $t->api_get('endpoints/some-path/failures')
                           ->json->{failures} } >= 2 });
    $backend{v2}->set(status => 200);

    for my $round (1, 2) {
        for my $path (sort keys %{ $api->{paths} }) {
            my $operation = $api->{paths}{$path}{get} or next;

            is_as_described('get', $path, $operation)
                unless $path eq '/events' || $path eq '/fleet';
        }
        be_in('idle');
    }

    $t->start_rollout('some-path', steps => [0.5], rules => [
        rule(error_5xx_rate => 0, confidence => 'off', min_requests => 1) ]);
    $backend{v2}->set(status => 500);
    $t->get('/') for 1 .. 2;
    $backend{v2}->set(status => 200);
    $t->wait_for(sub { $t->endpoint('some-path')->{phase} eq 'idle' });
    is_as_described('get', $_, $api->{paths}{$_}{get})
        for '/endpoints/{name}', '/endpoints/{name}/events';

    $t->start_rollout('some-path', steps => [0.5], interval => 0.05,
                      approval => 'step');
    $t->get('/') for 1 .. 4;
    $t->wait_for(sub {
        ($t->endpoint('some-path')->{waiting_for} // {})->{approval};
    });
    is_as_described('get', '/endpoints/{name}',
                    $api->{paths}{'/endpoints/{name}'}{get});
    be_in('idle');
};

subtest 'problems' => sub {
    my $rollout = '/endpoints/{name}/rollout';
    my $post = $api->{paths}{$rollout}{post};

    be_in('idle');
    is_as_described('post', $rollout, $post, { x => 1 }, 400);
    is_as_described('post', $rollout, $post, { release => 'v1' }, 409);
    is_as_described('post', "$rollout/pause",
                    $api->{paths}{"$rollout/pause"}{post}, {}, 409);
    is_as_described('post', $rollout, $post, { reason => 'x' x 70_000 }, 413);
    is_as_described('post', $rollout, $post, {}, 412,
                    headers => { 'If-Match' => '"0"' });
    is_as_described('post', $rollout, $post, {}, 403,
                    headers => { Origin => 'http://evil.example' });
    is_as_described('get', '/endpoints/{name}',
                    $api->{paths}{'/endpoints/{name}'}{get}, undef, 404,
                    name => 'nowhere');
    is_as_described('get', '/fleet', $api->{paths}{'/fleet'}{get}, undef, 404);
    is_as_described('delete', $node, $api->{paths}{$node}{delete}, undef, 404);
};

# An API of a fleet, where there can be one.

subtest 'a fleet' => sub {
    needs('hiredis', 'redis-server', 'processes');

    my $fleet = Canary::Fleet->new('a');

    local $t = $fleet->start->node('a');
    $fleet->leader;
    $t->wait_for(sub { @{ $t->api_get('fleet')->json->{nodes} } });
    is_as_described('get', '/fleet', $api->{paths}{'/fleet'}{get});
    is_as_described('get', '/endpoints/{name}',
                    $api->{paths}{'/endpoints/{name}'}{get}, undef, undef,
                    name => 'ep');
    is_as_described('delete', $node, $api->{paths}{$node}{delete}, undef, 409,
                    name => 'a');

    $t->wait_for(sub { eval {
        $t->start_rollout('ep', steps => [0.5],
                          rules => [ rule(error_5xx_rate => 0.5) ]);
    } }, 20, 'a start');
    $t->get('/') for 1 .. 4;
    $t->wait_for(sub { %{ $t->api_get('fleet')->json->{nodes}[0]
                           {served_weight} } });
    is_as_described('get', '/fleet', $api->{paths}{'/fleet'}{get});
    is_as_described('get', '/endpoints/{name}?nodes=1',
                    $api->{paths}{'/endpoints/{name}'}{get}, undef, undef,
                    name => 'ep');
    is(@{ $t->api_get('endpoints/ep?nodes=1')->json->{nodes} }, 1, 'one node');

    # a member that was never seen
    $fleet->redis->call(HSET => 'canary:{shop}:rec', '@m:b', 2, '@n', 2);
    is_as_described('delete', $node, $api->{paths}{$node}{delete}, undef,
                    undef, name => 'b');

    $fleet->redis->kill;
    $t->wait_for(sub { $t->api_get('fleet')->json->{state} eq 'isolated' });
    is_as_described('get', '/fleet', $api->{paths}{'/fleet'}{get});
    is_as_described('delete', $node, $api->{paths}{$node}{delete}, undef, 503,
                    name => 'b');
    $t->stop;
};

$t->finish;


# Into build/, once; the command, or nothing.

sub install_linter() {
    my $dir = "$FindBin::Bin/../../build/npm";
    my $command = "$dir/node_modules/.bin/redocly";

    return $command if -x $command;

    system "mkdir -p '$dir' && cp '$FindBin::Bin/openapi/package.json' '$dir'"
        . " && cd '$dir' && timeout 100 npm install --no-audit --no-fund"
        . ' >npm.log 2>&1';

    return -x $command ? $command : undef;
}


sub be_in($phase) {
    my $endpoint = $t->endpoint('some-path');

    $t->verb('some-path', 'rollback') if $endpoint->{phase} ne 'idle';
    $t->api_post('endpoints/some-path/rollout',
                 { release => 'v1', strategy => 'direct' })
        if $endpoint->{stable} ne 'v1';
    return if $phase eq 'idle';

    $t->start_rollout('some-path', steps => [0.2, 0.5],
                      rules => [ rule(error_5xx_rate => 0.5) ]);
    $t->verb('some-path', 'pause') if $phase eq 'paused';

    return;
}


# Is the answer the one with that status, or the good one, of the description?

sub is_as_described($method, $path, $operation, $body = undef, $status = undef,
                    %more) {
    my $name = delete $more{name} // 'some-path';
    my $uri = $path =~ s{^/}{}r =~ s/\{name\}/$name/r;
    my $answer = $t->api(uc $method, $uri, $body, %more);
    my ($good) = grep { /^2/ } keys %{ $operation->{responses} };
    my $described = resolved($operation->{responses}{ $status // $good });

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    is($answer->status, $status // $good, "$method $uri")
        or return diag($answer->body);

    my ($type) = keys %{ $described->{content} };
    like($answer->header('Content-Type'), qr/^\Q$type\E(?:;|$)/);
    ok($answer->header($_), $_) for keys %{ $described->{headers} // {} };

    return unless $type =~ /json/;
    my @wrong = (wrong($described->{content}{$type}{schema}, $answer->json,
                       ''),
                 $status ? () : wrong_body($operation, $body));
    is_deeply(\@wrong, [], 'as its schema says');

    return;
}


sub wrong_body($operation, $body) {
    return () unless $body;
    return wrong($operation->{requestBody}{content}{'application/json'}
                 {schema}, $body, 'request');
}


sub resolved($schema) {
    while ($schema->{'$ref'}) {
        my $at = $api;

        $at = $at->{$_} for grep { $_ ne '#' } split m{/}, $schema->{'$ref'};
        $schema = $at;
    }

    return $schema;
}


# Where a value is not as a schema wants it: what of JSON Schema is in use.

sub wrong($schema, $value, $at) {
    $schema = resolved($schema);

    my @types = ref $schema->{type} ? @{ $schema->{type} }
        : $schema->{type} // ();
    my $type = type_of($value);
    my @wrong;

    push @wrong, "$at is $type" if @types && !grep {
        $_ eq $type || $_ eq 'number' && $type eq 'integer' } @types;
    push @wrong, "$at is '$value'" if defined $value && $schema->{enum}
        && !grep { defined && $_ eq $value } @{ $schema->{enum} };
    push @wrong, "$at is below" if exists $schema->{minimum}
        && defined $value && $value < $schema->{minimum};
    push @wrong, "$at is above" if exists $schema->{maximum}
        && defined $value && $value > $schema->{maximum};

    if ($type eq 'array') {
        push @wrong, "$at is too long"
            if @$value > ($schema->{maxItems} // 1e9);
        push @wrong, "$at is too short"
            if @$value < ($schema->{minItems} // 0);
        push @wrong, map { wrong($schema->{items}, $value->[$_], "$at/$_") }
            0 .. $#$value;
    }

    if ($type eq 'object' && $schema->{properties}) {
        push @wrong, map { "$at/$_ is missing" }
            grep { !exists $value->{$_} } @{ $schema->{required} // [] };

        for my $name (sort keys %$value) {
            my $property = $schema->{properties}{$name};

            push @wrong, $property
                ? wrong($property, $value->{$name}, "$at/$name")
                : "$at/$name is not described";
        }
    }

    return @wrong;
}


sub type_of($value) {
    return 'null' unless defined $value;
    return 'boolean' if JSON::PP::is_bool($value);
    return 'array' if ref $value eq 'ARRAY';
    return 'object' if ref $value;
    return 'string' if JSON::PP->new->allow_nonref->encode($value) =~ /^"/;
    return $value == int $value ? 'integer' : 'number';
}
