#!/usr/bin/perl

# Nodes of a fleet that end, are upgraded, lose a worker, or come back after
# hours, with Redis or without it: none serves what it had once.

use v5.36;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Digest::SHA qw(sha256_hex);
use Test::More;

use Canary::Fleet;
use Canary::Test;
use Canary::Util qw(wait_for);

needs('hiredis', 'redis-server', 'processes');

my $fleet = Canary::Fleet->new(qw(a b c));
my ($a, $b, $c) = $fleet->nodes;

# The first upgrade needs a node that is an orphan.

$fleet->start('a', 'c');
my $orphan = $b->start_orphan($fleet->config('b'));
$fleet->start('b') unless $orphan;
$fleet->wait_state('b', qr/\] .*"b" joined/) if $orphan;

subtest 'an upgrade in the middle of a rollout' => sub {
    plan(skip_all => 'no way to become the reaper of orphans') unless $orphan;

    my @steps = map { $_ / 10 } 1 .. 9;

    start_at($a, interval => 1, steps => \@steps);

    my $load = $a->load(rate => 100);

    $fleet->wait_all(sub ($node) { $node->endpoint('ep')->{weight} >= 0.2 },
                     'a step');

    my $old = $b->master_pid;
    my $new = $b->upgrade;
    kill QUIT => $old;
    $b->turn_to($new)->wait_end($old);
    $fleet->wait_all(sub ($node) { $node->endpoint('ep')->{phase} eq 'baking' },
                     'the last step');
    $load->stop;

    for my $node ($a, $c) {
        is_deeply([ map { $_->{to}{weight} } reverse $node->events('ep') ],
                  [ @steps, 1 ], 'no step was skipped or doubled');
    }
    is($b->verb('ep', 'rollback')->{phase}, 'idle', 'rolled back there');
    is_idle();
};

subtest 'a worker is killed' => sub {
    my $leader = $fleet->leader;

    $leader->allow_log(qr/worker process \d+ exited on signal 9/,
                       qr/zone "\w+" was locked by/);
    start_at($c);

    my ($pid) = $leader->worker_pids;
    kill KILL => $pid;
    wait_for(sub { grep { $_ != $pid } $leader->worker_pids }, 20,
             'another worker');
    wait_for(sub { eval { $leader->set_weight('ep', 0.6) } }, 20, 'a change');
    $fleet->wait_all(sub ($node) { $node->endpoint('ep')->{weight} == 0.6 });
    is($c->verb('ep', 'rollback')->{phase}, 'idle', 'rolled back');
    is_idle();
};

# What is in its file is from hours ago: a rollout that was rolled back since.

subtest 'one is back after hours' => sub {
    start_at($a);
    $c->stop;

    my $old = $c->read_file('canary/state.json');
    like($old, qr/"phase":"progressing"/, 'its file has a rollout');

    is($b->verb('ep', 'rollback')->{phase}, 'idle', 'which is rolled back');
    is_idle();
    start_at($b);
    is($a->verb('ep', 'rollback')->{phase}, 'idle', 'and so is another one');
    is_idle();

    $c->write_file('canary/state.json', $old);
    $c->start($fleet->config('c'));

    my %served;
    wait_for(sub {
        $served{ $c->get('/')->body }++;
        $c->endpoint('ep')->{fleet}{reached};
    }, 20, 'it to join');
    is_idle();
    $served{ $c->get('/')->body }++ for 1 .. 10;
    is_deeply([ keys %served ], ['v1'], 'it never served it again');
    is($c->endpoint('ep')->{last_rollout}{id}, $a->endpoint('ep')
           ->{last_rollout}{id}, 'and knows what came since');
};

subtest 'nodes that end are not members any more' => sub {
    wait_for(sub { members($a) == 3 }, 20, 'there to be three');
    is($c->stop, 0, 'one ends');
    wait_for(sub { members($a) == 2 && members($b) == 2 }, 20, 'two are left');
    is($b->stop, 0, 'another one ends');
    wait_for(sub { members($a) == 1 }, 20, 'one is left');
    start_at($a);
    is($a->endpoint('ep')->{weight}, 0.5, 'which is all of the fleet');

    $fleet->start('b', 'c');
    wait_for(sub { members($_) == 3 }, 20, 'three again') for $fleet->nodes;
    $fleet->wait_all(sub ($node) { $node->endpoint('ep')->{weight} == 0.5 },
                     'it to be as it was');
    pass('and they are back');
};

# Of what it had then nobody knows whether it is right.

subtest 'no Redis at the start, and not for long before' => sub {
    $c->stop;
    $fleet->redis->kill;
    last_contact($c, 11 * 60);
    $c->start($fleet->config('c'));
    $fleet->wait_state('c', qr/"c" is isolated/);
    is($c->get('/')->body, 'v1', 'stable serves') for 1 .. 10;
    is($c->api_patch('endpoints/ep/rollout', { weight => 0.6 })->status, 503,
       'nothing is raised');
    $c->stop;

    last_contact($c, 9 * 60);
    $c->start($fleet->config('c'));
    $fleet->wait_state('c', qr/"c" is isolated/);

    my %served;
    $served{ $c->get('/')->body }++ for 1 .. 10;
    is($served{v2}, 5, 'if it is not so long ago, what it had');

    $fleet->redis->start;
    $fleet->wait_all(sub ($node) {
        my $endpoint = $node->endpoint('ep');

        return $endpoint->{fleet}{reached} && $endpoint->{weight} == 0.5;
    }, 'all to be as they were');
    pass('Redis is back');
};

$fleet->finish;


sub start_at($node, %opt) {
    wait_for(sub {
        eval { $node->start_rollout('ep', interval => 3600, %opt) };
    }, 20, 'a rollout');
    $fleet->wait_all(sub ($any) { $any->endpoint('ep')->{weight} > 0 },
                     'the rollout at all nodes');

    return;
}


sub is_idle() {
    return $fleet->wait_all(sub ($node) {
        $node->endpoint('ep')->{phase} eq 'idle';
    }, 'all to be idle');
}


sub members($node) { return $node->endpoint('ep')->{fleet}{nodes} }


# Its file was written so many seconds ago, as far as that says.

sub last_contact($node, $seconds) {
    my $text = $node->read_file('canary/state.json');
    my $at = int((time - $seconds) * 1000);

    $text =~ s/"contact":\d+/"contact":$at/ or die "no contact in $text";
    $text =~ s/"sha256":"\K\w+(?=","state":(.*)\}\s*\z)/sha256_hex($1)/se
        or die "no sum in $text";
    $node->write_file('canary/state.json', $text);

    return;
}
