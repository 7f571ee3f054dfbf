#!/usr/bin/perl

# What an endpoint begins with when nothing is known of it: which release is
# stable, what the log says, and where the state is by default.

use v5.36;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Canary::Test;
use File::Path qw(remove_tree);
use Test::More;

my $t = Canary::Test->new(timeout => 240);
my $dir = $t->dir . '/canary';

$t->backend($_) for qw(v1 v2);

subtest 'without a state the first release is stable' => sub {
    $t->start(conf(ep => 'v1', 'v2'));

    is($t->endpoint('ep')->{stable}, 'v1', 'the first one');
    is(begins(), qq(begins with v1 as its stable release, the first one, )
       . qq(since there is no state file in "$dir": if it is another, mark )
       . 'that one "stable"', 'which is a warning');
};

subtest 'what is known is not warned of' => sub {
    direct($t => 'v2');
    $t->renew(undef);
    $t->stop;
    $t->start;

    is($t->endpoint('ep')->{stable}, 'v2', 'it is known');
    is(begins(), '', 'and no warning');
};

subtest 'the one that is marked' => sub {
    my @marked = ('v1', 'v2 stable');

    $t->renew(conf(ep => @marked));
    is($t->endpoint('ep')->{stable}, 'v2', 'a mark is for the beginning');
    direct($t => 'v1');
    $t->renew(undef);
    is($t->endpoint('ep')->{stable}, 'v1', 'and changes nothing later');
    is(begins(), '', 'of which nothing is said');

    $t->stop;
    remove_tree($dir);
    $t->start;
    is($t->endpoint('ep')->{stable}, 'v2', 'without the state it is stable');
    is(begins(), qq(begins with v2 as its stable release, which is marked so, )
       . qq(since there is no state file in "$dir"), 'which is a warning');

    # An older name that the state has, and nginx.conf does not any more.

    direct($t => 'v1');
    $t->renew(conf(ep => 'v3', 'v2 stable'));
    is($t->endpoint('ep')->{stable}, 'v2', 'it is also when stable is gone');
};

subtest 'a state file that cannot be read' => sub {
    $t->stop;
    $t->write_file('canary/state.json', "nonsense\n");
    $t->start;
    like(begins(), qr/^begins with v2 .*, since nothing can be read of the/,
         'is why');
};

subtest 'an endpoint that is new' => sub {
    my $more = conf(ep => 'v3', 'v2 stable') =~ s/%%API%%//r
               . endpoint(more => 'v1', 'v2') . '%%API%%';

    $t->renew($more);
    is($t->endpoint('more')->{stable}, 'v1', 'begins with its first one');
    like($t->error_log, qr/\[warn\] .* canary: "more" begins with v1 as its stable release, the first one, since nothing is known of it in the state file/,
         'which is a warning');
    is(begins(), '', 'of that one');
};

subtest 'one release' => sub {
    $t->renew(conf(single => 'v1'));

    my $endpoint = $t->endpoint('single');
    is($endpoint->{stable}, 'v1', 'is stable');
    is(scalar @{ $endpoint->{releases} }, 1, 'and alone');
    is($t->get('/')->body, 'v1', 'it serves');

    for my $body ({}, { release => 'v1' },
                  { release => 'v1', strategy => 'direct' }) {
        my $refused = $t->api_post('endpoints/single/rollout', $body);
        is($refused->status, 409, 'nothing can be started');
        like($refused->json->{detail},
             qr/"single" has one release, "v1", and there is no other to roll/,
             'why');
    }

    is($t->api_post('endpoints/single/rollout', { release => 'v2' })->status,
       400, 'an unknown one is unknown');

    $t->renew(conf(single => 'v1', 'v2'));
    is($t->start_rollout('single', steps => [0.5])->{canary}, 'v2',
       'until there is another');
    $t->verb(single => 'rollback');
};

# As a pipeline sees it, that reloads and then starts what is new.

subtest 'the number of a configuration' => sub {
    my $serial = sub { $t->endpoint('ep')->{configuration}{serial} };

    $t->renew(conf(ep => 'v1', 'v2'));
    my $before = $serial->();
    my $refused = $t->api_post('endpoints/ep/rollout', { release => 'v3' });
    is($refused->status, 400, 'what is not there yet is unknown');
    is_deeply($refused->json->{configuration},
              $t->endpoint('ep')->{configuration}, 'in this configuration');

    $t->renew(conf(ep => 'v1', 'v2', 'v3'));
    cmp_ok($serial->(), '>', $before, 'it rises with a reload');
    is_deeply($t->api_get('', Accept => 'application/json')
                ->json->{configuration}, $t->endpoint('ep')->{configuration},
              'the index tells it, too');
    like($t->endpoint('ep')->{configuration}{loaded},
         qr/^20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ$/, 'and when it was loaded');
    is($t->start_rollout('ep', release => 'v3')->{canary}, 'v3',
       'then it is known');
    $t->verb(ep => 'rollback');

    $before = $serial->();
    $t->stop;
    $t->start;
    cmp_ok($serial->(), '>', $before, 'and over a restart');
};

