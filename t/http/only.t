#!/usr/bin/perl

# canary_only and canary_exclude: who is in a rollout, and who is evidence.

use v5.36;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Test::More;

use Canary::Test;

my $t = Canary::Test->new(workers => 1);
my %server = map { $_ => $t->backend($_) } qw(v1 v2);

$t->start(<<'EOC');
    upstream model_v1 { server 127.0.0.1:%%PORT_v1%%; }
    upstream model_v2 { server 127.0.0.1:%%PORT_v2%%; }
    upstream dead     { server 127.0.0.1:%%PORT_v1%% down; }

    upstream some {
        canary_release v1 model_v1;
        canary_release v2 model_v2;
        canary_only    $http_x_beta;
        canary_force   $http_x_release;
    }

    upstream keyed {
        canary_release v1 model_v1;
        canary_release v2 model_v2;
        canary_key     $http_x_user;
        canary_only    "$http_x_beta";
        canary_exclude "$http_x_probe";
    }

    upstream dead_stable {
        canary_release v1 dead;
        canary_release v2 model_v2;
        canary_only    $http_x_beta;
    }

    upstream judged {
        canary_release v1 model_v1;
        canary_release v2 model_v2;
        canary_exclude $http_x_probe;
    }

    server {
        listen 127.0.0.1:%%PORT_http%%;

        add_header X-Release $canary_release always;
        add_header X-Role    $canary_role    always;
        add_header X-Reason  $canary_reason  always;
        add_header X-Weight  $canary_weight  always;

        location /some   { proxy_pass http://some; }
        location /keyed  { proxy_pass http://keyed; }
        location /judged { proxy_pass http://judged; }
        location /dead   { proxy_pass http://dead_stable; }
    }

    %%API%%
EOC


# The rules of these rollouts stop at one bad attempt that is evidence.
my @strict = (rule(error_rate => 0, confidence => 'off', min_requests => 1),
              rule(failed_requests_max => 0));

subtest 'no rollout: nobody is outside of what there is not' => sub {
    is_chosen(ask('/some', beta => 1), qw(v1 stable weight 0));
    is_chosen(ask('/judged', probe => 1), qw(v1 stable weight 0));
};

subtest 'canary_only: the split is of those inside' => sub {
    $t->start_rollout('some', release => 'v2', steps => [0.25],
                      rules => \@strict);

    is_chosen(ask('/some'), qw(v1 stable only 0));
    is_chosen(ask('/some', beta => $_), qw(v1 stable only 0)) for '', 0;

    my @got;
    for my $n (1 .. 80) {
        is(ask('/some')->header('X-Release'), 'v1', 'outside') for 1 .. $n % 3;
        push @got, ask('/some', beta => $n % 2 ? 'yes' : '00');
    }

    my @canary = grep { $_->header('X-Release') eq 'v2' } @got;
    is(scalar @canary, 20, 'a quarter of those inside');
    is_chosen($canary[0], qw(v2 canary weight 0.25));
    is_deeply([map { $_->header('X-Weight') } @got], [(0.25) x 80],
              'all of them see the weight');

    my $endpoint = $t->endpoint('some');
    is($endpoint->{served_weight}, 0.25, 'served_weight is of those inside');
    is($endpoint->{rules}[0]{attempts}, 20, 'each is evidence');
};

subtest 'canary_only: those outside are counted, and no evidence' => sub {
    my $before = $t->totals(some => 'v1');

    $server{v1}->set(status => 500);
    is(ask('/some')->status, 500, 'stable fails outside') for 1 .. 5;
    $server{v1}->set;

    is($t->totals(some => 'v1')->{'5xx'} // 0, ($before->{'5xx'} // 0) + 5,
       'counted');
    is($t->totals(some => 'v1')->{attempts}, $before->{attempts} + 5,
       'as attempts');
    is($t->endpoint('some')->{served_weight}, 0.25, 'and nothing more');
};

subtest 'canary_force wins over canary_only' => sub {
    is_chosen(ask('/some', release => 'v2'), qw(v2 canary force 0.25));
    is_chosen(ask('/some', release => 'none'), qw(v1 stable only 0));
};

subtest 'canary_only and canary_key' => sub {
    $t->start_rollout('keyed', release => 'v2', steps => [0.5],
                      rules => \@strict);

    is_chosen(ask('/keyed', user => $_), qw(v1 stable only 0)) for 1 .. 20;

    my %of = map { $_ => ask('/keyed', beta => 1, user => $_) } 1 .. 60;
    my @canary = grep { $of{$_}->header('X-Release') eq 'v2' } keys %of;

    cmp_ok(scalar @canary, '>=', 10, 'some users have the canary');
    cmp_ok(scalar @canary, '<=', 50, 'some not');
    is_deeply([grep { $of{$_}->header('X-Reason') ne 'key' } keys %of], [],
              'by their keys');
    is(ask('/keyed', beta => 1, user => $_)->header('X-Release'), 'v2',
       'and again') for @canary;

    $server{v2}->set(status => 500);
    is_chosen(ask('/keyed', beta => 1, probe => 1, user => $canary[0]),
              qw(v2 canary key 0.5));
    $server{v2}->set;
    is($t->endpoint('keyed')->{phase}, 'progressing', 'a probe is excluded');
};

subtest 'canary_only: those outside fall back as others' => sub {
    is(ask('/dead')->status, 502, 'nobody serves without a rollout');

    $t->start_rollout('dead_stable', release => 'v2', steps => [0.5]);
    is_chosen(ask('/dead'), qw(v2 canary fallback 0.5));
};

subtest 'canary_exclude: routed and counted, and no evidence' => sub {
    $t->start_rollout('judged', release => 'v2', steps => [0.5],
                      rules => \@strict);

    my %before = map { $_ => $t->totals(judged => $_)->{attempts} // 0 }
        qw(v1 v2);

    $server{v2}->set(status => 500);
    ask('/judged', probe => 'kube') for 1 .. 20;
    $server{v2}->set(mode => 'close');
    ask('/judged', probe => 1) for 1 .. 20;
    $server{v2}->set;

    is($t->totals(judged => 'v2')->{attempts} - $before{v2}, 20,
       'half of them on the canary');

    my $endpoint = $t->endpoint('judged');
    is($endpoint->{phase}, 'progressing', 'though all of these failed');
    is($endpoint->{rules}[0]{attempts}, 0, 'none is an attempt of a rule');
    is($endpoint->{rules}[1]{value}, 0, 'nor spends a budget');
    is($endpoint->{served_weight}, undef, 'nor counts for the share');
    is_deeply($t->api_get('endpoints/judged/failures')->json->{failures}, [],
              'nor is it in the list of failures');
    is($endpoint->{releases}[1]{latency_ms}{p50}, undef,
       'nor has it a time that is evidence');

    is_chosen(ask('/judged', probe => $_), undef, undef, 'weight', 0.5)
        for '', 0;
    is($t->endpoint('judged')->{rules}[0]{attempts}, 1,
       'what is empty or 0 is none');

    $server{v2}->set(status => 500);
    ask('/judged') for 1 .. 2;
    $server{v2}->set;
    is($t->endpoint('judged')->{phase}, 'idle', 'and others are judged');
};

subtest 'what is not accepted' => sub {
    for my $directive (qw(canary_only canary_exclude canary_key)) {
        my ($ok, $text) = $t->check(<<"EOC");
    upstream model_v1 { server 127.0.0.1:%%PORT_v1%%; }
    upstream model_v2 { server 127.0.0.1:%%PORT_v2%%; }
    upstream ep {
        canary_release v1 model_v1;
        canary_release v2 model_v2;
        $directive beta;
    }
EOC
        ok(!$ok, "$directive without a variable");
        like($text, qr/"beta" of "$directive" has no variable.*in \S+:\d+/,
             'is refused, and why is said');
    }
};

$t->finish;


sub ask($uri, %headers) {
    return $t->get($uri, headers => {
        map { 'X-' . ucfirst($_) => $headers{$_} } keys %headers
    });
}


sub is_chosen($answer, $release, $role, $reason, $weight) {
    my %is = (Release => $release, Role => $role, Reason => $reason,
              Weight => $weight);
    my @known = grep { defined $is{$_} } qw(Release Role Reason Weight);

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    return is_deeply([map { $answer->header("X-$_") } @known],
                     [@is{@known}], join ' ', @is{@known});
}
