#!/usr/bin/perl

# What an endpoint shows at any node: figures, verdicts and what a step waits
# for are the fleet's, what has been served is the node's own.

use v5.36;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Test::More;

use Canary::Fleet;
use Canary::Test;
use Canary::Util qw(wait_for);

needs('hiredis', 'redis-server', 'processes');

my $fleet = Canary::Fleet->new(qw(a b c));
my ($a, $b, $c) = $fleet->nodes;

use constant NEEDED => 100;    # attempts, for the rule to say anything

$fleet->start;

sub begin($rule, %opt) {
    wait_for(sub {
        eval {
            $a->start_rollout('ep', steps => [ 0.5, 0.999 ], interval => 3600,
                              rules => [$rule], %opt);
        };
    }, 20, 'a rollout');
    $fleet->wait_all(sub ($node) { $node->endpoint('ep')->{weight} == 0.5 },
                     'the rollout at all nodes');

    return;
}

sub end() {
    $a->verb('ep', 'rollback');
    $fleet->wait_all(sub ($node) { $node->endpoint('ep')->{phase} eq 'idle' },
                     'the end');

    return;
}


sub reason($node) {
    return ($node->endpoint('ep')->{waiting_for} // {})->{reason} // '';
}

sub verdict($node, $verdict) {
    my ($value) = $node->api_get('metrics')->body =~
        /^nginx_canary_rule_verdict\{.*verdict="$verdict".*\} (\d)$/m;

    return $value // -1;
}

sub all_wait_for($pattern, @nodes) {
    for my $node (@nodes) {
        wait_for(sub { reason($node) =~ $pattern }, 30, "$pattern");
    }

    return pass("all say: $pattern");
}

subtest 'figures and verdicts are those of all nodes' => sub {
    my %before = map { $_ => canary_total($_) } qw(a b c);

    begin(rule(error_5xx_rate => 0.1, min_requests => NEEDED));

    $fleet->node($_)->load(count => 40, rate => 40)->result for qw(a b c);

    my $sum = 0;
    my %own = map { $_ => canary_total($_) - $before{$_} } qw(a b c);

    $sum += $_ for values %own;
    cmp_ok($sum, '>=', 57, 'of which half went to the canary');

    $fleet->wait_all(sub ($node) {
        $node->endpoint('ep')->{rules}[0]{attempts} == $sum;
    }, 'the sum at all nodes');

    my @seen = map { $_->endpoint('ep') } $a, $b, $c;

    is_deeply($_->{rules}, $seen[0]{rules}, 'the same at all nodes')
        for @seen[1, 2];
    for my $what (qw(rule attempts reason)) {
        is($_->{waiting_for}{$what}, $seen[0]{waiting_for}{$what},
           "as is what it waits for: $what") for @seen[1, 2];
    }
    is($seen[0]{rules}[0]{verdict}, 'undecided', 'too few');
    is($seen[0]{waiting_for}{attempts}, NEEDED - $sum,
       'that many less are needed');

    for my $name (qw(a b c)) {
        my $node = $fleet->node($name);

        cmp_ok($own{$name}, '<', $sum, "$name has less by itself");
        ok(abs($node->endpoint('ep')->{served_weight} - 0.5) < 0.06,
           'and shows what it has served');
        is(verdict($node, 'undecided'), 1, 'the verdict, as a metric');
    }

    # what each has told of it

    for my $node ($a, $b, $c) {
        my $told = $node->api_get('endpoints/ep?nodes=1')->json->{nodes};

        is_deeply({ map { $_->{name} => $_->{attempts} } @$told }, \%own,
                  'attempts of each');
        is_deeply({ map { @$_{qw(verdict bad)} } @$told }, { undecided => 0 },
                  'its own test, and what was bad');
        ok(!exists $node->endpoint('ep')->{nodes}, 'not without being asked');

        for my $each (@{ $node->api_get('fleet')->json->{nodes} }) {
            my ($served) = grep { $_->{name} eq $each->{name} } @$told;

            is($each->{served_weight}{ep}, $served->{served_weight},
               'what it has served is in the fleet, too');
            ok(abs($served->{served_weight} - 0.5) < 0.06, 'as it should');
        }
    }

    $fleet->node($_)->load(count => 60, rate => 100)->result for qw(a b c);

    $fleet->wait_all(sub ($node) {
        $node->endpoint('ep')->{rules}[0]{verdict} eq 'passing'
            && verdict($node, 'passing') == 1;
    }, 'passing at all nodes, none of which had enough');

    for my $name (qw(a b c)) {
        my $rule = $fleet->node($name)->endpoint('ep')->{rules}[0];

        cmp_ok(canary_total($name) - $before{$name}, '<', NEEDED, $name);
        cmp_ok($rule->{bounds}[1], '<=', 0.1, 'the bound of all');
        is($fleet->node($name)->endpoint('ep')->{waiting_for}, undef,
           'nothing is waited for');
    }
};

subtest 'a new step has no figures of the one before' => sub {
    $b->verb('ep', 'advance');
    $fleet->wait_all(sub ($node) {
        my $endpoint = $node->endpoint('ep');

        return $endpoint->{weight} == 0.999
            && $endpoint->{rules}[0]{attempts} == 0
            && $endpoint->{rules}[0]{verdict} eq 'undecided';
    }, 'it begins anew at all nodes');
    all_wait_for(qr/^no attempt in this step yet$/, $a, $b, $c);
    end();
};

subtest 'the leader waits for a node, and all say so' => sub {
    begin(rule(failed_requests_max => 1_000_000));

    my $leader = $fleet->leader;
    my ($name) = grep { $fleet->node($_) != $leader } qw(a b c);
    my $node = $fleet->node($name);
    my @others = grep { $_ != $node } $a, $b, $c;

    kill STOP => $node->helper_pid;
    all_wait_for(qr/^node $name is silent$/, @others);
    kill CONT => $node->helper_pid;
    for my $other (@others) {
        wait_for(sub { reason($other) !~ /silent/ }, 30, 'it is back');
    }
    pass('until it is back');

    # without a server of the canary, which stable stands in for

    my $dead = $fleet->backend('v2')->port . ' down';
    $node->reload($fleet->config($name, two => $dead), gone => 1);
    is($node->get('/')->status, 200, 'served by stable') for 1 .. 4;
    all_wait_for(qr/^node $name: no live server in v2$/, @others, $node);

    $node->reload($fleet->config($name), gone => 1);
    for my $each ($a, $b, $c) {
        wait_for(sub {
            $node->get('/');
            reason($each) !~ /no live/;
        }, 30, 'it is back');
    }
    pass('until it has answered');
    end();
};

subtest 'what a node has not is told at all nodes' => sub {
    begin(rule(failed_requests_max => 1_000_000));

    my $leader = $fleet->leader;
    my ($name) = grep { $fleet->node($_) != $leader } qw(a b c);

    $fleet->node($name)->reload($fleet->config($name,
        releases => 'canary_release v1 one;'), gone => 1);
    all_wait_for(qr/^node $name has no release v2$/, $a, $b, $c);
    $fleet->node($name)->reload($fleet->config($name), gone => 1);
    wait_for(sub { reason($_) !~ /has no/ }, 30, 'it has') for $a, $b, $c;
    end();
};

subtest 'clocks that are off make two slots one observation' => sub {
    is($a->api_get('fleet')->json->{slot_ms}, 100, 'not these');

    wait_for(sub {
        my ($seconds, $micro) = @{ $fleet->redis->call('TIME') };
        my $now = $seconds * 1000 + int($micro / 1000);

        $fleet->redis->call(HSET => 'canary:{shop}:live', 'far',
                            "1 $now 0 0 10.0.0.9 40\n");
        return $a->api_get('fleet')->json->{slot_ms} == 200;
    }, 30, 'one that is 40 ms off');
    wait_for(sub { $a->api_get('fleet')->json->{slot_ms} == 100 }, 30,
             'until it is silent');
    pass('for as long as it is there');
};

subtest 'an isolated node shows its own' => sub {
    begin(rule(error_5xx_rate => 0.1, min_requests => NEEDED));

    $b->load(count => 40, rate => 40)->result;
    $fleet->wait_all(sub ($node) {
        $node->endpoint('ep')->{rules}[0]{attempts} >= 18;
    }, 'figures at all nodes');

    $fleet->redis->kill;
    all_wait_for(qr/^the fleet cannot be reached$/, $a, $b, $c);

    wait_for(sub { $a->endpoint('ep')->{rules}[0]{attempts} == 0 }, 20,
             'a, which has none');
    is_deeply($a->api_get('endpoints/ep?nodes=1')->json->{nodes}, [],
              'and knows nothing of others');
    cmp_ok($b->endpoint('ep')->{rules}[0]{attempts}, '>=', 18, 'b has all');
};

$fleet->finish;


# of v2, whatever it is

sub canary_total($name) {
    my ($v2) = grep { $_->{name} eq 'v2' }
        @{ $fleet->node($name)->endpoint('ep')->{releases} };

    return $v2->{attempts};
}
