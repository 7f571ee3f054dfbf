#!/usr/bin/perl

# The configurations that are there to be copied, of conf.example and of
# README.md: nginx takes them, and a page of another site that a browser on
# this machine shows cannot use the API, though it comes from 127.0.0.1.

use v5.36;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Test::More;

use Canary::Test;

my $top = "$FindBin::Bin/../..";
my $rollout = '/canary/endpoints/some-path/rollout';

my %samples = (
    'conf.example' => [ slurp("$top/conf.example") =~ /^http \{\n(.*)^\}/ms ],
    'README.md'    => [ slurp("$top/README.md") =~
        /^## Configure.*?^```nginx\n.*?^http \{\n(.*?)^\}\n```/ms ],
);

for my $name (sort keys %samples) {
    subtest $name => sub { sample($samples{$name}[0]) };
}

done_testing;


sub sample ($http) {
    my $t = Canary::Test->new;

    # What the test has of its own.

    $http =~ s/^\s*(?:\w+_temp_path|canary_state_path|access_log access).*\n//mg;
    $http =~ s/(listen\s+)(?:127\.0\.0\.1:)?(\d+)/${1}127.0.0.1:%%PORT_$2%%/g;
    $http =~ s/(server\s+127\.0\.0\.1:)(\d+)/$1%%PORT_$2%%/g;

    $t->start($http);

    my $port = $t->port('8080');
    my $ask = sub ($method, $uri, $host, %more) {
        return $t->client('8080')->request(method => $method, uri => $uri,
                                           host => $host, %more)->status;
    };
    my @paths = ('/canary/', '/canary/endpoints/some-path', '/canary/metrics');

    push @paths, '/api/v1/deployment/workspace/personal/endpoints'
        if $http =~ /canary_verta_api/;

    for my $path (@paths) {
        is($ask->(GET => $path, $_), 200, "$path of $_")
            for '127.0.0.1', 'localhost', "127.0.0.1:$port", "LocalHost:$port";
        is($ask->(GET => $path, $_), 421, "$path of $_")
            for 'evil.test', "evil.test:$port", '127.0.0.1.evil.test',
                'localhost.evil.test', '127.0.0.2';
    }

    is($ask->(POST => $rollout, $_, body => '{"release":"v2"}'), 421,
       "written to as $_") for 'evil.test', "evil.test:$port";
    is($ask->(GET => $rollout =~ s{/rollout}{/events}r, '127.0.0.1'), 200);
    is($t->client('8080')->get('/canary/endpoints/some-path')->json->{phase},
       'idle', 'nothing was done');
    is($ask->(POST => $rollout, '127.0.0.1', body => '{"release":"v2"}'), 201,
       'but by us');

    $t->finish;

    return;
}


sub slurp ($name) {
    open my $in, '<', $name or die "$name: $!";
    local $/;

    return <$in>;
}
