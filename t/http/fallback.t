#!/usr/bin/perl

# A request that its own release can't serve is finished on the other one.

use v5.36;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Test::More;

use Canary::Test;

my $t = Canary::Test->new;
my $v1 = $t->backend('v1');
my $v2 = $t->backend('v2');
my %several = map { $_ => $t->backend($_) } qw(s1 s2 s3);

$t->start(<<'EOC');
    upstream model_v1 { server 127.0.0.1:%%PORT_v1%%; }
    upstream model_v2 { server 127.0.0.1:%%PORT_v2%%; }
    upstream dead     { server 127.0.0.1:%%PORT_v1%% down; }

    upstream model_several {
        server 127.0.0.1:%%PORT_s1%% max_fails=0;
        server 127.0.0.1:%%PORT_s2%% max_fails=0;
        server 127.0.0.1:%%PORT_s3%% max_fails=0;
    }

    upstream ep {
        canary_release v1 model_v1;
        canary_release v2 model_v2;
    }

    upstream off {
        canary_release  v1 model_v1;
        canary_release  v2 model_several;
        canary_fallback off;
    }

    upstream several {
        canary_release v1 model_several;
        canary_release v2 model_v2;
    }

    upstream stable_dead {
        canary_release v1 dead;
        canary_release v2 model_v2;
    }

    upstream canary_dead {
        canary_release v1 model_v1;
        canary_release v2 dead;
        canary_unavailable 0;
    }

    upstream canary_dead_off {
        canary_release  v1 model_v1;
        canary_release  v2 dead;
        canary_unavailable 0;
        canary_fallback off;
    }

    server {
        listen 127.0.0.1:%%PORT_http%%;
        proxy_next_upstream error timeout http_500;

        add_header X-Release $canary_release always;
        add_header X-Role    $canary_role    always;
        add_header X-Reason  $canary_reason  always;

        location /      { proxy_pass http://ep; }
        location /plain { proxy_pass http://ep; proxy_next_upstream error; }
        location /never { proxy_pass http://ep; proxy_next_upstream off; }

        location /tries1 { proxy_pass http://ep; proxy_next_upstream_tries 1; }
        location /tries2 { proxy_pass http://ep; proxy_next_upstream_tries 2; }

        location /posts {
            proxy_pass http://ep;
            proxy_next_upstream error timeout http_500 non_idempotent;
        }

        location /off             { proxy_pass http://off; }
        location /canary_dead     { proxy_pass http://canary_dead; }
        location /canary_dead_off { proxy_pass http://canary_dead_off; }
        location /stable_dead     { proxy_pass http://stable_dead; }

        location /several { proxy_pass http://several; }
        location /several_tries2 {
            proxy_pass http://several;
            proxy_next_upstream_tries 2;
        }
    }

    %%API%%
EOC

# Half of the traffic goes to v2, whatever it does.
my $patient = rule(error_5xx_rate => 0.5, confidence => 'off',
                   min_requests => 1_000_000);

for my $endpoint (qw(ep off several stable_dead canary_dead canary_dead_off)) {
    $t->start_rollout($endpoint, rules => [$patient]);
}

my @headers = qw(X-Backend X-Release X-Role X-Reason);


subtest 'canary to stable' => sub {
    my $answer = send_half(ep => '/', status => 500);
    my $canary = $answer->{v2}{attempts};

    is($answer->{statuses}{200}, 200, 'no user sees an error');
    is_half($canary, 'the canary is asked by half of them');
    is_deeply($answer->{by}, {
        'X-Backend' => { v1 => 200 },
        'X-Release' => { v1 => 200 },
        'X-Role'    => { stable => 200 },
        'X-Reason'  => { fallback => $canary, weight => 200 - $canary },
    }, 'stable answers all, some as a fallback');

    is_deeply($answer->{v1}, { attempts => 200, '2xx' => 200,
                               fallbacks => $canary },
              'the fallbacks are counted');
    is_deeply($answer->{v2}, { attempts => $canary, '5xx' => $canary },
              'and the failed attempts');
    is_evidence('ep', $canary);
};

subtest 'what proxy_next_upstream does not name is passed on' => sub {
    my $answer = send_half(ep => '/plain', status => 500);
    is($answer->{statuses}{500}, $answer->{v2}{'5xx'}, 'bad answers');

    $answer = send_half(ep => '/never', mode => 'close');
    is($answer->{statuses}{502}, $answer->{v2}{failed}, 'or even errors');
    is($answer->{v1}{fallbacks}, undef, 'no fallback');
};

subtest 'each kind of failure' => sub {
    for my $mode (qw(close reset refuse)) {
        my $answer = send_half(ep => '/plain', mode => $mode);

        is($answer->{statuses}{200}, 200, "no user sees a canary's $mode");
        is($answer->{v1}{fallbacks}, $answer->{v2}{failed}, 'but stable');
    }
};

subtest 'proxy_next_upstream_tries' => sub {
    my $answer = send_half(ep => '/tries1', mode => 'close');
    is($answer->{statuses}{502}, $answer->{v2}{failed}, 'no try is left of 1');

    $answer = send_half(ep => '/tries2', mode => 'close');
    is($answer->{statuses}{200}, 200, 'one try is left of 2');
};

subtest 'POST' => sub {
    my %post = (method => 'POST', body => 'x');

    my $answer = send_half(ep => '/', %post, mode => 'close');
    is($answer->{statuses}{502}, $answer->{v2}{failed},
       'a request that was sent is not sent again');

    $answer = send_half(ep => '/posts', %post, mode => 'close');
    is($answer->{statuses}{200}, 200, 'unless non_idempotent allows it');

    $answer = send_half(ep => '/', %post, mode => 'refuse');
    is($answer->{statuses}{200}, 200, 'or nothing of it was sent');
};

subtest 'stable fails' => sub {
    $v1->set(mode => 'close');

    my $answer = send_half(ep => '/');
    is($answer->{statuses}{200}, $answer->{v2}{'2xx'},
       'with a live peer it never falls back to the canary');
    is_half($answer->{v2}{attempts}, 'which gets its own share');

    $answer = send_half(ep => '/', mode => 'close');
    is($answer->{statuses}{502}, 200, 'if both fail nobody is left');

    $v1->set;
};

subtest 'canary_fallback off' => sub {
    $_->set(mode => 'close') for values %several;

    my $answer = send_half(off => '/off');
    is_half($answer->{statuses}{502}, 'the requests of the canary fail');
    is($answer->{by}{'X-Backend'}{v1}, $answer->{statuses}{200},
       'stable gets its own share');

    $several{s3}->set;
    $answer = send_half(off => '/off');
    is($answer->{statuses}{200}, 200, "its own next servers are tried");
    is($answer->{v1}{fallbacks}, undef, 'which are no fallbacks');
    is($answer->{v2}{fallbacks}, undef, 'on either release');
};

subtest 'a canary without a live peer' => sub {
    my $answer = send_half(canary_dead => '/canary_dead');
    my $canary = $answer->{v2}{no_live};

    is($answer->{statuses}{200}, 200, 'no user sees an error');
    is_half($canary, 'half of the requests met it');
    is_deeply($answer->{v2}, { no_live => $canary }, 'none is an attempt');
    is_deeply($answer->{v1}, { attempts => 200, '2xx' => 200,
                               fallbacks => $canary },
              'and one fallback');
    is($answer->{by}{'X-Reason'}{fallback}, $canary, '$canary_reason');

    $answer = send_half(canary_dead_off => '/canary_dead_off');
    is_half($answer->{statuses}{502}, 'canary_fallback off: half fail');
    is($answer->{v2}{failed}, $answer->{statuses}{502}, 'as counted');
};

subtest 'stable to canary, when stable has no live peer' => sub {
    my $answer = send_half(stable_dead => '/stable_dead');
    my $stable = $answer->{v1}{no_live};

    is($answer->{statuses}{200}, 200, 'no user sees an error');
    is_half($stable, 'half of the requests met it');
    is_deeply($answer->{by}, {
        'X-Backend' => { v2 => 200 },
        'X-Release' => { v2 => 200 },
        'X-Role'    => { canary => 200 },
        'X-Reason'  => { fallback => $stable, weight => 200 - $stable },
    }, 'the canary answers all');
    is_deeply($answer->{v1}, { no_live => $stable }, 'none is an attempt');
    is_deeply($answer->{v2}, { attempts => 200, '2xx' => 200,
                               fallbacks => $stable },
              'and one fallback');
    is_evidence('stable_dead', 200 - $stable);

    $t->verb(stable_dead => 'rollback');
    $answer = send_half(stable_dead => '/stable_dead');
    is($answer->{statuses}{502}, 200, 'then nobody answers');
    is($answer->{v2}{attempts}, undef, 'the canary is not asked');
};

subtest 'a stable of several servers' => sub {
    $several{s1}->set(status => 500);
    $several{s2}->set(mode => 'close');
    $several{s3}->set;

    my $answer = send_half(several => '/several', mode => 'close');
    is($answer->{statuses}{200}, 200, 'after the canary each may be tried');

    $answer = send_half(several => '/several_tries2', mode => 'close');
    cmp_ok($answer->{statuses}{200}, '<', 200,
           'not with two tries, one of which was for the canary');
    cmp_ok($answer->{v1}{attempts} + $answer->{v2}{attempts}, '<=', 400,
           'no request makes a third attempt');
};

subtest 'a last attempt that is bad too' => sub {
    $_->set(status => 500) for values %several;

    my $answer = send_half(several => '/several', mode => 'close');
    is($answer->{statuses}{500}, 200, 'its answer is passed on');
    is($answer->{by}{'X-Role'}{stable}, 200, 'it was on stable');
};

$t->finish;


# Sends 200 requests, with method and body, while v2 behaves as the other
# arguments say. Adds to the result what the counters of both releases grew by.

sub send_half($endpoint, $uri, %opt) {
    my %request = (uri => $uri);
    for my $key (qw(method body)) {
        $request{$key} = delete $opt{$key} if exists $opt{$key};
    }
    $v2->set(%opt);

    my %before = map { $_ => $t->totals($endpoint, $_) } qw(v1 v2);
    my $result = $t->load(count => 200, connections => 2, by => \@headers,
                          request => \%request)->result;

    is($result->{failed}, 0, 'every request is answered');
    for my $release (qw(v1 v2)) {
        $result->{$release}
            = difference($t->totals($endpoint, $release), $before{$release});
    }

    return $result;
}


sub difference($after, $before) {
    my %difference;

    for my $counter (keys %$after) {
        my $grown = $after->{$counter} - ($before->{$counter} // 0);
        $difference{$counter} = $grown if $grown;
    }

    return \%difference;
}


sub is_half($n, $name) {
    return cmp_ok(abs(($n // 0) - 100), '<=', 2, $name);
}


# The attempts that the rule counts, which is told a moment later.

sub is_evidence($endpoint, $attempts) {
    my $counted = sub () {
        return $t->endpoint($endpoint)->{rules}[0]{attempts} // 0;
    };

    eval { $t->wait_for(sub { $counted->() == $attempts }, 3) };

    return is($counted->(), $attempts, 'fallbacks are no evidence');
}