subtest 'another nginx has the state path' => sub {
    $t->renew(conf(ep => 'v1', 'v2'));
    direct($t => 'v2')
        if $t->endpoint('ep')->{stable} ne 'v2';

    my $other = Canary::Test->new(timeout => 240);
    my $conf = conf(ep => 'v1', 'v2') =~ s/%%PORT_(v\d)%%/$t->port($1)/ger;
    $other->start("canary_state_path $dir;\n$conf");
    ok($other->wait_for(sub { $other->error_log =~ /another nginx, process/ },
                        20, 'the lock to be refused'), 'is found');

    my $first = $t->dir;
    like($other->error_log, qr/\[error\] .*another nginx, process \d+ with the prefix "\Q$first\E\/" and configuration file "\Q$first\E\/nginx\.conf", has the state file in "\Q$dir\E": .*canary_state_path/,
         'an error, which names it');
    is($other->endpoint('ep')->{stable}, 'v1', 'it is not followed');
    like($other->error_log, qr/"ep" begins with v1 .* since another nginx has/,
         'of which is warned');

    my $refused = $other->api_post('endpoints/ep/rollout', {});
    is($refused->status, 503, 'writes are refused');
    like($refused->json->{detail}, qr/another nginx, process \d+ with the/,
         'why');

    direct($t => 'v1');
    direct($t => 'v2');
    is($t->endpoint('ep')->{stable}, 'v2', 'the other one goes on');

    $t->stop;
    is($other->api_post('endpoints/ep/rollout', {})->status, 503,
       'nor is it taken over when that ends');
    $t->start;
    is($t->endpoint('ep')->{stable}, 'v2', 'which finds it as it was');
    $other->stop;
    $t->stop;
};

subtest 'by default it is beside the temporary paths' => sub {
    needs('root', 'mounts');

    my ($temp) = `@{[ $ENV{TEST_NGINX_BINARY} // 'nginx' ]} -V 2>&1`
        =~ m{--http-client-body-temp-path=(/\S+)/};

    plan(skip_all => 'nginx has none of its own') if !$temp || !-d $temp;

    local $ENV{TEST_NGINX_BINARY} = with_mount($temp);
    my $here = Canary::Test->new(timeout => 240);
    my $private = $t->dir . '/private';
    my $conf = conf(ep => 'v1', 'v2') =~ s/%%PORT_(v\d)%%/$t->port($1)/ger;
    my @default = ($conf, state_path => undef);

    # As a version of before has left it.

    $here->start($conf);
    direct($here => 'v2');
    my @events = $here->events('ep');
    $here->stop;
    ok(-e $here->dir . '/canary/state.json', 'there is one in the prefix');

    $here->start(@default);
    is($here->endpoint('ep')->{stable}, 'v2', 'it is read');
    my $from = $here->dir . '/canary';
    like($here->error_log, qr/\[warn\] .*the state is read from "\Q$from\E", the default of canary_state_path before, .* written to "\Q$temp\E\/canary"/,
         'of which is warned');
    $here->wait_for(sub { -e "$private/canary/state.json" }, 20, 'the file');
    ok(-e "$private/canary/state.json", 'it is written beside them');
    is_deeply([ $here->events('ep') ], \@events, 'with the events');
    direct($here => 'v1');
    @events = $here->events('ep');
    $here->stop;

    $here->write_file('error.log', '');
    $here->start;
    is($here->endpoint('ep')->{stable}, 'v1', 'and read from there');
    is_deeply([ $here->events('ep') ], \@events, 'with all events');
    unlike($here->error_log, qr/is read from/, 'without a word');
    $here->stop;
};

$t->finish;


# nginx with a file system of its own at that place.

sub with_mount($place) {
    my $private = $t->dir . '/private';
    my $nginx = $ENV{TEST_NGINX_BINARY} // 'nginx';

    mkdir $private or die "$private: $!";
    $t->write_file('with-mount', <<~"EOC");
        #!/bin/sh
        [ "\$1" = -V ] && exec $nginx -V
        exec unshare -m sh -c 'mount --bind $private $place && exec $nginx "\$@"' sh "\$@"
        EOC
    chmod 0755, $t->dir . '/with-mount';

    return $t->dir . '/with-mount';
}


sub direct($nginx, $release) {
    return is($nginx->api_post('endpoints/ep/rollout',
        { release => $release, strategy => 'direct' })->status, 201,
        "$release is made stable");
}


# What the last start or reload said of "ep"; it is said once.

sub begins() {
    my @said = $t->error_log =~ /\[warn\] .* canary: "ep" (begins .*)/g;

    $t->write_file('error.log', '');

    return join "\n", @said;
}


sub conf($name, @releases) {
    return endpoint($name, @releases) . <<~"EOC";
        upstream model_v1 { server 127.0.0.1:%%PORT_v1%%; }
        upstream model_v2 { server 127.0.0.1:%%PORT_v2%%; }
        upstream model_v3 { server 127.0.0.1:%%PORT_v1%%; }
        server {
            listen 127.0.0.1:%%PORT_http%%;
            location / { proxy_pass http://$name; }
        }
        %%API%%
        EOC
}


sub endpoint($name, @releases) {
    my $lines = join '', map {
        my ($release, @more) = split;
        "canary_release $release model_$release @more;\n"
    } @releases;

    return "upstream $name { $lines canary_rule error_rate 10%; }\n";
}
